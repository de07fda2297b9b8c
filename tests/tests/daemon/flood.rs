//! A guest that writes to its console as fast as it can.

use crate::vms::run;
use paravane_api::log::{LogLevel, LogSource};
use paravane_client::{Client, ConsoleMessage, ConsoleMode, LogQuery};
use paravane_tests::daemon::Place;
use paravane_tests::program;
use std::fs;

/// What a process may have of memory beyond what it had, in bytes.
const MORE: u64 = 8 << 20;

/// What the guest writes at least, in bytes.
const WRITTEN: u64 = 64 << 20;

/// A file of the log, and how many older ones there are.
const LOG_SIZE: u64 = 64 << 10;
const LOG_FILES: u64 = 2;

/// The memory of a process in RAM, in bytes.
fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib = line.split_whitespace().next().unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Waits until the guest has written so many bytes.
async fn until_written(client: &Client, vm: &str, bytes: u64) {
    while client.vm_stats(vm).await.unwrap().console_bytes < bytes {}
}

#[tokio::test]
async fn a_flood_takes_no_more_than_it_may() {
    if !program::has_local_kvm("a_flood_takes_no_more_than_it_may") {
        return;
    }
    let place = Place::new();
    // A rate at which the log is rotated often.
    let text = format!(
        "[log]\nsize = {LOG_SIZE}\nfiles = {LOG_FILES}\nrate = {}\n",
        4 * LOG_SIZE
    );
    let config = place.file("daemon.toml", text);
    let mut command = place.command();
    let daemon = place.start(command.arg("--config").arg(config)).unwrap();
    let client = place.client();
    let vm = run(&client, "flood", "flood").await;
    let pid = vm.pid.unwrap();
    until_written(&client, "flood", 1 << 20).await;
    let before = [memory(pid), memory(daemon.pid())];

    // One reads nothing at first; one is followed by nobody who reads.
    let console = client.console("flood", ConsoleMode::Read).await.unwrap();
    let query = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let followed = client.logs("flood", &query).await.unwrap();
    until_written(&client, "flood", WRITTEN).await;
    let after = [memory(pid), memory(daemon.pid())];
    for (what, (before, after)) in ["VM", "daemon"].iter().zip(before.iter().zip(after)) {
        assert!(
            after <= before + MORE,
            "{what}: {before} bytes became {after}"
        );
    }

    // The slow one is told how much it missed: nearly all of it.
    let (mut reader, _writer) = console.split();
    let (mut read, mut lost) = (0, 0);
    while read + lost < WRITTEN {
        match reader.next().await.unwrap() {
            Some(ConsoleMessage::Output(bytes)) => read += bytes.len() as u64,
            Some(ConsoleMessage::Lost(bytes)) => lost += bytes,
            other => panic!("after {read} bytes: {other:?}"),
        }
    }
    assert!(lost > WRITTEN / 2, "{read} bytes were read, {lost} lost");
    drop((reader, followed));

    let folder = fs::read_dir(place.vm_folder(&vm.id)).unwrap();
    let logs: Vec<_> = folder
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("log"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(logs.len() as u64, LOG_FILES + 1);
    assert!(logs.iter().all(|size| *size <= LOG_SIZE), "{logs:?}");
    // The log says that not all of it is there.
    let query = LogQuery {
        source: Some(LogSource::Vmm),
        ..LogQuery::default()
    };
    let mut lines = client.logs("flood", &query).await.unwrap();
    let mut left_out = 0;
    while let Some(line) = lines.next().await.unwrap() {
        let is_told = line.message.contains(" bytes of the console were left out");
        left_out += u32::from(is_told && line.level == LogLevel::Warn);
    }
    assert!(left_out > 0);
    client.delete_vm("flood", true).await.unwrap();
    assert!(daemon.end().success());
}
