//! `paravane switch`.

use super::exit_code::{Failure, Status, notice};
use clap::Args;
use paravane::device::net::switch;
use rustix::fs::unlink;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Where the switch is.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// The Unix socket that guests name in --net switch=PATH
    path: PathBuf,
}

/// Serves a switch until a signal ends it.
pub fn run(args: &SwitchArgs) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| Failure::internal(format!("the switch failed: {error}"));
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
        let listener = switch::listen(&args.path)
            .map_err(|error| Failure::configuration(error.to_string()))?;
        notice(&format!("the switch is at {}", args.path.display()));
        let status = tokio::select! {
            served = switch::serve(listener) => return Err(match served {
                Ok(()) => Failure::internal("the switch has ended by itself"),
                Err(error) => failed(error),
            }),
            _ = interrupted.recv() => Status::Interrupted,
            _ = terminated.recv() => Status::Terminated,
        };
        // Another one finds its place free. It may be gone already.
        let _ = unlink(&args.path);
        Ok(status.into())
    })
}
