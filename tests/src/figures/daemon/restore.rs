//! From a request to restore a snapshot until the guest runs.

use super::rig::Rig;
use super::{Figure, Value};
use crate::figures::Spread;
use paravane_api::snapshot::{RestoreSnapshot, TakeSnapshot};
use std::time::Instant;

/// How many times.
const RESTORES: usize = 101;

pub(super) async fn measure(rig: &Rig) -> Result<Vec<Figure>, String> {
    let vm = rig.run("idle").await?;
    rig.first_output(&vm).await?;
    let request = TakeSnapshot::default();
    let taken = rig.client.take_snapshot(&vm.id, &request).await;
    let snapshot = taken.map_err(|error| error.to_string())?;
    let request = RestoreSnapshot::default();
    let mut samples = Vec::with_capacity(RESTORES);
    for _ in 0..RESTORES {
        let begun = Instant::now();
        let restored = rig.client.restore_snapshot(&snapshot.id, &request).await;
        samples.push(begun.elapsed().as_secs_f64() * 1e3);
        for vm in restored.map_err(|error| error.to_string())? {
            let deleted = rig.client.delete_vm(&vm.id, true).await;
            deleted.map_err(|error| error.to_string())?;
        }
    }
    Ok(vec![Figure {
        name: "restore from a snapshot until the guest runs",
        value: Value::Several(Spread::new(samples), "ms"),
    }])
}
