//! A snapshot goes to another host, by the commands.

use paravane_tests::daemon::Place;
use paravane_tests::program::{Ended, end, end_with_input, exit_code, has_local_kvm, paravane};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = paravane(arguments);
    command.env("PARAVANE_SOCKET", place.socket());
    command
}

#[track_caller]
fn run(place: &Place, arguments: &[&str]) -> Ended {
    end(&mut command(place, arguments)).exits(0)
}

#[test]
fn a_guest_goes_on_at_another_host_with_the_devices_of_that() {
    if !has_local_kvm("a_guest_goes_on_at_another_host_with_the_devices_of_that") {
        return;
    }
    let (here, there) = (Place::new(), Place::new());
    let daemons = [here.daemon(), there.daemon()];
    let share = |place: &Place, text: &str| {
        let folder = place.path().join("shared");
        fs::create_dir(&folder).expect("a folder can be made");
        fs::write(folder.join("file"), text).expect("a file can be written");
        format!("path={},tag=files", folder.display())
    };
    let shared = share(&here, "one\n");
    let create = [
        "vm", "create", "--name", "web", "--mem", "16M", "--share", &shared,
    ];
    let create = [&create[..], &["--", "share=follow,path=file"]].concat();
    run(&here, &create);
    let console = |place: &Place, vm: &str, expected: &str| {
        let mut child = command(place, &["vm", "console", vm]);
        let ended = end_with_input(&mut child, b"\n").exits(0);
        assert!(ended.stdout.contains(expected), "{}", ended.stdout);
    };
    console(&here, "web", "one\n1 entries\n");
    run(&here, &["snapshot", "take", "web", "--name", "warm"]);

    let archive = here.path().join("warm.tar.zst");
    let file = archive.to_str().expect("it is UTF-8");
    run(&here, &["snapshot", "export", "warm", file]);
    // 16 MiB, of which the guest has used little, and which are nobody else's to read.
    let metadata = fs::metadata(&archive).expect("it is there");
    let (size, mode) = (metadata.len(), metadata.permissions().mode());
    assert!((4096..4 << 20).contains(&size), "{size}");
    assert_eq!(mode & 0o777, 0o600);
    let again = end(&mut command(&here, &["snapshot", "export", "warm", file]));
    again
        .exits(exit_code::BAD_CONFIGURATION)
        .says("it exists already");
    let none = here.path().join("none");
    let none = none.to_str().expect("it is UTF-8");
    let missing = end(&mut command(&here, &["snapshot", "export", "cold", none]));
    missing.exits(201).says("there is no snapshot \"cold\"");
    assert!(!fs::exists(none).expect("it can be looked at"));

    run(&there, &["snapshot", "import", file]).prints("warm\n");
    let piped = fs::read(&archive).expect("it can be read");
    let mut import = command(&there, &["snapshot", "import", "-", "--name", "piped"]);
    end_with_input(&mut import, &piped)
        .exits(0)
        .prints("piped\n");
    let shared = share(&there, "one\ntoo\n");
    for snapshot in ["warm", "piped"] {
        let restore = ["snapshot", "restore", snapshot, "--name", snapshot];
        run(&there, &[&restore[..], &["--share", &shared]].concat());
        console(&there, snapshot, "too\n1 entries\n");
    }
    // Without them it has the paths of the other host, which is this one too.
    run(&there, &["snapshot", "restore", "warm", "--name", "same"]);
    let other = ["snapshot", "restore", "warm", "--rng"];
    let refused = end(&mut command(&there, &other));
    refused
        .exits(exit_code::BAD_CONFIGURATION)
        .says("does not fit the snapshot");
    for daemon in daemons {
        daemon.end();
    }
}
