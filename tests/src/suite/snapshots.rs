//! Saving a VM, and going on from what was saved.

use super::{InMode, Once};
use crate::hosted::{Hosted, Plan, Terminal};
use crate::modes::Mode;
use paravane::device::block::BlockOptions;
use paravane::device::entropy::EntropyOptions;
use paravane::snapshot::file::{HEADER_SIZE, seal};
use paravane::snapshot::{SaveError, SnapshotFiles, save_to};
use paravane::vcpu::Ending;
use paravane::vm::stages::Stages;
use paravane::vm::{Vm, host};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    (
        "a_guest_goes_on_where_it_was_saved",
        a_guest_goes_on_where_it_was_saved,
    ),
    (
        "what_is_saved_at_any_moment_goes_on_with_one_vcpu",
        |mode| saved_at_any_moment(mode, 1),
    ),
    (
        "what_is_saved_at_any_moment_goes_on_with_four_vcpus",
        |mode| saved_at_any_moment(mode, 4),
    ),
    (
        "clones_learn_of_it_and_have_random_numbers_of_their_own",
        clones_learn_of_it_and_have_random_numbers_of_their_own,
    ),
];

pub(super) const ONCE: &[Once] = &[
    (
        "a_disk_goes_on_with_its_guest",
        a_disk_goes_on_with_its_guest,
    ),
    (
        "a_snapshot_takes_what_its_guest_uses",
        a_snapshot_takes_what_its_guest_uses,
    ),
    (
        "what_does_not_go_together_is_told",
        what_does_not_go_together_is_told,
    ),
    (
        "a_damaged_snapshot_is_an_error",
        a_damaged_snapshot_is_an_error,
    ),
    (
        "a_snapshot_that_was_made_up_does_no_harm",
        a_snapshot_that_was_made_up_does_no_harm,
    ),
];

const MODE: Mode = Mode::ALL[5];

/// A folder for snapshots, and the place of one in it.
fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let place = folder.path().join("snapshot");
    (folder, place)
}

#[track_caller]
fn save(vm: &Hosted, place: &Path) {
    save_to(&vm.control, place).unwrap_or_else(|error| panic!("{error}"));
}

fn a_guest_goes_on_where_it_was_saved(mode: Mode) {
    // One waits for an event, the other for input, one inside of each of these calls.
    for what in ["service", "echo"] {
        let (_folder, place) = place();
        let plan = Plan::new(mode, what).vcpus(2);
        let mut vm = Hosted::start(&plan);
        if what == "service" {
            assert_eq!(vm.terminal.line(), "serving");
        }
        assert!(vm.terminal.input.push(b"before\n"));
        assert_eq!(vm.terminal.line(), "before");
        save(&vm, &place);
        // It goes on.
        assert!(vm.terminal.input.push(b"and on\n"));
        assert_eq!(vm.terminal.line(), "and on");
        vm.stop();
        for is_early in [true, false] {
            let (early, late): (&[u8], &[u8]) = match is_early {
                true => (b"again\n", b""),
                false => (b"", b"again\n"),
            };
            let mut vm = Hosted::restore_after(&plan, &place, early);
            assert!(vm.terminal.input.push(late));
            assert_eq!(vm.terminal.line(), "again");
            vm.control.pause().expect("it can be paused");
            vm.control.resume();
            assert!(vm.terminal.input.push(b"and again\n"));
            assert_eq!(vm.terminal.line(), "and again");
            vm.stop();
        }
    }
}

/// Self-tests of everything that a VM can be in the middle of, saved and restored again and again.
fn saved_at_any_moment(mode: Mode, vcpus: u32) {
    let groups = "selftest=traps,delivery,upcalls,events,vcpus,smp,threads,sync,tasks,space";
    let plan = Plan::new(mode, groups).vcpus(vcpus);
    let mut vm = Hosted::start(&plan);
    vm.terminal.input.close();
    let mut lines = 0;
    let failed = loop {
        let line = vm.terminal.line();
        assert!(!line.starts_with("FAIL"), "{line}");
        if let Some(failed) = line.split(" passed, ").nth(1) {
            break failed.to_string();
        }
        lines += 1;
        if lines % 12 == 0 {
            let (_folder, place) = place();
            // Paused, so that it does not print what its clone prints.
            if vm.control.pause().is_err() {
                // It has just ended.
                continue;
            }
            if let Err(error) = save_to(&vm.control, &place) {
                // Likewise: what its vCPUs came to rest in was the end.
                assert!(vm.control.services.vcpus.stopping(), "{error}");
                continue;
            }
            let rest = vm.abandon();
            let mut next = Hosted::restore(&plan, &place);
            next.terminal.input.close();
            next.terminal.go_on_after(rest);
            vm = next;
        }
    };
    assert_eq!(failed, "0 failed");
    assert!(lines > 30);
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
}

