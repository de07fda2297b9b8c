//! `--sandbox`.

use super::Request;
use crate::cli::exit_code::Failure;
use clap::ValueEnum;
use paravane::sandbox::needs::{Access, Needs};
use paravane::sandbox::{Entered, Sandbox, SandboxError, Violation};
use std::time::Instant;

/// Whether this program confines itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SandboxChoice {
    /// It does not.
    Off,
    /// As far as the kernel can.
    On,
    /// Wholly, or there is no guest.
    Strict,
    /// As on, and a system call that is not allowed is named. For tests.
    #[value(hide = true)]
    Trap,
    /// As on, and the kernel writes what is not allowed to its log, and does it.
    #[value(hide = true)]
    Log,
}

/// The sandbox for what was asked for, if there is to be one.
///
/// A guest that reboots is built again inside, so what it is built of stays within reach; and the user
/// stays the same, who may be the only one that can open it.
pub fn of(request: &Request) -> Option<Sandbox> {
    let (strict, violation) = match request.sandbox {
        SandboxChoice::Off => return None,
        SandboxChoice::On => (false, Violation::Kill),
        SandboxChoice::Strict => (true, Violation::Kill),
        SandboxChoice::Trap => (false, Violation::Trap),
        SandboxChoice::Log => (false, Violation::Log),
    };
    let mut needs = Needs {
        rebuilds: true,
        ..Needs::default()
    };
    // Another guest of this process may not have opened it yet.
    needs.path(&request.kvm, Access::Write);
    if let Some(report) = &request.report {
        needs.folder_of(report, Access::Create);
    }
    for guest in &request.guests {
        for device in &guest.config.devices {
            device.options.add_needs(&mut needs);
        }
    }
    Some(Sandbox {
        needs,
        identity: None,
        violation,
        strict,
    })
}

/// Enters it: what was had of it.
pub fn enter(sandbox: Sandbox) -> Result<Entered, Failure> {
    let start = Instant::now();
    let entered = sandbox.enter().map_err(|error| match error {
        SandboxError::Path { .. } | SandboxError::Incomplete(_) => {
            Failure::configuration(error.to_string())
        }
        error => Failure::internal(error.to_string()),
    })?;
    for missing in &entered.missing {
        tracing::warn!("the sandbox is not whole: {missing}");
    }
    tracing::info!(
        landlock = entered.landlock,
        seccomp = entered.seccomp,
        uid = entered.uid,
        took_us = start.elapsed().as_micros(),
        "in the sandbox"
    );
    Ok(entered)
}
