//! From a request to create and start a VM until the guest's first byte on its console.
//!
//! VMs are created in batches, all of a batch at once, and each is measured from its own request.
//! Between batches, outside of what is measured, they are deleted, and it is waited until the
//! daemon keeps as many processes ready as a batch takes. The guest is a service, which says so as soon
//! as it serves.

use super::rig::Rig;
use super::{Figure, Value};
use crate::figures::Spread;
use std::time::Instant;

/// How many batches.
const BATCHES: usize = 20;
/// How many VMs are in each.
const AT_A_TIME: usize = 10;

pub(super) async fn measure(rig: &Rig) -> Result<Vec<Figure>, String> {
    // The first ones read the program from the disk.
    batch(rig).await?;
    let mut samples = Vec::with_capacity(BATCHES * AT_A_TIME);
    for _ in 0..BATCHES {
        samples.extend(batch(rig).await?);
    }
    Ok(vec![Figure {
        name: "create to first console byte, 10 at a time",
        value: Value::Several(Spread::new(samples), "ms"),
    }])
}

/// What each VM of a batch takes, in milliseconds.
async fn batch(rig: &Rig) -> Result<Vec<f64>, String> {
    rig.spares(AT_A_TIME).await?;
    let one = |_| async {
        let begun = Instant::now();
        let vm = rig.run("service").await?;
        rig.first_output(&vm).await?;
        Ok::<_, String>((vm.id, begun.elapsed().as_secs_f64() * 1e3))
    };
    let started = super::several(AT_A_TIME, AT_A_TIME, one).await?;
    let mut samples = Vec::with_capacity(AT_A_TIME);
    for (id, taken) in started {
        let deleted = rig.client.delete_vm(&id, true).await;
        deleted.map_err(|error| error.to_string())?;
        samples.push(taken);
    }
    Ok(samples)
}
