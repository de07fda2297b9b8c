//! Disks, as those see them who run guests.

use super::{InMode, Once};
use crate::modes::Mode;
use crate::program::{self, Ended, Running, end, exit_code, guest, guest_command, paravane};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(super) const IN_EVERY_MODE: &[InMode] = &[(
    "what_is_written_to_a_disk_is_there_later",
    what_is_written_to_a_disk_is_there_later,
)];

pub(super) const ONCE: &[Once] = &[
    (
        "what_was_flushed_survives_a_kill",
        what_was_flushed_survives_a_kill,
    ),
    (
        "a_disk_that_cannot_be_had_is_told_in_a_sentence",
        a_disk_that_cannot_be_had_is_told_in_a_sentence,
    ),
    (
        "an_image_is_used_by_one_guest_at_a_time",
        an_image_is_used_by_one_guest_at_a_time,
    ),
    (
        "a_report_is_about_each_device",
        a_report_is_about_each_device,
    ),
    (
        "a_disk_under_load_takes_few_exits",
        a_disk_under_load_takes_few_exits,
    ),
    (
        "a_read_only_disk_is_not_written",
        a_read_only_disk_is_not_written,
    ),
];

/// A folder with an image of so many bytes.
fn image(size: u64) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("disk.img");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(size).expect("a sparse file");
    (folder, path)
}

fn disk(path: &Path, more: &str) -> String {
    format!("path={}{more}", path.display())
}

fn what_is_written_to_a_disk_is_there_later(mode: Mode) {
    let (_folder, path) = image(4 << 20);
    let disk = disk(&path, ",queues=2,id=selftest");
    let options = [&mode.options()[..], &["--disk", &disk, "--rng"]].concat();
    let run = |what: &str| guest(what, &options);
    run("disk=write,count=300,size=8192")
        .exits(0)
        .prints("disk wrote 300\n");
    run("disk=verify,count=300,size=8192")
        .exits(0)
        .prints("disk verified 300\n");
    run("disk=verify,count=300,size=8192,seed=2")
        .exits(1)
        .prints("disk lost");
    run("selftest=devices").exits(0).prints(" 0 failed\n");
}

/// How often the VMM is killed, unless that takes too long.
const KILLS: u32 = 40;
/// How often in any case: where a processor is emulated, a start takes seconds.
const KILLS_MIN: u32 = 3;
const KILLING_TIME: Duration = Duration::from_secs(20);

fn what_was_flushed_survives_a_kill() {
    let (_folder, path) = image(8 << 20);
    let disk = disk(&path, "");
    let started = Instant::now();
    for seed in 1..=KILLS {
        if seed > KILLS_MIN && started.elapsed() > KILLING_TIME {
            break;
        }
        let what = format!("disk=write,seed={seed},count=1000000000,size=4096,flush=24");
        let mut guest = Running::start(&mut guest_command(&what, &["--disk", &disk]));
        // It is killed while it does what follows such a line, a moment that differs each time.
        let mut printed: String = (0..2 + seed * 7 % 23).map(|_| guest.line()).collect();
        printed += &guest.kill();
        let last = printed
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .filter_map(|line| line.strip_prefix("disk flushed ")?.trim_end().parse().ok())
            .next_back();
        let count: u64 = last.expect("it had flushed something");
        let what = format!("disk=verify,seed={seed},count={count},size=4096");
        end(&mut guest_command(&what, &["--disk", &disk]))
            .exits(0)
            .prints(&format!("disk verified {count}\n"));
    }
}

#[track_caller]
fn refused(disk: &str) -> Ended {
    program::refused(&["--disk", disk])
}

fn a_disk_that_cannot_be_had_is_told_in_a_sentence() {
    let (folder, path) = image(4096);
    refused(&disk(&folder.path().join("none"), "")).says("there is no such file");
    refused(&disk(folder.path(), "")).says("it is a directory");
    refused(&disk(&path, ",serial=123456789012345678901")).says("has at most 20");
    refused(&disk(&path, ",size=3")).says("\"size=3\" is no setting here; there are path=");
    refused("ro").says("a disk needs an image: path=FILE");
    let short = folder.path().join("short");
    std::fs::write(&short, [0; 700]).expect("it can be written");
    refused(&disk(&short, "")).says("its size of 700 bytes is not a multiple of 512");
    std::fs::write(&short, []).expect("it can be written");
    refused(&disk(&short, "")).says("it is empty");
    let mut qcow2 = b"QFI\xfb\0\0\0\x03".to_vec();
    qcow2.resize(4096, 0);
    std::fs::write(&short, &qcow2).expect("it can be written");
    refused(&disk(&short, "")).says("it is a qcow2 image");
    refused(&disk(&short, ",ro")).says("it cannot be used as qcow2");

    let one = disk(&path, ",ro,id=data");
    let both = ["--disk", &one, "--disk", &one];
    guest("hello", &both)
        .exits(exit_code::BAD_CONFIGURATION)
        .says("two devices have the id data");
    let writable = disk(&path, "");
    guest("hello", &["--disk", &writable, "--disk", &writable])
        .exits(exit_code::BAD_CONFIGURATION)
        .says("it is in use by another VM or another disk");
}

