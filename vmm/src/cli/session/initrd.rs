//! The initrd: a file that the guest finds in its memory.

use crate::cli::exit_code::Failure;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that was found fit to be an initrd.
#[derive(Debug)]
pub struct Initrd {
    path: PathBuf,
    file: File,
    size: usize,
}

impl Initrd {
    /// Opens the file, for a VM with so much memory.
    pub fn open(path: &Path, memory: u64) -> Result<Self, Failure> {
        let failed = |error| access_failure(path, &error);
        // A FIFO without a writer would otherwise wait for one.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Failure::configuration(format!(
                "the initrd {} is not a regular file; copy what it contains into one",
                path.display()
            )));
        }
        // Whether it fits beside the image, the VMM says; here it is only not read for nothing.
        match usize::try_from(metadata.len()) {
            Ok(size) if metadata.len() < memory => Ok(Self {
                path: path.to_path_buf(),
                file,
                size,
            }),
            _ => Err(Failure::configuration(format!(
                "the initrd {} has {} bytes, but the VM has {memory} bytes of memory; use a \
                 larger --mem",
                path.display(),
                metadata.len()
            ))),
        }
    }

    /// Reads the file.
    pub fn read(&self) -> Result<Arc<[u8]>, Failure> {
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, self.size).collect();
        let result = match Arc::get_mut(&mut bytes) {
            Some(bytes) => self.file.read_exact_at(bytes, 0),
            // Nobody else has it yet.
            None => Err(ErrorKind::Other.into()),
        };
        result.map_err(|error| access_failure(&self.path, &error))?;
        Ok(bytes)
    }
}

fn access_failure(path: &Path, error: &Error) -> Failure {
    let path = path.display();
    Failure::configuration(match error.kind() {
        ErrorKind::NotFound => {
            format!("the initrd {path} does not exist; give the path of a file")
        }
        ErrorKind::PermissionDenied => {
            format!("the initrd {path} may not be read by this user; make it readable")
        }
        ErrorKind::UnexpectedEof => {
            format!("the initrd {path} became shorter while the VM ran; leave it as it is")
        }
        _ => format!("the initrd {path} cannot be read: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_initrd_is_read_at_each_boot() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"contents").unwrap();
        let initrd = Initrd::open(file.path(), 4096).unwrap();
        for _ in 0..2 {
            assert_eq!(initrd.read().unwrap().as_ref(), b"contents");
        }
        file.as_file().set_len(3).unwrap();
        let failure = initrd.read().unwrap_err();
        assert!(failure.message.contains("became shorter"), "{failure:?}");
    }

    #[test]
    fn an_initrd_larger_than_memory_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        let failure = Initrd::open(file.path(), 4096).unwrap_err();
        assert!(
            failure.message.ends_with("use a larger --mem"),
            "{failure:?}"
        );
    }
}
