//! The configuration file, in TOML.

use super::error::ConfigError;
use paravane_api::VmSpec;
use paravane_api::problem::FieldError;
use paravane_control::plan::LogLimits;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file. All of it is optional; a key that is not known is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The Unix socket.
    pub socket: Option<PathBuf>,
    /// The state folder.
    pub state_dir: Option<PathBuf>,
    /// The KVM device.
    pub kvm: Option<PathBuf>,
    /// VMs end with the daemon.
    pub stop_vms: bool,
    /// The TCP listener.
    pub listen: Listen,
    /// The store of images.
    pub images: Images,
    /// Snapshots.
    pub snapshots: Snapshots,
    /// Logs of VMs.
    pub log: Log,
    /// How VMs' processes are confined.
    pub confinement: Confinement,
    /// What VMs and clients may have at most.
    pub limits: Limits,
}

/// `[listen]`: by TCP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The address.
    pub address: Option<SocketAddr>,
    /// The file with the token.
    pub token_file: Option<PathBuf>,
    /// `[listen.tls]`.
    pub tls: Option<Tls>,
}

/// `[listen.tls]`: files in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The daemon's certificates.
    pub certificate: PathBuf,
    /// The daemon's key.
    pub key: PathBuf,
    /// Who signs certificates of clients, which they then have to have.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// `[images]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// The largest that is taken, in bytes.
    pub max_size: u64,
}

impl Default for Images {
    fn default() -> Self {
        Self { max_size: 16 << 30 }
    }
}

/// `[snapshots]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshots {
    /// The largest that is imported, in bytes as they come.
    pub max_size: u64,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { max_size: 16 << 30 }
    }
}

/// `[log]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The size of a file in bytes.
    pub size: u64,
    /// The number of older files.
    pub files: u32,
    /// Bytes a second that the guest's console may take of it.
    pub rate: u64,
}

impl Default for Log {
    fn default() -> Self {
        let LogLimits { size, files, rate } = LogLimits::default();
        Self { size, files, rate }
    }
}

impl Log {
    pub(super) fn limits(self) -> Result<LogLimits, ConfigError> {
        let Self { size, files, rate } = self;
        range(
            "log.size",
            size,
            (4096..=1 << 40).contains(&size),
            "4096 to 1 TiB",
        )?;
        range("log.files", files.into(), files <= 100, "at most 100")?;
        Ok(LogLimits { size, files, rate })
    }
}

/// `[confinement]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Confinement {
    /// Whether processes confine themselves at all.
    pub enabled: bool,
    /// Processes end rather than run with less than all of it.
    pub strict: bool,
    /// The first of the user ids that VMs get where the daemon is root, one each.
    pub uid_base: u32,
    /// How many there are; 0 leaves VMs the daemon's user.
    pub uid_count: u32,
    /// Whether each VM gets a control group (cgroup v2) below the daemon's, where that can be.
    pub cgroups: bool,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            enabled: true,
            strict: false,
            // Above what systemd's DynamicUser and user namespaces of distributions use.
            uid_base: 0x7100_0000,
            uid_count: 65_536,
            cgroups: true,
        }
    }
}

impl Confinement {
    /// Whether VMs' processes are users of their own.
    pub fn gives_users(&self) -> bool {
        self.enabled && self.uid_count > 0 && rustix::process::geteuid().is_root()
    }

