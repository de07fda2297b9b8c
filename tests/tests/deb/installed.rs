//! The package from its installation to its purge.

use super::package;
use paravane_tests::system::{Files, System};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Where the package is in the system. It is in memory there.
const PACKAGE: &str = "/run/paravane.deb";

/// How long it may take until a daemon has found its VMs again. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first of the users that VMs get.
const FIRST_UID: u64 = 0x7100_0000;

/// The most that systemd may find exposed, in tenths: "OK" begins at 50.
const EXPOSURE: &str = "--threshold=50";

pub fn runs_vms_and_leaves_nothing_behind() -> Result<(), String> {
    let package = std::fs::read(package()?).map_err(|error| error.to_string())?;
    let system = System::boot()?;
    let before = Files::of(&system)?;
    system.write(PACKAGE, &package)?;

    system.run(&["dpkg", "--install", PACKAGE])?;
    units_are_sound(&system)?;
    devices_work_confined(&system)?;
    snapshots_work(&system)?;
    vms_outlive_the_daemon(&system)?;
    guests_are_asked_to_shut_down(&system)?;

    system.run(&["dpkg", "--remove", "paravane"])?;
    nothing_runs(&system)?;
    let kept = Files::of(&system)?;
    let kept = kept.beyond(&before);
    for path in ["etc/paravane/daemon.toml", "var/lib/paravane/state.redb"] {
        assert!(kept.contains(&path), "{path} is not kept: {kept:#?}");
    }
    assert!(
        !kept.iter().any(|path| path.starts_with("usr/")),
        "{kept:#?}"
    );

    system.run(&["dpkg", "--purge", "paravane"])?;
    let left = Files::of(&system)?;
    assert_eq!(left.beyond(&before), Vec::<&str>::new());
    Ok(())
}

/// They are started, understood and confine the daemon.
fn units_are_sound(system: &System) -> Result<(), String> {
    let units = ["paravane.service", "paravane.socket"];
    for unit in units {
        system.run(&["systemctl", "is-active", unit])?;
        system.run(&["systemctl", "is-enabled", unit])?;
    }
    let verified = system.try_run(&[&["systemd-analyze", "verify"][..], &units].concat())?;
    let faults: Vec<_> = verified
        .stderr
        .lines()
        // systemd knows it since version 254.
        .filter(|line| !line.contains("Unknown key 'DelegateSubgroup'"))
        .filter(|line| line.contains("paravane"))
        .collect();
    assert_eq!(faults, Vec::<&str>::new());
    let security = ["systemd-analyze", "security", "--no-pager", EXPOSURE];
    system.run(&[&security[..], &["paravane.service"]].concat())?;
    Ok(())
}

/// A VM with a device of each kind works under what the unit leaves it, and under less.
fn devices_work_confined(system: &System) -> Result<(), String> {
    system.run(&["mkdir", "/run/devices"])?;
    system.run(&["truncate", "--size=1M", "/run/devices/disk.img"])?;
    system.run(&[
        "paravane",
        "vm",
        "create",
        "--name=devices",
        "--mem=64M",
        "--vcpus=2",
        "--disk=path=/run/devices/disk.img",
        "--net=user",
        "--share=path=/usr/share/doc/paravane,tag=docs",
        "--vsock=cid=3,uds=/run/devices/vsock",
        "--console=socket=/run/devices/port,name=idle",
        "--rng",
        "--",
        "idle=devices",
    ])?;
    wait_for_line(system, "devices", "idle")?;
    let vm = show(system, "devices")?;
    let (pid, sandbox) = (&vm["pid"], &vm["running"]["sandbox"]);
    assert!(sandbox["uid"].as_u64() >= Some(FIRST_UID), "{vm:#}");
    assert_eq!(sandbox["seccomp"], true, "{vm:#}");
    let group = sandbox["cgroup"].as_str().unwrap_or_default();
    assert!(group.contains("/paravane.service/vm-"), "{vm:#}");
    let status = system.run(&["cat", &format!("/proc/{pid}/status")])?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_string()
    };
    assert_eq!(field("CapEff:"), "0000000000000000", "{status}");
    assert_eq!(field("NoNewPrivs:"), "1", "{status}");
    assert_eq!(field("Seccomp:"), "2", "{status}");
    system.run(&["paravane", "vm", "rm", "--force", "devices"])?;
    Ok(())
}

