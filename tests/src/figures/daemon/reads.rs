//! Reads of the API at a fixed rate, while guests use all of the machine.

use super::rig::Rig;
use super::{Figure, Value};
use crate::figures::Spread;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many guests run.
const GUESTS: usize = 20;
/// How many reads a second.
const RATE: usize = 1000;
/// How many reads.
const READS: usize = 10 * RATE;

pub(super) async fn measure(rig: &Rig) -> Result<Vec<Figure>, String> {
    let mut vms = Vec::with_capacity(GUESTS);
    for _ in 0..GUESTS {
        // More calls than anybody waits for.
        vms.push(rig.run("noop=1000000000000").await?);
    }
    let begun = Instant::now();
    let mut reads = JoinSet::new();
    let mut samples = Vec::with_capacity(READS);
    for number in 0..READS {
        let due = begun + Duration::from_secs(1) * number as u32 / RATE as u32;
        tokio::time::sleep_until(due.into()).await;
        let client = rig.client.clone();
        let vm = vms.get(number % GUESTS).map(|vm| vm.id.clone());
        // From when it was due: a client that is late waits too.
        reads.spawn(async move {
            let vm = client.show_vm(&vm.unwrap_or_default()).await;
            vm.map(|_| due.elapsed().as_secs_f64() * 1e3)
        });
        while let Some(read) = reads.try_join_next() {
            samples.push(finished(read)?);
        }
    }
    while let Some(read) = reads.join_next().await {
        samples.push(finished(read)?);
    }
    let rate = READS as f64 / begun.elapsed().as_secs_f64();
    Ok(vec![
        Figure {
            name: "reads while 20 guests run busy",
            value: Value::One(rate, "/s"),
        },
        Figure {
            name: "time of such a read",
            value: Value::Several(Spread::new(samples), "ms"),
        },
    ])
}

fn finished(
    read: Result<Result<f64, paravane_client::ClientError>, tokio::task::JoinError>,
) -> Result<f64, String> {
    let read = read.map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())
}
