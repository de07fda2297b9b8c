//! What the daemon is to be: from flags, the environment and a file, in this order.

mod defaults;
mod error;
mod file;

pub use error::ConfigError;
pub use file::{Confinement, File, Images, Limits, Listen, Log, Tls};

use paravane_control::plan::LogLimits;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest path of the state folder: a socket's path, which has 107 bytes at most, adds
/// `/vms/`, an id and `/control.sock`.
const MAX_STATE_DIR: usize = 107 - 54;

/// What flags and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The file.
    pub config: Option<PathBuf>,
    /// The Unix socket.
    pub socket: Option<PathBuf>,
    /// The state folder.
    pub state_dir: Option<PathBuf>,
    /// The address to listen at by TCP too.
    pub listen: Option<SocketAddr>,
    /// The file with the token for that.
    pub token_file: Option<PathBuf>,
    /// The KVM device.
    pub kvm: Option<PathBuf>,
    /// VMs end with the daemon.
    pub stop_vms: bool,
}

/// What the daemon is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Where everything is that is to be kept.
    pub state_dir: PathBuf,
    /// The TCP listener.
    pub listen: Option<TcpConfig>,
    /// VMs end with the daemon.
    pub stop_vms: bool,
    /// How VMs are run.
    pub runtime: Runtime,
    /// The largest image that is taken, in bytes.
    pub max_image: u64,
    /// The largest snapshot that is imported, in bytes as they come.
    pub max_snapshot: u64,
    /// How many connections there are at most.
    pub max_connections: usize,
}

/// A TCP listener.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Its address.
    pub address: SocketAddr,
    /// What clients have to know.
    pub token: Option<String>,
    /// Its certificates.
    pub tls: Option<Tls>,
}

/// How VMs are run.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The program of a VM's process and its first arguments; `--dir` follows, and `--control-fd`
    /// where it is not to wait for a VM.
    pub program: Vec<OsString>,
    /// The KVM device.
    pub kvm: PathBuf,
    /// How long it may take until the guest runs.
    pub start_limit: Duration,
    /// When logs are rotated.
    pub log: LogLimits,
    /// How processes are confined.
    pub confinement: Confinement,
    /// What VMs may have at most.
    pub limits: Limits,
}

impl Config {
    /// The configuration by `overrides` and the file that they name.
    ///
    /// # Errors
    ///
    /// The file cannot be read or understood, or what is asked for is not possible.
    pub fn load(overrides: Overrides) -> Result<Self, ConfigError> {
        let file = match &overrides.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        Self::of(file, overrides)
    }

    fn of(file: File, overrides: Overrides) -> Result<Self, ConfigError> {
        let state_dir = match overrides.state_dir.or(file.state_dir) {
            Some(path) => path,
            None => defaults::state_dir()?,
        };
        let socket = match overrides.socket.or(file.socket) {
            Some(path) => path,
            None => defaults::socket()?,
        };
        for (name, path) in [("state-dir", &state_dir), ("socket", &socket)] {
            if !path.is_absolute() {
                return Err(ConfigError::Relative(name, path.clone()));
            }
        }
        if state_dir.as_os_str().len() > MAX_STATE_DIR {
            return Err(ConfigError::LongStateDir(state_dir, MAX_STATE_DIR));
        }
        let address = overrides.listen.or(file.listen.address);
        let token_file = overrides.token_file.or(file.listen.token_file);
        let listen = match address {
            Some(address) => Some(tcp(address, token_file.as_deref(), file.listen.tls)?),
            None => None,
        };
        file.limits.check()?;
        Ok(Self {
            socket,
            state_dir,
            listen,
            stop_vms: overrides.stop_vms || file.stop_vms,
            runtime: Runtime {
                program: vec!["/proc/self/exe".into(), "vm-process".into()],
                kvm: overrides
                    .kvm
                    .or(file.kvm)
                    .unwrap_or_else(|| "/dev/kvm".into()),
                start_limit: Duration::from_secs(u64::from(file.limits.start_seconds)),
                log: file.log.limits()?,
                confinement: file.confinement.checked()?,
                limits: file.limits.clone(),
            },
            max_image: file.images.max_size,
            max_snapshot: file.snapshots.max_size,
            max_connections: file.limits.connections as usize,
        })
    }
}

fn tcp(
    address: SocketAddr,
    token_file: Option<&Path>,
    tls: Option<Tls>,
) -> Result<TcpConfig, ConfigError> {
    let token = token_file.map(read_token).transpose()?;
    let authenticates = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if token.is_none() && !authenticates {
        return Err(ConfigError::OpenListener(address));
    }
    Ok(TcpConfig {
        address,
        token,
        tls,
    })
}

fn read_token(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable(path.to_path_buf(), error))?;
    let token = text.trim();
    let right = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < 16 || !right {
        return Err(ConfigError::WeakToken(path.to_path_buf()));
    }
    Ok(token.to_string())
}