fn an_image_is_used_by_one_guest_at_a_time() {
    let (_folder, path) = image(1 << 20);
    let (writable, shared) = (disk(&path, ""), disk(&path, ",ro"));
    let mut first = Running::start(&mut guest_command("idle", &["--disk", &writable]));
    assert_eq!(first.line(), "idle\n");
    refused(&writable).says("in use by another VM");
    refused(&shared).says("in use by another VM");
    drop(first.stdin.take());
    assert_eq!(first.end().0, Some(0));

    let mut first = Running::start(&mut guest_command("idle", &["--disk", &shared]));
    assert_eq!(first.line(), "idle\n");
    refused(&writable).says("only disks that all have ro may share");
    guest("hello", &["--disk", &shared]).exits(0);
    drop(first.stdin.take());
    assert_eq!(first.end().0, Some(0));
    guest("hello", &["--disk", &writable]).exits(0);
}

/// Runs a guest with a disk, and reads the report.
fn report(what: &str, disk: &str) -> Value {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("report.json");
    let name = path.to_str().expect("its name is text");
    guest(what, &["--disk", disk, "--report", name, "--rng"]).exits(0);
    let text = std::fs::read_to_string(&path).expect("the report is there");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn a_report_is_about_each_device() {
    let (_folder, path) = image(1 << 20);
    let report = report(
        "disk=write,count=100,size=4096,flush=100",
        &disk(&path, ",id=data"),
    );
    let devices = report["devices"].as_array().expect("a list");
    let ids: Vec<_> = devices.iter().map(|device| &device["id"]).collect();
    assert_eq!(ids, ["data", "rng0"]);
    let queue = &devices[0]["queues"][0];
    let number = |name: &str| queue[name].as_u64().expect(name);
    // 100 writes and a flush, each with a header of 16 bytes and a status of one.
    assert_eq!(number("requests"), 101);
    assert_eq!(number("bytes_from_guest"), 100 * 4096 + 101 * 16);
    // A disk that looks at its ring by itself wants no doorbell, and such a driver no event.
    assert!(number("doorbells") <= 101, "{queue}");
    let told = number("notifications") + number("suppressed_notifications");
    assert!(told >= 1, "{queue}");
    assert!(number("latency_p50_ns") > 0, "{queue}");
    assert!(
        number("latency_p99_ns") <= number("latency_max_ns"),
        "{queue}"
    );
    assert_eq!(devices[1]["queues"][0]["requests"], 0);
}

/// The figure that does not depend on how fast the machine is: exits of the vCPU for each request,
/// to the VMM and to the host's kernel.
fn a_disk_under_load_takes_few_exits() {
    let (_folder, path) = image(16 << 20);
    let what = "disk=bench,only=read-random,count=4000";
    let ended = guest(what, &["--disk", &disk(&path, "")]).exits(0);
    let words: Vec<_> = ended.stdout.split_whitespace().collect();
    let number = |name: &str| -> f64 {
        let at = words.iter().position(|word| *word == name).expect(name);
        words[at + 1].parse().expect("a number")
    };
    let exits = (number("exits") + number("doorbells")) / number("requests");
    assert!(exits < 0.1, "{exits} for each request: {}", ended.stdout);
}

fn a_read_only_disk_is_not_written() {
    let (_folder, path) = image(1 << 20);
    let disk = disk(&path, ",ro");
    guest("disk=write,count=1", &["--disk", &disk]).exits(1);
    let bytes = std::fs::read(&path).expect("it is there");
    assert!(bytes.iter().all(|&byte| byte == 0));
    end(&mut paravane(["run", "--disk", &disk, "--", "disk=info"]))
        .exits(0)
        .prints(" ro true ");
}