/// What the kernel's verb `restored` says: how often, random bytes, clock and time of day.
fn told(terminal: &mut Terminal, what: &str) -> (u32, String, u64, u64) {
    let line = terminal.line();
    let words: Vec<_> = line.split(' ').collect();
    let [said, count, random, clock, day] = words[..] else {
        panic!("{line}");
    };
    assert_eq!(said, what);
    let number = |text: &str| text.parse::<u64>().expect("a number");
    (
        number(count) as u32,
        random.into(),
        number(clock),
        number(day),
    )
}

fn clones_learn_of_it_and_have_random_numbers_of_their_own(mode: Mode) {
    let (folder, place) = place();
    let plan = Plan::new(mode, "restored").vcpus(2);
    let mut vm = Hosted::start(&plan);
    let (count, first, clock, day) = told(&mut vm.terminal, "ready");
    assert_eq!(count, 0);
    save(&vm, &place);
    assert!(!vm.terminal.has_output());
    vm.stop();
    let mut clones = [0, 1].map(|_| Hosted::restore(&plan, &place));
    let mut random = vec![first];
    for clone in &mut clones {
        let told = told(&mut clone.terminal, "restored");
        assert_eq!(told.0, 1);
        random.push(told.1);
        // It goes on, and not from the host's.
        assert!(
            (clock..clock + 60_000).contains(&told.2),
            "{clock} {}",
            told.2
        );
        assert!((day..day + 600).contains(&told.3));
    }
    random.sort();
    random.dedup();
    assert_eq!(random.len(), 3);
    // A clone is a VM like any.
    let again = folder.path().join("again");
    let [clone, other] = clones;
    save(&clone, &again);
    clone.stop();
    other.stop();
    let mut clone = Hosted::restore(&plan, &again);
    assert_eq!(told(&mut clone.terminal, "restored").0, 2);
    clone.stop();
}

fn disk(folder: &Path) -> BlockOptions {
    let path = folder.join("disk.img");
    if !path.exists() {
        let file = File::create(&path).expect("a file");
        file.set_len(8 << 20).expect("a sparse file");
    }
    BlockOptions::parse(&format!("path={}", path.display())).expect("an option")
}

fn a_disk_goes_on_with_its_guest() {
    let (folder, _) = place();
    let what = "disk=write,count=1500,size=4096,flush=24";
    let plan = || {
        let rng = EntropyOptions::parse("").expect("an option");
        Plan::new(MODE, what)
            .device(disk(folder.path()))
            .device(rng)
    };
    let mut vm = Hosted::start(&plan());
    for round in 0..3 {
        for _ in 0..4 {
            vm.terminal.line_after("disk flushed ");
        }
        let place = folder.path().join(format!("snapshot{round}"));
        vm.control.pause().expect("it can be paused");
        save(&vm, &place);
        let rest = vm.abandon();
        vm = Hosted::restore(&plan(), &place);
        vm.terminal.go_on_after(rest);
    }
    assert_eq!(vm.terminal.line_after("disk wrote "), "1500");
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
    let what = "disk=verify,count=1500,size=4096";
    let mut vm = Hosted::start(&Plan::new(MODE, what).device(disk(folder.path())));
    assert_eq!(vm.terminal.line_after("disk verified "), "1500");
    vm.end();
}

fn a_snapshot_takes_what_its_guest_uses() {
    let (_folder, place) = place();
    let mut vm = Hosted::start(&Plan::new(MODE, "restored"));
    vm.terminal.line();
    save(&vm, &place);
    vm.stop();
    let blocks = |file| File::open(place.join(file)).and_then(|file| file.metadata());
    let memory = blocks("memory").expect("it is there");
    assert!(memory.len() > 64 << 20);
    assert!(memory.blocks() * 512 < 8 << 20, "{}", memory.blocks());
}

/// Why a snapshot cannot go on with this plan.
fn refusal(plan: &Plan, place: &Path) -> String {
    let (_terminal, console) = Terminal::new();
    let kvm = host::open(Path::new(host::DEVICE)).expect("a KVM");
    let config = plan.restored();
    let restored = SnapshotFiles::open(place)
        .map_err(Into::into)
        .and_then(|files| Vm::restore(&kvm, &files, &config, console, &mut Stages::start()));
    restored.map(drop).expect_err("it is refused").to_string()
}