/// A VM is saved, and another one goes on from there.
fn snapshots_work(system: &System) -> Result<(), String> {
    let create = ["paravane", "vm", "create", "--name=service", "--mem=32M"];
    system.run(&[&create[..], &["--", "service"]].concat())?;
    wait_for_line(system, "service", "serving")?;
    system.run(&["paravane", "snapshot", "take", "service", "--name=saved"])?;
    system.run(&["paravane", "snapshot", "restore", "saved", "--name=clone"])?;
    assert_eq!(show(system, "clone")?["state"], "running");
    Ok(())
}

/// They go on, each in the same process, when the daemon is restarted, killed and upgraded.
fn vms_outlive_the_daemon(system: &System) -> Result<(), String> {
    let process = |name: &str| process_of(system, name);
    let before = [process("service")?, process("clone")?];
    let daemon = [
        "systemctl",
        "show",
        "--property=MainPID",
        "paravane.service",
    ];
    let mut first = system.run(&daemon)?;
    for end in [
        &["systemctl", "restart", "paravane.service"][..],
        &[
            "systemctl",
            "kill",
            "--signal=KILL",
            "--kill-who=main",
            "paravane.service",
        ],
        &["dpkg", "--install", PACKAGE],
    ] {
        system.run(end)?;
        // The socket is systemd's: until there is a daemon again, a request waits.
        assert_eq!([process("service")?, process("clone")?], before, "{end:?}");
        let next = system.run(&daemon)?;
        assert_ne!(next, first, "it is the same daemon after {end:?}");
        first = next;
    }
    Ok(())
}

/// The daemon after all that still has a guest's ear, and learns how it ended.
fn guests_are_asked_to_shut_down(system: &System) -> Result<(), String> {
    system.run(&["paravane", "vm", "stop", "service"])?;
    system.run(&["paravane", "vm", "wait", "service"])?;
    let ended = show(system, "service")?;
    assert_eq!(ended["ended"]["kind"], "shutdown", "{ended:#}");
    assert_eq!(ended["ended"]["exit_code"], 0, "{ended:#}");
    Ok(())
}

/// VMs have ended with the package that could have stopped them, and their daemon.
fn nothing_runs(system: &System) -> Result<(), String> {
    let processes = system.run(&["ps", "-e", "-o", "args="])?;
    let ours: Vec<_> = processes
        .lines()
        .filter(|line| line.contains("vm-process") || line.contains("paravane daemon"))
        .collect();
    assert_eq!(ours, Vec::<&str>::new());
    let socket = system.try_run(&["test", "-e", "/run/paravane.sock"])?;
    assert!(!socket.succeeded, "the socket is left");
    Ok(())
}

/// The number of a VM's process. A daemon that has just begun may not have found it again.
fn process_of(system: &System, name: &str) -> Result<u64, String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let vm = show(system, name)?;
        if let Some(process) = vm["pid"].as_u64() {
            return Ok(process);
        }
        if Instant::now() > end {
            return Err(format!("{name} has no process: {vm:#}"));
        }
    }
}

fn show(system: &System, name: &str) -> Result<Value, String> {
    let shown = system.run(&["paravane", "vm", "show", "--json", name])?;
    serde_json::from_str(&shown).map_err(|error| format!("{error}: {shown}"))
}

/// Waits until a guest has printed a line.
fn wait_for_line(system: &System, name: &str, wanted: &str) -> Result<(), String> {
    let mut command = system.command(&["paravane", "vm", "logs", "--follow", "--json", name]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let stdout = child.stdout.take().ok_or("stdout is no pipe")?;
    let mut seen = Vec::new();
    let mut found = false;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let value: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let (source, message) = (&value["source"], value["message"].as_str());
        found = source == "console" && message == Some(wanted);
        // The log goes on when the VM has ended.
        let ended = value["level"] == "error"
            || source == "vmm" && message.is_some_and(|text| text.starts_with("the guest ended"));
        seen.push(line);
        if found || ended {
            break;
        }
    }
    // It may have ended.
    let _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    match found {
        true => Ok(()),
        false => Err(format!("{name} ended without {wanted:?}: {seen:#?}")),
    }
}
