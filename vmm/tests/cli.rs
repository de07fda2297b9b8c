//! The `paravane` command where no guest runs: what is wrong is told in one sentence, with an
//! exit code that says whose fault it is. None of these tests needs KVM.

use pv_abi::image_note::ImageNote;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::mem::offset_of;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const BAD_IMAGE: i32 = 120;
const NO_KVM: i32 = 121;
const BAD_CONFIGURATION: i32 = 122;

/// A device that does not exist, so that no test can depend on the host's.
const NO_DEVICE: &str = "/dev/there-is-no-such-kvm";

/// The guest kernel that is built into the command.
const GUEST_KERNEL: &str = env!("PARAVANE_GUEST_KERNEL");

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paravane"));
    command
        .args(arguments)
        .env("PARAVANE_KVM", NO_DEVICE)
        .env_remove("PARAVANE_LOG")
        .stdin(Stdio::null());
    command
}

fn say(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Checks that the command says this sentence, and nothing else, and ends with this code.
#[track_caller]
fn refuses<const N: usize>(arguments: [&str; N], code: i32, sentence: &str) {
    let said = say(&mut command(arguments));
    assert_eq!(said.stderr, format!("paravane: {sentence}\n"));
    assert_eq!(said.stdout, "");
    assert_eq!(said.code, Some(code));
}

/// A directory with a file in it.
fn file(name: &str, contents: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, contents).unwrap();
    (directory, path)
}

#[track_caller]
fn refuses_image(contents: &[u8], sentence: &str) {
    let (_directory, path) = file("guest.elf", contents);
    let path = path.to_str().unwrap();
    let sentence = format!("{path}: {sentence}");
    refuses(["run", path], BAD_IMAGE, &sentence);
    refuses(["image", "inspect", path], BAD_IMAGE, &sentence);
}

#[test]
fn an_image_that_is_not_there() {
    for command in [&["run"][..], &["image", "inspect"]] {
        let said = say(self::command(command).arg("/no/such/guest.elf"));
        assert_eq!(
            said.stderr,
            "paravane: the image /no/such/guest.elf does not exist; give the path of an ELF \
             executable\n"
        );
        assert_eq!(said.code, Some(BAD_IMAGE));
    }
}

#[test]
fn an_image_that_is_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let sentence = format!("the image {path} is a directory; it must be a regular file");
    refuses(["run", path], BAD_IMAGE, &sentence);
}

#[test]
fn an_image_that_is_empty() {
    refuses_image(b"", "the image is empty; it must be an ELF executable");
}

#[test]
fn an_image_that_is_something_else() {
    refuses_image(
        b"#!/bin/sh\n",
        "the image is not an ELF file: it begins with 23 21 2f 62, not with 7f 45 4c 46",
    );
}

#[test]
fn an_image_that_is_cut_off() {
    let kernel = fs::read(GUEST_KERNEL).unwrap();
    refuses_image(
        &kernel[..40],
        "the image is truncated: it has 40 bytes, fewer than the 64 of an ELF header",
    );
}

#[test]
fn an_image_for_another_processor() {
    let mut kernel = fs::read(GUEST_KERNEL).unwrap();
    kernel[18] = 183;
    refuses_image(
        &kernel,
        "the image is built for AArch64 (ELF machine 183); it must be built for x86-64",
    );
}

#[test]
fn an_image_that_needs_more_memory() {
    refuses(
        ["run", "--mem", "1M"],
        BAD_CONFIGURATION,
        "the built-in guest kernel: the image needs at least 4 MiB of RAM, but the VM has \
         1 MiB; give it more",
    );
}

#[test]
fn an_image_that_can_use_fewer_vcpus() {
    let mut kernel = fs::read(GUEST_KERNEL).unwrap();
    // The owner of the note, padded to a multiple of four bytes, and behind it the note.
    let owner = b"Paravane\0\0\0\0";
    let note = kernel.windows(12).position(|bytes| bytes == owner).unwrap() + owner.len();
    let most = note + offset_of!(ImageNote, maximum_vcpus);
    kernel[most..most + 4].copy_from_slice(&3u32.to_le_bytes());
    let (_directory, path) = file("guest.elf", &kernel);
    let path = path.to_str().unwrap();
    let sentence =
        format!("{path}: the image can use at most 3 vCPUs, but the VM has 4; give it fewer");
    refuses(["run", path, "--vcpus", "4"], BAD_CONFIGURATION, &sentence);
}