    pub(super) fn checked(self) -> Result<Self, ConfigError> {
        let last = self.uid_base.checked_add(self.uid_count);
        let right =
            self.uid_count == 0 || (self.uid_base > 0 && last.is_some_and(|l| l < u32::MAX));
        range(
            "confinement.uid_base",
            self.uid_base.into(),
            right,
            "above 0, and with uid_count at most 4294967294",
        )?;
        Ok(self)
    }
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many VMs there may be.
    pub vms: u32,
    /// vCPUs of a VM.
    pub vcpus: u32,
    /// RAM of a VM in bytes.
    pub memory: u64,
    /// Connections of clients.
    pub connections: u32,
    /// How long it may take until a guest runs, in seconds.
    pub start_seconds: u32,
    /// The nice value of VMs' processes, 0 to 19. As they stand back for others, the daemon and its
    /// clients are served while guests use all processors; beside each other they are equal.
    pub nice: u8,
    /// How many processes are kept ready for VMs that are to start; 0 to 100.
    pub spare_processes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            vms: 4096,
            vcpus: 64,
            memory: 1 << 40,
            connections: 4096,
            start_seconds: 60,
            nice: 10,
            spare_processes: 10,
        }
    }
}

impl Limits {
    /// What of a spec is more than a VM may have here.
    pub fn check_spec(&self, spec: &VmSpec, at: &str, errors: &mut Vec<FieldError>) {
        let asked = &spec.resources;
        for (name, value, most) in [
            ("vcpus", u64::from(asked.vcpus), u64::from(self.vcpus)),
            ("memory", asked.memory, self.memory),
        ] {
            if value > most {
                errors.push(FieldError {
                    field: format!("{at}/resources/{name}"),
                    detail: format!("{value} is more than limits.{name} allows here: {most}"),
                });
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let connections = self.connections;
        range(
            "limits.vms",
            self.vms.into(),
            (1..=100_000).contains(&self.vms),
            "1 to 100000",
        )?;
        range(
            "limits.vcpus",
            self.vcpus.into(),
            (1..=64).contains(&self.vcpus),
            "1 to 64",
        )?;
        range(
            "limits.connections",
            connections.into(),
            (1..=100_000).contains(&connections),
            "1 to 100000",
        )?;
        range(
            "limits.start_seconds",
            self.start_seconds.into(),
            (1..=3600).contains(&self.start_seconds),
            "1 to 3600",
        )?;
        range("limits.nice", self.nice.into(), self.nice <= 19, "0 to 19")?;
        range(
            "limits.spare_processes",
            self.spare_processes.into(),
            self.spare_processes <= 100,
            "0 to 100",
        )
    }
}

fn range(
    name: &'static str,
    value: u64,
    fits: bool,
    right: &'static str,
) -> Result<(), ConfigError> {
    if fits {
        Ok(())
    } else {
        Err(ConfigError::Range { name, value, right })
    }
}

impl File {
    /// Reads the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable(path.to_path_buf(), error))?;
        toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            ConfigError::Malformed {
                path: path.to_path_buf(),
                line: before.matches('\n').count() + 1,
                message: error.message().to_string(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGED: &str = include_str!("../../../packaging/daemon.toml");

    fn parse(text: &str) -> File {
        toml::from_str(text).expect("it is a configuration")
    }

    #[track_caller]
    fn assert_default(file: &File) {
        assert_eq!(format!("{file:#?}"), format!("{:#?}", File::default()));
    }

    #[test]
    fn the_packaged_file_changes_nothing() {
        assert_default(&parse(PACKAGED));
    }

    #[test]
    fn the_packaged_file_shows_what_holds_without_it() {
        let shown: Vec<_> = PACKAGED
            .lines()
            .map(|line| match line.strip_prefix('#') {
                // A comment has a blank there, a setting has none.
                Some(setting) if !setting.starts_with(' ') => setting,
                _ => line,
            })
            .collect();
        let mut shown = parse(&shown.join("\n"));
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(shown.socket.take(), path("/run/paravane.sock"));
        assert_eq!(shown.state_dir.take(), path("/var/lib/paravane"));
        assert_eq!(shown.kvm.take(), path("/dev/kvm"));
        // There is none without it, so these are examples.
        let listen = std::mem::take(&mut shown.listen);
        assert!(listen.address.is_some() && listen.token_file.is_some());
        assert!(listen.tls.is_some_and(|tls| tls.client_ca.is_some()));
        assert_default(&shown);
    }
}
