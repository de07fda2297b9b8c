//! Many guests with nothing to do.

use super::rig::Rig;
use super::{Figure, Value};
use crate::figures::Spread;
use crate::processes::processor_time;
use std::fs;
use std::time::{Duration, Instant};

/// How many guests.
const GUESTS: usize = 200;
/// How many are started at a time.
const AT_A_TIME: usize = 10;
/// For how long their processor time is watched.
const WATCHED: Duration = Duration::from_secs(10);

pub(super) async fn measure(rig: &Rig) -> Result<Vec<Figure>, String> {
    let begun = Instant::now();
    let vms = super::several(GUESTS, AT_A_TIME, |_| async {
        let vm = rig.run("idle").await?;
        rig.first_output(&vm).await?;
        Ok(vm)
    })
    .await?;
    let taken = begun.elapsed();

    let mut processes = vec![rig.pid()];
    for vm in &vms {
        processes.push(
            vm.pid
                .ok_or_else(|| format!("{} has no process", vm.name))?,
        );
    }
    // What was begun is done.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let time = || processor_time(&processes).map_err(|error| error.to_string());
    let before = time()?;
    tokio::time::sleep(WATCHED).await;
    let used = time()?.saturating_sub(before);
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();

    let daemon = status_kib(rig.pid(), "VmRSS:")?;
    let entries = rig
        .client
        .stats()
        .await
        .map_err(|error| error.to_string())?;
    let overheads = entries.iter().filter_map(|entry| {
        let memory = entry.stats.as_ref()?.memory;
        Some(memory.overhead as f64 / f64::from(1 << 20))
    });
    let overheads: Vec<_> = overheads.collect();
    if overheads.len() != GUESTS {
        return Err(format!("{} of {GUESTS} guests answer", overheads.len()));
    }
    Ok(vec![
        Figure {
            name: "200 idle guests of 8 MiB, all started in",
            value: Value::One(taken.as_secs_f64(), "s"),
        },
        Figure {
            name: "the daemon's memory with them (VmRSS)",
            value: Value::One(daemon / 1024.0, "MiB"),
        },
        Figure {
            name: "memory of each beyond the guest's RAM",
            value: Value::Several(Spread::new(overheads), "MiB"),
        },
        Figure {
            name: "processor time of all of them and the daemon",
            value: Value::One(share * 100.0, "% of a core"),
        },
    ])
}

/// A line of `/proc/PID/status`, in KiB.
fn status_kib(process: u32, name: &str) -> Result<f64, String> {
    let text = fs::read_to_string(format!("/proc/{process}/status"));
    let text = text.map_err(|error| format!("process {process}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| format!("process {process} has no {name}"))
}
