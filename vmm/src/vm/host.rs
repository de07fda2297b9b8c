//! The host's KVM: opening it and asking what it can do.

use kvm_ioctls::{Cap, Kvm};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The only API version there has been since Linux 2.6.22 (KVM's documentation, 4.1).
const API_VERSION: i32 = 12;

/// Why there is no KVM to use.
#[derive(Debug, Error)]
pub enum HostError {
    /// There is no such device.
    #[error(
        "{path} does not exist: load KVM (modprobe kvm_intel or kvm_amd), or, inside a VM, \
         enable nested virtualization on its host"
    )]
    Missing {
        /// The device.
        path: PathBuf,
    },
    /// It may not be opened.
    #[error("no permission to open {path} for reading and writing: add this user to the group kvm")]
    Permission {
        /// The device.
        path: PathBuf,
    },
    /// It could not be opened for another reason.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: kvm_ioctls::Error,
    },
    /// It is something else.
    #[error("{path} is not a KVM device: it answers {answer} to KVM_GET_API_VERSION, not 12")]
    ApiVersion {
        /// The device.
        path: PathBuf,
        /// What it answered.
        answer: i32,
    },
    /// It lacks something.
    #[error("this KVM is too old: it lacks {capability} (there since Linux {since})")]
    TooOld {
        /// The capability.
        capability: &'static str,
        /// The first Linux that has it.
        since: &'static str,
    },
}

/// What must be there, and since when it has been.
const REQUIRED: &[(Cap, &str, &str)] = &[
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY", "2.6.23"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT", "4.12"),
    (Cap::SyncRegs, "KVM_CAP_SYNC_REGS", "4.17"),
    (Cap::GetTscKhz, "KVM_CAP_GET_TSC_KHZ", "2.6.39"),
];

/// Where KVM is.
pub const DEVICE: &str = "/dev/kvm";

/// Opens KVM and checks that it can do what is needed.
pub fn open(path: &Path) -> Result<Kvm, HostError> {
    use std::os::unix::ffi::OsStrExt;
    let path = path.to_path_buf();
    let failed = |errno: i32| match errno {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => HostError::Missing { path: path.clone() },
        libc::EACCES | libc::EPERM => HostError::Permission { path: path.clone() },
        errno => HostError::Open {
            path: path.clone(),
            source: kvm_ioctls::Error::new(errno),
        },
    };
    let name =
        std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(libc::ENOENT))?;
    let kvm = Kvm::new_with_path(name).map_err(|error| failed(error.errno()))?;
    check(&path, kvm.get_api_version(), |capability| {
        kvm.check_extension_int(capability)
    })?;
    Ok(kvm)
}

fn check(path: &Path, version: i32, capability: impl Fn(Cap) -> i32) -> Result<(), HostError> {
    if version != API_VERSION {
        return Err(HostError::ApiVersion {
            path: path.to_path_buf(),
            answer: version,
        });
    }
    for &(required, name, since) in REQUIRED {
        if capability(required) <= 0 {
            return Err(HostError::TooOld {
                capability: name,
                since,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = open(Path::new("/dev/no-such-kvm")).unwrap_err().to_string();
        assert!(
            error.starts_with("/dev/no-such-kvm does not exist"),
            "{error}"
        );
    }

    #[test]
    fn a_device_that_is_something_else_is_named() {
        let error = open(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(
            error.starts_with("/dev/null is not a KVM device"),
            "{error}"
        );
    }

    #[test]
    fn an_old_kvm_is_told_what_it_lacks() {
        let without = |missing: &'static str| {
            check(Path::new(DEVICE), API_VERSION, |capability| {
                let name = REQUIRED
                    .iter()
                    .find(|(required, ..)| *required as u32 == capability as u32)
                    .map(|(_, name, _)| *name);
                i32::from(name != Some(missing))
            })
        };
        assert!(without("").is_ok());
        let error = without("KVM_CAP_IMMEDIATE_EXIT").unwrap_err().to_string();
        assert_eq!(
            error,
            "this KVM is too old: it lacks KVM_CAP_IMMEDIATE_EXIT (there since Linux 4.12)"
        );
        assert!(matches!(
            check(Path::new(DEVICE), 11, |_| 1),
            Err(HostError::ApiVersion { answer: 11, .. })
        ));
    }
}
