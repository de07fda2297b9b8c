//! The SDK's examples do what they say.

use super::{InMode, Once};
use crate::guests::example;
use crate::modes::Mode;
use crate::program::{Ended, end, end_with_input, paravane};
use std::io::{Cursor, Read, Write};
use tempfile::TempDir;

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    ("threads_find_all_primes", threads_find_all_primes),
    ("timers_come_in_every_way", timers_come_in_every_way),
    ("tasks_run_and_are_kept_apart", tasks_run_and_are_kept_apart),
    ("vcpus_share_a_matrix_product", vcpus_share_a_matrix_product),
    ("an_async_echo_ends_with_its_input", an_async_echo),
    (
        "a_driver_of_another_crate_works",
        a_driver_of_another_crate_works,
    ),
];

pub(super) const ONCE: &[Once] = &[
    ("eight_vcpus_on_what_there_is", eight_vcpus),
    ("files_on_a_disk_are_kept", files_on_a_disk_are_kept),
];

fn run(name: &str, mode: Mode, options: &[&str]) -> Ended {
    run_with(name, &[&mode.options()[..], options].concat())
}

fn run_with(name: &str, options: &[&str]) -> Ended {
    end(paravane(["run", "--timeout", "120s"])
        .args(options)
        .arg(example(name)))
    .exits(0)
}

fn threads_find_all_primes(mode: Mode) {
    for vcpus in ["1", "4"] {
        let options = ["--vcpus", vcpus, "--cmdline", "20000"];
        run("threads", mode, &options)
            .prints("thread 2 \"worker 0\" has looked at ")
            .prints("100%\n")
            .prints("2262 primes below 20000, the largest is 19997\n");
    }
}

fn timers_come_in_every_way(mode: Mode) {
    run("timers", mode, &[])
        .prints("slept for ")
        .prints(" UTC\n10 ticks of 2ms came in ")
        .prints("3 more ticks came while upcalls were masked: 1 event\nwoken ")
        .prints("\ntimer 1 after ")
        .prints("\ntimer 0 after ");
}

fn tasks_run_and_are_kept_apart(mode: Mode) {
    let ended = run("user-task", mode, &[]);
    for number in 1..=8 {
        let line = format!("[{number}] has ended");
        assert_eq!(ended.stdout.matches(&line).count(), 1, "{}", ended.stdout);
    }
    // Parent and child have their own copy of what both wrote.
    let ended = ended
        .prints("parent: and now 101\n")
        .prints("child: and now 11\n");
    // What a task must not do ends it, and nothing else.
    // In ring0 mode the kernel's memory is there, and not the task's.
    let ended = ended
        .prints("#PF writing 0x400000000000, ")
        .prints(", for which the right is missing\n")
        .prints("#GP, error code 0x0\n");
    ended
        .prints("talker 1: writing from nowhere gives -14\n")
        .prints("talker 2: writing from nowhere gives -14\n");
}

fn vcpus_share_a_matrix_product(mode: Mode) {
    let ended = run("smp-matrix", mode, &["--vcpus", "4", "--cmdline", "64"]);
    check_product(&ended, 4, 64);
}

fn check_product(ended: &Ended, vcpus: u32, size: u32) {
    let checksums: Vec<_> = ended
        .stdout
        .lines()
        .filter_map(|line| line.split_once("checksum "))
        .map(|(_, checksum)| checksum)
        .collect();
    assert!(
        matches!(checksums[..], [one, all] if one == all),
        "{}",
        ended.stdout
    );
    let rows: Vec<u32> = ended
        .stdout
        .lines()
        .filter_map(|line| line.strip_suffix(" rows")?.split_once(" has computed "))
        .map(|(_, rows)| rows.parse().expect("a number of rows"))
        .collect();
    assert_eq!(rows.len() as u32, vcpus);
    assert_eq!(rows.iter().sum::<u32>(), size);
}

fn an_async_echo(mode: Mode) {
    let mut command = paravane(["run", "--timeout", "120s"]);
    command.args(mode.options()).arg(example("async-echo"));
    let ended = end_with_input(&mut command, b"one\ntwo\nthree\n").exits(0);
    let expected = "echo: one\necho: two\necho: three\n3 lines; good-bye\n";
    assert_eq!(ended.stdout, expected);
}

/// More vCPUs than any of the hosts has processors.
fn eight_vcpus() {
    let ended = run_with("smp-matrix", &["--vcpus", "8", "--cmdline", "64"]);
    check_product(&ended, 8, 64);
    run_with("threads", &["--vcpus", "8", "--cmdline", "20000"])
        .prints("16 workers on 8 vCPUs\n")
        .prints("2262 primes below 20000, the largest is 19997\n");
}

fn a_driver_of_another_crate_works(mode: Mode) {
    let bytes = || run("random", mode, &["--rng"]).stdout;
    let (one, other) = (bytes(), bytes());
    assert_eq!(one.split(", ").count(), 16, "{one}");
    assert_ne!(one, other);
}

/// Where the only partition begins, in bytes.
const PARTITION: usize = 1 << 20;

/// An image with one partition of FAT, in which there is a file.
fn fat_image() -> Vec<u8> {
    let mut image = vec![0; 16 << 20];
    let (table, partition) = image.split_at_mut(PARTITION);
    let sectors = |bytes: usize| ((bytes / 512) as u32).to_le_bytes();
    // The first entry of the partition table: FAT16, its first sector, and how many there are.
    table[0x1be + 4] = 6;
    table[0x1be + 8..][..4].copy_from_slice(&sectors(PARTITION));
    table[0x1be + 12..][..4].copy_from_slice(&sectors(partition.len()));
    table[0x1fe..][..2].copy_from_slice(&[0x55, 0xaa]);
    let mut partition = Cursor::new(partition);
    let options = fatfs::FormatVolumeOptions::new().fat_type(fatfs::FatType::Fat16);
    fatfs::format_volume(&mut partition, options).expect("it can be formatted");
    let files = fatfs::FileSystem::new(&mut partition, fatfs::FsOptions::new()).expect("it is FAT");
    let mut file = files.root_dir().create_file("HELLO.TXT").expect("a file");
    file.write_all(b"hello").expect("there is room");
    drop(file);
    drop(files);
    image
}

/// What is written by one implementation is read by the other.
fn files_on_a_disk_are_kept() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("files.img");
    std::fs::write(&path, fat_image()).expect("there is room");
    let disk = format!("path={}", path.display());
    run_with("files", &["--disk", &disk]).prints("HELLO.TXT 5 ");
    run_with("files", &["--disk", &disk]).prints("VISITS.TXT 34 ");

    let mut image = std::fs::read(&path).expect("it is there");
    let partition = Cursor::new(&mut image[PARTITION..]);
    let files = fatfs::FileSystem::new(partition, fatfs::FsOptions::new()).expect("it is FAT");
    let mut text = String::new();
    let mut file = files.root_dir().open_file("VISITS.TXT").expect("a file");
    file.read_to_string(&mut text).expect("text");
    assert_eq!(text, "a guest was here\n".repeat(2));
}
