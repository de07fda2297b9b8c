//! What a process still needs of its host once it is in its sandbox.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How a path is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// A file is read, or all that is in a folder.
    Read,
    /// As `Read`, and written in place. A device also takes ioctl(2).
    Write,
    /// A folder in which files and sockets are made, written, renamed and removed. Landlock knows no
    /// rights by name: it is every file of the folder.
    Create,
    /// As `Create`, and folders too are made, renamed and removed.
    CreateFolders,
    /// A folder or a socket to which programs are connected to. Linux checks that since Landlock's
    /// ABI 9; before, only the permissions of the socket's file count.
    Connect,
}

/// A path that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathNeed {
    /// Where it is. It exists when the sandbox is entered.
    pub path: PathBuf,
    /// How it is used.
    pub access: Access,
}

/// What a VM's device does that takes system calls of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceWork {
    /// Reads and writes an image, by io_uring or by threads of a pool.
    Disk,
    /// Connects to hosts of the Internet, and takes connections at forwarded ports.
    UserNetwork,
    /// Reads and writes a tap device.
    Tap,
    /// Talks to a switch of this host, by a Unix socket.
    Switch,
    /// Reads files of a folder.
    Share,
    /// Takes and makes connections by Unix sockets.
    UnixSockets,
    /// Reads and writes files that are open.
    Files,
}

/// TCP, which Landlock can deny. UDP it knows nothing of; the families of sockets are seccomp's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// Connections are made.
    pub connect: bool,
    /// Ports are listened at that are not open yet.
    pub bind: bool,
}

/// What is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The process builds VMs in its sandbox, as `paravane run` does when a guest reboots: what they
    /// are built of is opened again. It is said before anything is added.
    pub rebuilds: bool,
    /// Paths that are opened. What is open already needs none.
    pub paths: BTreeSet<PathNeed>,
    /// What devices do.
    pub devices: BTreeSet<DeviceWork>,
    /// TCP.
    pub tcp: Tcp,
    /// CAP_NET_ADMIN, which opening a tap device can take.
    pub network_administration: bool,
}

impl Needs {
    /// Adds a path.
    pub fn path(&mut self, path: &Path, access: Access) {
        self.paths.insert(PathNeed {
            path: path.to_path_buf(),
            access,
        });
    }

    /// Adds the folder that a path is in.
    pub fn folder_of(&mut self, path: &Path, access: Access) {
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => self.path(folder, access),
            _ => self.path(Path::new("."), access),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_bare_name_is_the_current_one() {
        let mut needs = Needs::default();
        needs.folder_of(Path::new("socket"), Access::Create);
        needs.folder_of(Path::new("/run/vm/socket"), Access::Create);
        let folders: Vec<_> = needs.paths.iter().map(|need| need.path.as_path()).collect();
        assert_eq!(folders, [Path::new("/run/vm"), Path::new(".")]);
    }
}
