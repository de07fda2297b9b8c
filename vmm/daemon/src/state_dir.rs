//! The state folder.

use crate::listen;
use crate::service::ServiceError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The state folder, which no other daemon uses as long as this exists.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: File,
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // A process that is just being started may have a copy of the descriptor, until its exec.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

impl StateDir {
    /// Takes the folder at `path`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// Another daemon has it, or it cannot be made.
    pub fn take(path: &Path) -> Result<Self, ServiceError> {
        let failed = |at: PathBuf| move |error| ServiceError::File(at, error);
        for folder in [path.to_path_buf(), path.join("vms")] {
            make_passable(&folder).map_err(failed(folder))?;
        }
        let name = path.join("lock");
        let lock = File::create(&name).map_err(failed(name.clone()))?;
        let private = Permissions::from_mode(0o600);
        lock.set_permissions(private)
            .map_err(failed(name.clone()))?;
        let tried_until = Instant::now() + listen::STARTING;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < tried_until => {
                    std::thread::sleep(listen::LOOK);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(ServiceError::Locked(path.to_path_buf()));
                }
                Err(error) => return Err(ServiceError::File(name, error.into())),
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            lock,
        })
    }

    /// Warns if the processes of VMs, which are users of their own, cannot reach their folders.
    pub fn warn_if_closed(&self) {
        for folder in self.path.ancestors() {
            // Where it cannot be looked at, nobody knows.
            let closed = folder
                .metadata()
                .is_ok_and(|found| found.mode() & 0o001 == 0);
            if closed {
                let folder = folder.display();
                tracing::warn!(
                    "{folder} lets no other users pass, so that VMs' processes, each a user of \
                     its own, cannot reach their folders: chmod o+x {folder}, give another \
                     --state-dir, or set confinement.uid_count to 0"
                );
            }
        }
    }

    /// The path of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join("state.redb")
    }
}

/// Makes a folder that VMs' processes, each with a user of its own, reach their own folders
/// through, whatever the umask is. One that is there is left as it is.
fn make_passable(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o711))
}
