//! Schemathesis tries out the daemon: requests made from its OpenAPI document, right ones and wrong
//! ones, whose answers have to be those of the document. `PARAVANE_SCHEMATHESIS_EXAMPLES` says
//! how many requests each operation gets at most.

use libtest_mimic::{Arguments, Failed, Trial};
use paravane_api::VmSpec;
use paravane_api::snapshot::TakeSnapshot;
use paravane_api::vm::CreateVm;
use paravane_client::{Client, ClientError};
use paravane_tests::daemon::{Daemon, Place};
use paravane_tests::{lanes, program};
use rustix::process::geteuid;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "each_answer_is_one_of_the_document";

const TOKEN: &str = "a-token-of-this-test";

/// The same requests each time.
const SEED: &str = "1";

/// How many requests an operation gets at most, if nothing else is said.
const EXAMPLES: &str = "50";
const EXAMPLES_VARIABLE: &str = "PARAVANE_SCHEMATHESIS_EXAMPLES";

/// What is checked of each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,\
    missing_required_header,unsupported_method,allow_header_conformance,use_after_free,ignored_auth";

/// What the daemon may have of the host in this test.
const LIMITS: &str = "[limits]\nvms = 100\nvcpus = 2\nmemory = 1073741824\n\
    [images]\nmax_size = 33554432\n";

fn main() {
    let arguments = Arguments::from_args();
    let trial = match find() {
        Ok(_) if !program::has_local_kvm(NAME) => return,
        Ok(tool) => Trial::test(NAME, move || try_out(&tool).map_err(Failed::from)),
        Err(reason) => {
            eprintln!("schemathesis: {NAME} SKIPPED: {reason}");
            Trial::test(NAME, move || Err(reason.into())).with_ignored_flag(!lanes::required())
        }
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The tool, and what it needs of this machine.
fn find() -> Result<PathBuf, String> {
    let tool = workspace().join("target/tools/schemathesis/bin/schemathesis");
    if !tool.is_file() {
        return Err(format!(
            "{} is not there: .ci/setup installs it",
            tool.display()
        ));
    }
    if geteuid().is_root() {
        // Only then is there something to be kept from what root may do.
        let tried = Command::new("unshare").args(["--mount", "true"]).output();
        if !tried.is_ok_and(|output| output.status.success()) {
            return Err("root may not make a mount namespace here (unshare --mount)".to_string());
        }
    }
    Ok(tool)
}

/// The daemon's command. The requests are made up, and some ask for files of the host to be
/// written: what root may write is the daemon's folder only.
fn confined(place: &Place, command: &Command) -> Command {
    if !geteuid().is_root() {
        let mut plain = Command::new(command.get_program());
        plain.args(command.get_args());
        return plain;
    }
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro / && exec \"$@\"";
    let mut confined = Command::new("unshare");
    confined
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(place.path())
        .arg(command.get_program())
        .args(command.get_args());
    confined
}

fn start(place: &Place, address: SocketAddr) -> Result<Daemon, String> {
    let config = place.file("daemon.toml", LIMITS);
    let token = place.file("token", TOKEN);
    let mut command = place.command();
    command
        .arg("--config")
        .arg(config)
        .arg("--token-file")
        .arg(token)
        .args(["--listen", &address.to_string()]);
    place.start(&mut confined(place, &command))
}

/// Makes what the tool's configuration tells of. Gives the ids, by their words.
async fn fill(client: &Client) -> Result<Vec<(&'static str, String)>, ClientError> {
    let mut ids = Vec::new();
    for (name, word, start) in [
        ("runs", "RUNNING_VM", true),
        ("rests", "STOPPED_VM", false),
        ("spare", "SPARE_VM", true),
    ] {
        let mut spec = VmSpec {
            name: Some(name.to_string()),
            command_line: "idle".to_string(),
            ..VmSpec::default()
        };
        spec.resources.memory = 8 << 20;
        // It is there again after what is asked of it.
        spec.restart.policy = paravane_api::spec::RestartPolicy::Always;
        let vm = client.create_vm(&CreateVm { spec, start }).await?;
        ids.push((word, vm.id));
    }
    for word in ["KEPT_SNAPSHOT", "SPARE_SNAPSHOT"] {
        let request = TakeSnapshot::default();
        let snapshot = client.take_snapshot("runs", &request).await?;
        ids.push((word, snapshot.id));
    }
    for name in ["kernel", "spare"] {
        let image = name.as_bytes();
        let size = image.len() as u64;
        client.add_image(Some(name), size, image).await?;
    }
    Ok(ids)
}

fn try_out(tool: &Path) -> Result<(), String> {
    let place = Place::new();
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| error.to_string())?;
    let daemon = start(&place, address)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let client = place.client();
    let ids = runtime
        .block_on(fill(&client))
        .map_err(|error| error.to_string())?;

    let mut config = include_str!("schemathesis.toml").to_string();
    for (word, id) in ids {
        config = config.replace(word, &id);
    }
    let config = place.file("schemathesis.toml", config);
    let examples = std::env::var(EXAMPLES_VARIABLE);
    let output = Command::new(tool)
        .arg("--config-file")
        .arg(config)
        .args(["--no-color", "run"])
        .arg(format!("http://{address}/openapi.json"))
        .arg(format!("--header=Authorization: Bearer {TOKEN}"))
        .args(["--checks", CHECKS, "--seed", SEED])
        .args(["--max-examples", examples.as_deref().unwrap_or(EXAMPLES)])
        .current_dir(place.path())
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", tool.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    eprintln!("{said}");
    if !output.status.success() {
        return Err(format!(
            "{said}\n{errors}\nthe daemon said:\n{}",
            daemon.said()
        ));
    }
    // It is as well as it was.
    runtime
        .block_on(async {
            for vm in client.all_vms(&Default::default()).await? {
                client.delete_vm(&vm.id, true).await?;
            }
            client.health().await
        })
        .map_err(|error| error.to_string())?;
    match daemon.end().success() {
        true => Ok(()),
        false => Err("the daemon did not end as it should".to_string()),
    }
}
