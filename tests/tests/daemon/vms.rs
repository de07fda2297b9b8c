//! VMs of the bundled guest.

use paravane_api::vm::CreateVm;
use paravane_api::{Vm, VmSpec};
use paravane_client::{Client, ClientError};

/// A request for a VM of 8 MiB that runs a command line.
pub fn request(name: &str, command_line: &str) -> CreateVm {
    let mut spec = VmSpec {
        name: Some(name.to_string()),
        command_line: command_line.to_string(),
        ..VmSpec::default()
    };
    spec.resources.memory = 8 << 20;
    CreateVm { spec, start: true }
}

/// Creates a VM and starts it.
pub async fn run(client: &Client, name: &str, command_line: &str) -> Vm {
    let created = client.create_vm(&request(name, command_line)).await;
    created.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Asserts that a request was answered by a problem of this status and kind.
#[track_caller]
pub fn problem<T: std::fmt::Debug>(
    result: Result<T, ClientError>,
    status: u16,
    code: &str,
) -> String {
    match result.unwrap_err() {
        ClientError::Problem(problem) => {
            assert_eq!(
                problem.kind,
                format!("urn:paravane:problem:{code}"),
                "{problem}"
            );
            assert_eq!(problem.status, status);
            problem.detail
        }
        error => panic!("it is no problem document: {error}"),
    }
}