fn what_does_not_go_together_is_told() {
    let (folder, place) = place();
    let plan = Plan::new(MODE, "restored").device(disk(folder.path()));
    let mut vm = Hosted::start(&plan);
    vm.terminal.line();
    save(&vm, &place);
    let there = save_to(&vm.control, &place);
    assert!(matches!(there, Err(SaveError::Folder { .. })));
    // Nothing of it is left.
    let names = std::fs::read_dir(folder.path()).expect("the folder is there");
    assert_eq!(names.count(), 2);
    vm.stop();
    let without = Plan::new(MODE, "restored");
    let error = refusal(&without, &place);
    assert_eq!(
        error,
        "the snapshot has the devices disk0, and the VM is to have (none)"
    );
    let rng = EntropyOptions::parse("").expect("an option");
    let error = refusal(&without.clone().device(rng), &place);
    assert!(
        error.starts_with("the device rng0 does not fit the snapshot: "),
        "{error}"
    );
    // Also when the guest has events of the device.
    let bound = Plan::new(MODE, "disk=write,count=1000000,flush=1").device(disk(folder.path()));
    let mut vm = Hosted::start(&bound);
    vm.terminal.line();
    let used = folder.path().join("used");
    save(&vm, &used);
    vm.stop();
    let error = refusal(&without, &used);
    assert_eq!(
        error,
        "the snapshot has the devices disk0, and the VM is to have (none)"
    );
    let error = refusal(&plan, &folder.path().join("nowhere"));
    assert!(
        error.starts_with("cannot read the snapshot's state: "),
        "{error}"
    );
}

fn a_damaged_snapshot_is_an_error() {
    let (folder, place) = place();
    let plan = Plan::new(MODE, "restored");
    let mut vm = Hosted::start(&plan);
    vm.terminal.line();
    save(&vm, &place);
    let other = folder.path().join("other");
    save(&vm, &other);
    vm.stop();
    let file = |name: &str| {
        let file = File::options()
            .read(true)
            .write(true)
            .open(place.join(name));
        file.expect("it is there")
    };
    let state = std::fs::read(place.join("state")).expect("it is there");
    let check = |says: &str| {
        let error = refusal(&plan, &place);
        assert!(error.contains(says), "{error:?} does not say {says:?}");
        std::fs::write(place.join("state"), &state).expect("it can be written");
    };
    file("state")
        .set_len(state.len() as u64 - 1)
        .expect("it is cut");
    check("is shorter or longer than it was");
    file("state").set_len(10).expect("it is cut");
    check("state is no part of a snapshot");
    file("state").write_all_at(b"X", 0).expect("it is written");
    check("state is no part of a snapshot");
    file("state").write_all_at(&[9], 8).expect("it is written");
    check("has format 9, and this VMM reads format 2");
    let last = state.len() as u64 - 3;
    let byte = state[last as usize] ^ 1;
    file("state")
        .write_all_at(&[byte], last)
        .expect("it is written");
    check("the checksum of the state is wrong");
    let size = file("memory").metadata().expect("it has a size").len();
    file("memory").set_len(size - 4096).expect("it is cut");
    check("the memory is shorter or longer than it was");
    file("memory").set_len(size).expect("it grows");
    check("memory is no part of a snapshot");
    std::fs::copy(other.join("memory"), place.join("memory")).expect("it is copied");
    check("are not of the same snapshot");
}

/// Numbers that are the same each time (Marsaglia, Xorshift RNGs).
fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

/// Bytes of the state are changed, and its checksums are right: it is refused, or it is a VM.
fn a_snapshot_that_was_made_up_does_no_harm() {
    let (folder, place) = place();
    let plan = Plan::new(MODE, "restored")
        .vcpus(2)
        .device(disk(folder.path()));
    let mut vm = Hosted::start(&plan);
    vm.terminal.line();
    save(&vm, &place);
    vm.stop();
    let state = std::fs::read(place.join("state")).expect("it is there");
    let payload = &state[HEADER_SIZE..];
    let kvm = host::open(Path::new(host::DEVICE)).expect("a KVM");
    let config = plan.restored();
    let mut random = 0x1234_5678_9abc_def1;
    let mut refused = 0;
    for _ in 0..400 {
        let mut payload = payload.to_vec();
        for _ in 0..1 + xorshift(&mut random) % 4 {
            // What is not registers is at both ends.
            let size = payload.len();
            let at = match xorshift(&mut random) % 3 {
                0 => xorshift(&mut random) % size.min(400),
                1 => size - 1 - xorshift(&mut random) % size.min(1000),
                _ => xorshift(&mut random) % size,
            };
            match xorshift(&mut random) % 4 {
                0 => payload[at] = xorshift(&mut random) as u8,
                1 => payload[at] ^= 1 << (xorshift(&mut random) % 8),
                2 => payload[at] = [0, 0x7f, 0x80, 0xff][xorshift(&mut random) % 4],
                _ => payload.truncate(at.max(1)),
            }
        }
        std::fs::write(place.join("state"), seal(&payload)).expect("it can be written");
        let (_terminal, console) = Terminal::new();
        let files = SnapshotFiles::open(&place).expect("they are there");
        let restored = Vm::restore(&kvm, &files, &config, console, &mut Stages::start());
        refused += u32::from(restored.is_err());
    }
    assert!(refused > 100, "{refused}");
}
