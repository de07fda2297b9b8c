//! `paravane daemon`.

mod host;

use super::exit_code::{Failure, Status, notice};
use clap::Args;
use host::ThisHost;
use paravane_daemon::config::{Config, Overrides};
use paravane_daemon::{ServiceError, check, run};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Where the daemon is, and what it may do.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "PARAVANE_CONFIG")]
    config: Option<PathBuf>,
    /// The Unix socket, which only its owner may use
    #[arg(long, value_name = "PATH", env = "PARAVANE_SOCKET")]
    socket: Option<PathBuf>,
    /// Where VMs, images and snapshots are kept
    #[arg(long, value_name = "DIR", env = "PARAVANE_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Listen by TCP too; needs a token file or certificates of clients
    #[arg(long, value_name = "ADDRESS:PORT", env = "PARAVANE_LISTEN")]
    listen: Option<SocketAddr>,
    /// The file with the token that clients need by TCP
    #[arg(long, value_name = "FILE", env = "PARAVANE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The KVM device
    #[arg(long, value_name = "PATH", env = "PARAVANE_KVM")]
    kvm: Option<PathBuf>,
    /// Stop all VMs when the daemon ends; without it they go on
    #[arg(long)]
    stop_vms: bool,
    /// Check the configuration, and end
    #[arg(long)]
    check_config: bool,
    /// Check the database of the state folder, and end
    #[arg(long)]
    check: bool,
}

/// Runs the daemon until a signal ends it.
pub fn daemon(args: DaemonArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(Overrides {
        config: args.config,
        socket: args.socket,
        state_dir: args.state_dir,
        listen: args.listen,
        token_file: args.token_file,
        kvm: args.kvm,
        stop_vms: args.stop_vms,
    })
    .map_err(|error| Failure::configuration(error.to_string()))?;
    if args.check_config {
        notice("the configuration is right");
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        let vms = check(&config).map_err(failure)?;
        notice(&format!("the database is sound; it knows {vms} VMs"));
        return Ok(ExitCode::SUCCESS);
    }
    let failed = |error: std::io::Error| Failure::internal(format!("the daemon failed: {error}"));
    // One thread for all: a request takes microseconds of it, what waits for the disk has
    // threads of its own.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
        let end = async {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        };
        run(config, Arc::new(ThisHost::default()), end)
            .await
            .map_err(failure)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn failure(error: ServiceError) -> Failure {
    let status = match &error {
        ServiceError::Store(_) => Status::Internal,
        _ => Status::BadConfiguration,
    };
    Failure::new(status, error.to_string())
}