#[test]
fn a_size_of_memory_that_is_none() {
    refuses(
        ["run", "--mem", "12Q"],
        BAD_CONFIGURATION,
        "--mem 12Q: \"Q\" is not a unit; use K, M, G or T, or none for bytes, as in 128M",
    );
    refuses(
        ["run", "--mem", "0"],
        BAD_CONFIGURATION,
        "--mem 0: a VM has at least one page of memory, 4096 bytes",
    );
    refuses(
        ["run", "--mem=-1"],
        BAD_CONFIGURATION,
        "--mem -1: it is not a whole number with a unit, as in 128M",
    );
}

#[test]
fn more_memory_than_there_can_be() {
    let said = say(&mut command(["run", "--mem", "1000T"]));
    let start = "paravane: 1099511627776000 bytes of memory are more than this host has; use at \
                 most ";
    assert!(said.stderr.starts_with(start), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1);
    assert_eq!(said.code, Some(BAD_CONFIGURATION));
}

#[test]
fn a_number_of_vcpus_that_cannot_be() {
    for number in ["0", "65", "4294967296", "-1", "two"] {
        let sentence = format!("--vcpus {number}: a VM has 1 to 64 vCPUs");
        let argument = format!("--vcpus={number}");
        refuses(["run", &argument], BAD_CONFIGURATION, &sentence);
    }
}

#[test]
fn a_command_line_that_is_too_long() {
    let words = "x".repeat(2048);
    refuses(
        ["run", "--cmdline", &words],
        BAD_CONFIGURATION,
        "the command line has 2048 bytes; at most 2047 are possible",
    );
    let words = "x".repeat(1024);
    refuses(
        ["run", "--cmdline", &words, "--", &words],
        BAD_CONFIGURATION,
        "the command line has 2049 bytes; at most 2047 are possible",
    );
}

#[test]
fn an_initrd_that_cannot_be_used() {
    refuses(
        ["run", "--initrd", "/no/such/initrd"],
        BAD_CONFIGURATION,
        "the initrd /no/such/initrd does not exist; give the path of a file",
    );
    refuses(
        ["run", "--initrd", "/dev/null"],
        BAD_CONFIGURATION,
        "the initrd /dev/null is not a regular file; copy what it contains into one",
    );
    let (_directory, path) = file("initrd", &[]);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let path = path.to_str().unwrap();
    let sentence = format!(
        "the initrd {path} has 1073741824 bytes, but the VM has 134217728 bytes of memory; use \
         a larger --mem"
    );
    refuses(["run", "--initrd", path], BAD_CONFIGURATION, &sentence);
}

#[test]
fn another_guest_that_cannot_be() {
    refuses(
        ["run", "--guest", "builtin,memory=1G"],
        BAD_CONFIGURATION,
        "--guest builtin,memory=1G: \"memory=1G\" is no setting of a guest; there are mem=SIZE, \
         vcpus=N, initrd=FILE and, as the last one, cmdline=TEXT",
    );
    refuses(
        ["run", "--guest", "/no/such/guest.elf,mem=1G"],
        BAD_IMAGE,
        "the image /no/such/guest.elf does not exist; give the path of an ELF executable",
    );
    refuses(
        ["run", "--guest", "builtin,initrd=/no/such/initrd"],
        BAD_CONFIGURATION,
        "the initrd /no/such/initrd does not exist; give the path of a file",
    );
}

#[test]
fn a_time_out_that_is_none() {
    refuses(
        ["run", "--timeout", "5"],
        BAD_CONFIGURATION,
        "--timeout 5: it needs a unit, as in 5s or 500ms",
    );
    refuses(
        ["run", "--timeout", "0s"],
        BAD_CONFIGURATION,
        "--timeout 0s: a guest needs some time; leave it out for no limit",
    );
}

