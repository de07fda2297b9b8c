//! What the daemon is told to be: by a file, by the environment above it, by flags above both.

use paravane_tests::daemon::Place;
use paravane_tests::program::{end, exit_code, paravane};

#[test]
fn a_flag_counts_more_than_the_environment_and_that_more_than_the_file() {
    let place = Place::new();
    let at = |name: &str| place.path().join(name);
    let text = format!(
        "socket = {:?}\nstate_dir = {:?}\n",
        at("file.sock"),
        at("file")
    );
    let config = place.file("daemon.toml", text);
    let sources = ["file", "environment", "flag"];
    for (number, used) in sources.iter().enumerate() {
        let mut command = paravane(["daemon"]);
        command.env("PARAVANE_CONFIG", &config);
        if number > 0 {
            command.env("PARAVANE_SOCKET", at("environment.sock"));
            command.env("PARAVANE_STATE_DIR", at("environment"));
        }
        if number > 1 {
            command.arg("--socket").arg(at("flag.sock"));
            command.arg("--state-dir").arg(at("flag"));
        }
        let daemon = place.start(&mut command).unwrap();
        for source in sources {
            let is_used = at(&format!("{source}.sock")).exists();
            assert_eq!(is_used, source == *used, "{source} instead of {used}");
        }
        assert!(at(used).join("state.redb").exists());
        assert!(daemon.end().success());
    }
}

#[test]
fn a_configuration_is_checked_and_nothing_else_is_done() {
    let place = Place::new();
    let right = place.file("right.toml", "[limits]\nvms = 3\n");
    let mut command = place.command();
    end(command.arg("--check-config").arg("--config").arg(right))
        .exits(0)
        .says("the configuration is right");
    for (text, error) in [
        (
            "[limits]\n\nvmz = 3\n",
            "wrong.toml, line 3: unknown field `vmz`",
        ),
        (
            "[limits]\nvms = 0\n",
            "limits.vms is 0; it has to be 1 to 100000",
        ),
        (
            "[limits]\nspare_processes = 101\n",
            "limits.spare_processes is 101; it has to be 0 to 100",
        ),
        (
            "[log]\nsize = 1\n",
            "log.size is 1; it has to be 4096 to 1 TiB",
        ),
        (
            "socket = \"a\"",
            "socket is a; it has to be an absolute path",
        ),
        (
            "[listen]\naddress = \"127.0.0.1:0\"\n",
            "listening at 127.0.0.1:0 needs a token file",
        ),
    ] {
        let wrong = place.file("wrong.toml", text);
        // No --socket: the file's is to be looked at.
        let mut command = paravane(["daemon", "--check-config", "--state-dir"]);
        command.arg(place.state_dir()).arg("--config").arg(wrong);
        end(&mut command)
            .exits(exit_code::BAD_CONFIGURATION)
            .says(error);
    }
    assert!(!place.state_dir().exists() && !place.socket().exists());
}

#[test]
fn a_database_is_checked_where_no_daemon_uses_it() {
    let place = Place::new();
    let daemon = place.daemon();
    let check = || {
        let mut command = place.command();
        end(command.arg("--check"))
    };
    check()
        .exits(exit_code::BAD_CONFIGURATION)
        .says("another daemon uses the state folder");
    assert!(daemon.end().success());
    check()
        .exits(0)
        .says("the database is sound; it knows 0 VMs");
    place.file("state/state.redb", "this is no database");
    check().exits(125).says("is damaged");
}
