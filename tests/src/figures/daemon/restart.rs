//! From the start of a daemon until it manages the VMs that run.

use super::rig::Rig;
use super::{Figure, Value};
use crate::figures::Spread;
use paravane_api::VmState;
use paravane_client::VmFilter;
use std::time::{Duration, Instant};

/// How many VMs run.
const GUESTS: usize = 100;
/// How many are started at a time.
const AT_A_TIME: usize = 10;
/// How many restarts.
const RESTARTS: usize = 7;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(mut rig: Rig) -> Result<Vec<Figure>, String> {
    let run = |_| async { rig.run("idle").await };
    super::several(GUESTS, AT_A_TIME, run).await?;
    let mut samples = Vec::with_capacity(RESTARTS);
    for _ in 0..RESTARTS {
        let begun = Instant::now();
        rig.restart()?;
        rig.answers().await?;
        let running = VmFilter {
            state: Some(VmState::Running),
            ..VmFilter::default()
        };
        loop {
            let vms = rig.client.all_vms(&running).await;
            let vms = vms.map_err(|error| error.to_string())?;
            if vms.len() == GUESTS && vms.iter().all(|vm| vm.pid.is_some()) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{} of {GUESTS} VMs are managed", vms.len()));
            }
        }
        samples.push(begun.elapsed().as_secs_f64());
    }
    Ok(vec![Figure {
        name: "restart of the daemon until 100 running VMs are managed again",
        value: Value::Several(Spread::new(samples), "s"),
    }])
}