#[test]
fn a_report_that_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none/report.json");
    let missing = missing.to_str().unwrap();
    let sentence = format!("the report {missing} cannot be written: its directory does not exist");
    refuses(["run", "--report", missing], BAD_CONFIGURATION, &sentence);
    let directory = directory.path().to_str().unwrap();
    let sentence =
        format!("the report {directory} cannot be written: that is a directory; name a file in it");
    refuses(["run", "--report", directory], BAD_CONFIGURATION, &sentence);
}

#[test]
fn a_run_that_fails_has_a_report_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.json");
    let said = say(command(["run", "--report"]).arg(&path));
    assert_eq!(said.code, Some(NO_KVM));
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["ending"]["kind"], "error");
    assert_eq!(report["ending"]["exit_code"], NO_KVM);
    let message = report["ending"]["message"].as_str().unwrap();
    assert_eq!(said.stderr, format!("paravane: {message}\n"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn the_bench_lists_its_rows() {
    let said = say(&mut command(["bench", "--list"]));
    assert!(
        said.stdout
            .lines()
            .any(|line| line.starts_with("  mov-to-cr3 ")),
        "{said:?}"
    );
    assert_eq!((said.stderr.as_str(), said.code), ("", Some(0)));

    let said = say(&mut command(["bench", "--list", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let rows = list["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "mov-to-cr3").unwrap();
    assert_eq!(row["title"], "MOV to CR3");
    assert_eq!(row["group"], "control and debug registers");
    assert_eq!(row["replaced_by"], "as_switch");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list.json");
    let argument = format!("--json={}", path.display());
    let to_file = say(&mut command(["bench", "--list", &argument]));
    assert_eq!((to_file.stdout.as_str(), to_file.code), ("", Some(0)));
    assert_eq!(fs::read_to_string(&path).unwrap(), said.stdout);
}

#[test]
fn the_bench_lists_the_rows_that_a_pattern_names() {
    let said = say(&mut command([
        "bench",
        "--list",
        "--filter",
        "mov-to-*,wbinvd",
    ]));
    let names: Vec<_> = said
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .collect();
    assert_eq!(
        names,
        [
            "mov-to-cr0",
            "mov-to-cr2",
            "mov-to-cr3",
            "mov-to-cr4",
            "mov-to-cr8",
            "mov-to-dr",
            "wbinvd"
        ]
    );
}

#[test]
fn a_bench_of_what_there_is_not() {
    let said = say(&mut command(["bench", "--filter", "noop,cr3"]));
    let start = "paravane: --filter cr3: there is no such row; there are floor, noop, cpuid, ";
    assert!(said.stderr.starts_with(start), "{said:?}");
    assert!(said.stderr.contains(", mov-to-cr3, "), "{said:?}");
    assert_eq!(
        (said.stdout.as_str(), said.code),
        ("", Some(BAD_CONFIGURATION))
    );
    refuses(
        ["bench", "--mode", "ring2"],
        BAD_CONFIGURATION,
        "--mode cannot be ring2; use one of all, ring0, ring3",
    );
    refuses(
        ["bench", "--carrier", "xen"],
        BAD_CONFIGURATION,
        "--carrier cannot be xen; use one of all, vmcall, vmmcall, pio",
    );
    refuses(
        ["bench", "--boots", "0"],
        BAD_CONFIGURATION,
        "--boots 0: it is a number from 1 to 1000",
    );
    refuses(
        ["bench", "--samples", "0"],
        BAD_CONFIGURATION,
        "--samples 0: 0 is not in 1..=1000000",
    );
}

#[test]
fn a_bench_whose_result_cannot_be_written() {
    // All is told before the KVM device is opened, which is not there.
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none/result");
    let missing = missing.to_str().unwrap();
    for (option, what) in [
        ("--json", "the result"),
        ("--csv", "the result"),
        ("--html", "the page"),
    ] {
        let sentence = format!("{what} {missing} cannot be written: its directory does not exist");
        let argument = format!("{option}={missing}");
        refuses(["bench", &argument], BAD_CONFIGURATION, &sentence);
        let directory = directory.path().to_str().unwrap();
        let sentence =
            format!("{what} {directory} cannot be written: that is a directory; name a file in it");
        let argument = format!("{option}={directory}");
        refuses(["bench", &argument], BAD_CONFIGURATION, &sentence);
    }
    refuses(
        ["bench", "--svg", "/dev/null/charts"],
        BAD_CONFIGURATION,
        "the charts' directory /dev/null/charts cannot be created: Not a directory (os error 20)",
    );
    refuses(
        ["bench", "--json", "--csv"],
        BAD_CONFIGURATION,
        "--json and --csv cannot both be printed; write one to a file, as in --csv=FILE",
    );
    refuses(
        ["bench", "--csv", "--compare", missing],
        BAD_CONFIGURATION,
        "--compare prints no CSV; write the CSV to a file, as in --csv=FILE",
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_bench_that_has_nothing_to_compare_with() {
    // These too are read before the KVM device is opened.
    refuses(
        ["bench", "--compare", "/no/such/old.json"],
        BAD_CONFIGURATION,
        "--compare: /no/such/old.json cannot be read: No such file or directory (os error 2)",
    );
    for (contents, reason) in [
        (
            "",
            "is not JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            "{}",
            "is not a result of paravane bench; make one with paravane bench --json",
        ),
        (
            r#"{"format": "paravane-bench", "version": 2}"#,
            "is a result of paravane bench, but of version 2; this paravane reads version 1",
        ),
        (
            r#"{"format": "paravane-bench", "version": 1}"#,
            "is a result of paravane bench, but damaged: missing field `provenance` at line 1 \
             column 42",
        ),
    ] {
        let (_directory, path) = file("old.json", contents.as_bytes());
        let path = path.to_str().unwrap();
        let sentence = format!("--compare: {path} {reason}");
        refuses(["bench", "--compare", path], BAD_CONFIGURATION, &sentence);
    }
}

#[test]
fn a_bench_beside_peers_that_are_none() {
    refuses(
        ["bench", "--peers", "/no/such/peers.json"],
        BAD_CONFIGURATION,
        "--peers /no/such/peers.json: No such file or directory (os error 2)",
    );
    let peers = r#"{"peers": [{"name": "a tender", "host": "this one", "source": "its test",
        "unit": "nanoseconds", "rows": {"cr3": {"p50": 3.5}}}]}"#;
    let (_directory, path) = file("peers.json", peers.as_bytes());
    let path = path.to_str().unwrap();
    let said = say(&mut command(["bench", "--peers", path]));
    let start = format!("paravane: --peers: {path}: peer a tender: the bench has no row \"cr3\"; ");
    assert!(said.stderr.starts_with(&start), "{said:?}");
    assert_eq!(
        (said.stdout.as_str(), said.code),
        ("", Some(BAD_CONFIGURATION))
    );
}

#[test]
fn no_kvm() {
    let sentence = format!(
        "{NO_DEVICE} does not exist: load KVM (modprobe kvm_intel or kvm_amd), or, inside a VM, \
         enable nested virtualization on its host"
    );
    refuses(["run"], NO_KVM, &sentence);
    refuses(["bench"], NO_KVM, &sentence);
    // The option goes before the variable, which names another device.
    refuses(
        ["run", "--kvm", "/no-such-kvm"],
        NO_KVM,
        &sentence.replace(NO_DEVICE, "/no-such-kvm"),
    );
}

#[test]
fn a_device_that_is_not_kvm() {
    for verb in ["run", "bench"] {
        let said = say(&mut command([verb, "--kvm", "/dev/null"]));
        let start = "paravane: /dev/null is not a KVM device: it answers ";
        assert!(said.stderr.starts_with(start), "{said:?}");
        assert_eq!(said.code, Some(NO_KVM));
    }
}

/// The user and group nobody, which may do little.
const NOBODY: u32 = 65534;

#[test]
fn a_kvm_without_permission() {
    let (directory, path) = file("kvm", b"");
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = command(["run", "--kvm", path.to_str().unwrap()]);
    // Root may open everything, so it has this done by somebody who may not.
    if fs::File::open(&path).is_ok() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        if command.output().is_err() {
            eprintln!("a_kvm_without_permission: skipped, as nobody but root may run the command");
            return;
        }
    }
    let said = say(&mut command);
    let path = path.display();
    assert_eq!(
        said.stderr,
        format!(
            "paravane: no permission to open {path} for reading and writing: add this user to \
             the group kvm\n"
        )
    );
    assert_eq!(said.code, Some(NO_KVM));
}

#[test]
fn a_command_line_that_makes_no_sense() {
    refuses(
        ["run", "--memory", "1G"],
        BAD_CONFIGURATION,
        "unknown argument --memory; did you mean --mem?",
    );
    refuses(
        ["fly"],
        BAD_CONFIGURATION,
        "unknown command fly; paravane --help lists what there is",
    );
    refuses(
        ["run", "--privilege", "ring2"],
        BAD_CONFIGURATION,
        "--privilege cannot be ring2; use one of auto, ring0, ring3",
    );
    refuses(
        ["run", "--carrier", "xen"],
        BAD_CONFIGURATION,
        "--carrier cannot be xen; use one of auto, vmcall, vmmcall, pio",
    );
}

#[test]
fn a_log_that_makes_no_sense() {
    let said = say(command(["run"]).env("PARAVANE_LOG", "paravane=loud"));
    assert_eq!(
        said.stderr,
        "paravane: PARAVANE_LOG=paravane=loud cannot be used; set it to a level, as in info, or \
         to levels by module, as in warn,paravane::vm=debug\n"
    );
    assert_eq!(said.code, Some(BAD_CONFIGURATION));
}

#[test]
fn no_command_shows_the_help() {
    let said = say(&mut command([""; 0]));
    assert!(
        said.stderr.contains("Usage: paravane <COMMAND>"),
        "{said:?}"
    );
    assert_eq!(said.code, Some(BAD_CONFIGURATION));
}

#[test]
fn the_help_has_the_exit_codes() {
    let said = say(&mut command(["--help"]));
    for code in [
        "0 to 119", "120", "121", "122", "123", "124", "125", "130", "143",
    ] {
        assert!(said.stdout.contains(&format!("  {code}  ")), "{said:?}");
    }
    assert_eq!((said.stderr.as_str(), said.code), ("", Some(0)));
}

#[test]
fn the_version() {
    let said = say(&mut command(["--version"]));
    assert_eq!(
        said.stdout,
        format!("paravane {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(said.code, Some(0));
}

#[test]
fn an_image_is_shown_to_people_and_to_programs() {
    let by_path = say(&mut command(["image", "inspect", GUEST_KERNEL]));
    assert!(
        by_path
            .stdout
            .starts_with("name:              paravane-guest-kernel\n"),
        "{by_path:?}"
    );
    assert_eq!(by_path.code, Some(0));
    let built_in = say(&mut command(["image", "inspect"]));
    assert_eq!(built_in.stdout, by_path.stdout);

    let said = say(&mut command(["image", "inspect", "--json"]));
    let shown: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(shown["name"], "paravane-guest-kernel");
    assert_eq!(
        shown["file_size"],
        fs::metadata(GUEST_KERNEL).unwrap().len()
    );
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    // A device that is always full.
    let full = Path::new("/dev/full");
    let stdout = fs::File::options().write(true).open(full).unwrap();
    let mut command = command(["image", "inspect"]);
    let output = command.stdout(stdout).stderr(Stdio::piped()).output();
    let output = output.unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "paravane: cannot write to the standard output: No space left on device (os error 28)\n"
    );
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn doctor_says_why_guests_cannot_run() {
    let said = say(&mut command(["doctor"]));
    let last = said.stdout.lines().last().unwrap();
    let start = format!("Guests cannot run here: {NO_DEVICE} does not exist: load KVM");
    assert!(last.starts_with(&start), "{said:?}");
    assert_eq!((said.stderr.as_str(), said.code), ("", Some(NO_KVM)));

    let said = say(&mut command(["doctor", "--json"]));
    let diagnosis: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(diagnosis["kvm"].is_null());
    assert!(diagnosis["host"]["kernel"].is_string());
    let problem = diagnosis["problem"].as_str().unwrap();
    assert!(problem.starts_with(NO_DEVICE), "{problem}");
    assert_eq!(said.code, Some(NO_KVM));
}
