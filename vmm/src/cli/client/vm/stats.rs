//! `paravane vm stats`.

use super::OneArgs;
use crate::cli::client::human::{self, clean};
use crate::cli::client::table::{Column, render};
use crate::cli::exit_code::Failure;
use crate::cli::output::{print_text, to_json};
use paravane_api::stats::{Histogram, VmStats};
use std::process::ExitCode;

/// Shows what a VM has done and uses.
pub async fn stats(args: &OneArgs) -> Result<ExitCode, Failure> {
    let stats = args.common.client()?.vm_stats(&args.vm).await?;
    print_text(&match args.common.json {
        true => to_json(&stats)?,
        false => describe(&stats),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn describe(stats: &VmStats) -> String {
    let memory = &stats.memory;
    let mut text = format!(
        "up            {}\n\
         CPU time      {}\n\
         memory        {} of {} in use, {} beside it\n\
         console       {}\n",
        human::nanoseconds(stats.uptime_ns),
        human::nanoseconds(stats.cpu_ns),
        human::bytes(memory.resident_ram),
        human::bytes(memory.ram),
        human::bytes(memory.overhead),
        human::bytes(stats.console_bytes),
    );
    let tables = [
        vcpus(stats),
        exits(stats),
        hypercalls(stats),
        devices(stats),
    ];
    for table in tables.into_iter().flatten() {
        text.push('\n');
        text.push_str(&table);
    }
    text
}

fn vcpus(stats: &VmStats) -> Option<String> {
    let columns = [
        Column::Text("VCPU"),
        Column::Text("STATE"),
        Column::Figure("EXITS"),
        Column::Figure("STEAL"),
    ];
    let rows = stats.vcpus.iter().enumerate().map(|(number, vcpu)| {
        let steal = human::nanoseconds(vcpu.steal_ns);
        [
            number.to_string(),
            clean(&vcpu.state),
            vcpu.exits.to_string(),
            steal,
        ]
    });
    table(columns, rows)
}

fn exits(stats: &VmStats) -> Option<String> {
    let columns = [Column::Text("EXIT"), Column::Figure("COUNT")];
    let exits = stats.exits.iter();
    table(
        columns,
        exits.map(|(reason, count)| [clean(reason), count.to_string()]),
    )
}

fn hypercalls(stats: &VmStats) -> Option<String> {
    let columns = [
        Column::Text("HYPERCALL"),
        Column::Figure("COUNT"),
        Column::Figure("MEAN"),
    ];
    let calls = stats.hypercalls.iter();
    let rows = calls.map(|(name, call)| {
        let latency = &call.latency;
        [clean(name), latency.count.to_string(), mean(latency)]
    });
    table(columns, rows)
}

fn devices(stats: &VmStats) -> Option<String> {
    let columns = [
        Column::Text("DEVICE"),
        Column::Figure("REQUESTS"),
        Column::Figure("MEAN"),
        Column::Figure("FROM GUEST"),
        Column::Figure("TO GUEST"),
        Column::Figure("DOORBELLS"),
        Column::Figure("NOTIFICATIONS"),
    ];
    let rows = stats.devices.iter().map(|device| {
        [
            clean(&device.id),
            device.requests.to_string(),
            mean(&device.latency),
            human::bytes(device.bytes_from_guest),
            human::bytes(device.bytes_to_guest),
            device.doorbells.to_string(),
            device.notifications.to_string(),
        ]
    });
    table(columns, rows)
}

/// A table, if it has rows.
fn table<const N: usize>(
    columns: [Column; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Option<String> {
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| render(columns, &rows))
}

fn mean(times: &Histogram) -> String {
    match times.sum_ns.checked_div(times.count) {
        Some(mean) => human::nanoseconds(mean),
        None => "-".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown() {
        let stats = serde_json::from_value(serde_json::json!({
            "uptime_ns": 75_000_000_000_u64, "cpu_ns": 1_500_000, "console_bytes": 100,
            "exits": {"hlt": 3},
            "hypercalls": {"nop": {"latency": {"count": 2, "sum_ns": 3000, "buckets": []}}},
            "vcpus": [{"state": "blocked", "steal_ns": 0, "exits": 5}],
            "memory": {"ram": 8 << 20, "resident_ram": 1 << 20, "overhead": 3 << 20},
            "devices": [],
        }));
        let expected = "\
up            1m 15s
CPU time      1.5 ms
memory        1 MiB of 8 MiB in use, 3 MiB beside it
console       100 B

VCPU  STATE    EXITS  STEAL
0     blocked      5   0 ns

EXIT  COUNT
hlt       3

HYPERCALL  COUNT    MEAN
nop            2  1.5 us
";
        assert_eq!(describe(&stats.unwrap()), expected);
    }
}
