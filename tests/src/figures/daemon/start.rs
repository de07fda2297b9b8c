//! From a request to create and start a VM until the guest's first byte on its console.

use super::rig::Rig;
use super::{Figure, Value};
use crate::figures::Spread;
use std::time::Instant;

/// How many starts.
const STARTS: usize = 200;
/// How many at a time.
const AT_A_TIME: usize = 10;

pub(super) async fn measure(rig: &Rig) -> Result<Vec<Figure>, String> {
    let one = |_| async {
        let begun = Instant::now();
        let vm = rig.run("idle").await?;
        rig.first_output(&vm).await?;
        let taken = begun.elapsed();
        let deleted = rig.client.delete_vm(&vm.id, true).await;
        deleted.map_err(|error| error.to_string())?;
        Ok::<_, String>(taken.as_secs_f64() * 1e3)
    };
    // The first ones read the program from the disk.
    super::several(AT_A_TIME, AT_A_TIME, one).await?;
    let samples = super::several(STARTS, AT_A_TIME, one).await?;
    Ok(vec![Figure {
        name: "create to first console byte, 10 at a time",
        value: Value::Several(Spread::new(samples), "ms"),
    }])
}
