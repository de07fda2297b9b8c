//! A VM's process saves its VM, and another one goes on from what it saved.

use super::{assert_error, pause, service};
use crate::program::exit_code;
use crate::suite::Once;
use crate::vm_process::{Connection, VmProcess, plan, spec};
use paravane_api::VmSpec;
use paravane_api::device::{Devices, Disk, Rng, Share};
use paravane_api::log::LogLine;
use paravane_api::vm::EndKind;
use paravane_control::message::{Answer, Phase, Refusal, Request};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    (
        "another_process_goes_on_from_a_snapshot",
        another_process_goes_on,
    ),
    (
        "a_guest_that_went_on_can_be_saved_again",
        saved_again_and_again,
    ),
    (
        "devices_go_on_in_another_process",
        devices_go_on_in_another_process,
    ),
    (
        "a_share_goes_on_in_another_process",
        a_share_goes_on_in_another_process,
    ),
    (
        "a_crash_after_a_snapshot_is_explained",
        a_crash_after_a_snapshot_is_explained,
    ),
    (
        "a_guest_that_went_on_changes_its_mappings_in_a_sandbox",
        a_guest_that_went_on_changes_its_mappings,
    ),
    (
        "what_cannot_be_saved_is_told_to_the_daemon",
        what_cannot_be_saved_is_told,
    ),
    (
        "what_cannot_be_restored_is_told_to_the_daemon",
        what_cannot_be_restored_is_told,
    ),
];

fn directory() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// Has a paused VM saved, and moves what it saved to `place`, as the daemon does.
#[track_caller]
fn save(process: &VmProcess, connection: &mut Connection, place: &Path) {
    let reply = connection.ask(&Request::Snapshot);
    assert_eq!(reply, Some(Ok(Answer::Done)));
    assert_eq!(connection.status().phase, Phase::Paused);
    fs::rename(process.folder.snapshot(), place).expect("it can be moved");
}

fn restore(spec: VmSpec, place: &Path) -> VmProcess {
    let mut plan = plan(spec);
    plan.restore = Some(place.to_path_buf());
    VmProcess::start(&plan)
}

/// A snapshot of a guest with this command line that has printed this.
fn snapshot_of(spec: VmSpec, printed: &str, place: &Path) -> VmProcess {
    let process = VmProcess::start(&plan(spec));
    process.console(false).expect(printed);
    let mut connection = process.connect();
    pause(&mut connection);
    save(&process, &mut connection, place);
    process
}

fn another_process_goes_on() {
    let directory = directory();
    let place = directory.path().join("one");
    let process = snapshot_of(spec("service"), "serving\n", &place);
    let entries = fs::read_dir(&place).expect("it is a folder");
    let names: BTreeSet<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, BTreeSet::from(["memory".into(), "state".into()]));

    let resumed = process.connect().ask(&Request::Resume);
    assert_eq!(resumed, Some(Ok(Answer::Done)));
    let mut console = process.console(true);
    console.write(b"and on\n");
    console.expect("and on\n");

    for _ in 0..2 {
        let mut clone = restore(spec("service"), &place);
        let status = clone.connect_running().status();
        assert_eq!(status.phase, Phase::Running);
        let mut console = clone.console(true);
        console.write(b"again\n");
        console.expect("again\n");
        clone.connect().stop(100_000);
        let ended = clone.ended();
        assert_eq!((ended.kind, ended.exit_code), (EndKind::Shutdown, 0));
        let log = clone.log();
        let goes_on = |line: &LogLine| {
            line.message
                .starts_with("the guest goes on from a snapshot: ")
        };
        assert!(log.iter().any(goes_on), "{log:?}");
    }
}

fn saved_again_and_again() {
    let directory = directory();
    let place = |number: u32| directory.path().join(number.to_string());
    let mut process = snapshot_of(spec("restored"), "ready 0 ", &place(0));
    for round in 1..=3 {
        process = restore(spec("restored"), &place(round - 1));
        process.console(false).expect(&format!("restored {round} "));
        let mut connection = process.connect();
        pause(&mut connection);
        save(&process, &mut connection, &place(round));
    }
    process.connect().stop(0);
    assert_eq!(process.ended().kind, EndKind::Stopped);
}

fn devices_go_on_in_another_process() {
    let directory = directory();
    let image = directory.path().join("disk.img");
    let file = File::create(&image).expect("a file");
    file.set_len(8 << 20).expect("a sparse file");
    let with_disk = |command_line: &str| {
        let mut spec = spec(command_line);
        spec.devices = Devices {
            disks: vec![Disk {
                source: image.display().to_string(),
                ..Disk::default()
            }],
            rng: Some(Rng::default()),
            ..Devices::default()
        };
        spec
    };
    let place = directory.path().join("one");
    let writing = "disk=write,count=600,size=4096,flush=24";
    drop(snapshot_of(with_disk(writing), "disk flushed ", &place));
    let mut clone = restore(with_disk(writing), &place);
    clone.console(false).expect("disk wrote 600\n");
    assert_eq!(clone.ended().exit_code, 0);
    let mut reader = VmProcess::start(&plan(with_disk("disk=verify,count=600,size=4096")));
    reader.console(false).expect("disk verified 600\n");
    assert_eq!(reader.ended().exit_code, 0);
}

/// It reads on where it was, through what it had open, and sees what the folder has by then.
fn a_share_goes_on_in_another_process() {
    let directory = directory();
    let folder = |name: &str| directory.path().join(name);
    let share = |name: &str| {
        let mut spec = spec("share=follow,path=sub/file");
        spec.devices.shares = vec![Share {
            id: None,
            path: folder(name).display().to_string(),
            tag: "files".to_string(),
        }];
        spec
    };
    let fill = |name: &str, text: &str| {
        fs::create_dir_all(folder(name).join("sub")).expect("a folder");
        fs::write(folder(name).join("sub/file"), text).expect("a file");
    };
    fill("here", "one\n");
    let place = folder("one");
    let process = VmProcess::start(&plan(share("here")));
    let mut console = process.console(true);
    console.expect("following\n");
    console.write(b"\n");
    console.expect("one\n1 entries\n");
    let mut connection = process.connect();
    pause(&mut connection);
    save(&process, &mut connection, &place);
    assert_eq!(connection.ask(&Request::Resume), Some(Ok(Answer::Done)));
    fill("here", "one\ntwo\n");
    console.write(b"\n");
    console.expect("two\n1 entries\n");

    // Another host, with the same files and one more.
    fill("there", "one\ntoo\n");
    fs::write(folder("there/sub/other"), "").expect("a file");
    for name in ["here", "there"] {
        let clone = restore(share(name), &place);
        let mut console = clone.console(true);
        console.write(b"\n");
        console.expect(match name {
            "here" => "two\n1 entries\n",
            _ => "too\n2 entries\n",
        });
    }
    fs::remove_file(folder("here/sub/file")).expect("it is there");
    let mut clone = restore(share("here"), &place);
    let mut console = clone.console(true);
    console.write(b"\n");
    console.expect("share failed: it is not there any more\n");
    assert_eq!(clone.ended().exit_code, 1);
}

fn a_crash_after_a_snapshot_is_explained() {
    let directory = directory();
    let place = directory.path().join("one");
    drop(snapshot_of(spec("shell"), "paravane> ", &place));
    let mut clone = restore(spec("shell"), &place);
    clone.console(true).write(b"panic\n");
    let ended = clone.ended();
    assert_eq!(ended.kind, EndKind::Crash);
    assert_eq!(i32::from(ended.exit_code), exit_code::GUEST_CRASH);
    let crash = ended.crash.expect("there is an explanation").to_string();
    assert!(crash.contains("paravane_guest_kernel::shell"), "{crash}");

    let mut gone = spec("shell");
    gone.image.0 = "/no/such/image".to_string();
    let mut clone = restore(gone, &place);
    clone.console(true).write(b"panic\n");
    let ended = clone.ended();
    assert_eq!((ended.kind, ended.crash), (EndKind::Crash, None));
    let message = ended.message.expect("there is a reason");
    assert!(message.contains("/no/such/image"), "{message}");
}

/// Its RAM is a file's, whose translations are made forgotten in another way.
fn a_guest_that_went_on_changes_its_mappings() {
    let directory = directory();
    let place = directory.path().join("one");
    drop(snapshot_of(spec("shell"), "paravane> ", &place));
    let clone = restore(spec("shell"), &place);
    let mut console = clone.console(true);
    console.write(b"selftest space\n");
    console.expect(" 0 failed\n");
    clone.connect().stop(0);
}

fn what_cannot_be_saved_is_told() {
    let process = service("service", 0);
    let mut connection = process.connect();
    match connection.ask(&Request::Snapshot) {
        Some(Err(Refusal::State(_))) => {}
        other => panic!("{other:?}"),
    }
    // What is in its place stays as it is.
    pause(&mut connection);
    fs::write(process.folder.snapshot(), "in the way").expect("it can be written");
    match connection.ask(&Request::Snapshot) {
        Some(Err(Refusal::Failed(message))) => assert!(message.contains("exists"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(process.folder.snapshot().is_file());
    // It goes on as before.
    assert_eq!(connection.ask(&Request::Resume), Some(Ok(Answer::Done)));
    assert_eq!(connection.status().phase, Phase::Running);
}

fn what_cannot_be_restored_is_told() {
    let directory = directory();
    let nothing = PathBuf::from("/no/such/snapshot");
    let ended = restore(spec("service"), &nothing).ended();
    assert_error(&ended, "cannot read the snapshot's state: No such file");

    let place = directory.path().join("one");
    drop(snapshot_of(spec("service"), "serving\n", &place));
    let mut larger = spec("service");
    larger.resources.memory = 256 << 20;
    let ended = restore(larger, &place).ended();
    let message = "the snapshot is of a VM with 134217728 bytes of RAM and 1 vCPUs, and this one \
                   is to have 268435456 and 1";
    assert_error(&ended, message);

    let mut other = spec("service");
    other.devices.rng = Some(Rng::default());
    let ended = restore(other, &place).ended();
    assert_error(&ended, "rng0");

    fs::write(place.join("state"), "none").expect("it can be written");
    let ended = restore(spec("service"), &place).ended();
    assert_error(&ended, "state is no part of a snapshot");
}
