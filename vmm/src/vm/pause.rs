//! Pausing a VM.
//!
//! While a VM is paused its vCPUs are outside of the guest and cost nothing, no timer fires, and
//! no device touches guest memory or anything of the host's. Its clock goes on, as it does for
//! other KVM guests: when the VM goes on, the guest sees that time has passed, and timers that
//! were due meanwhile come late. What happens outside is not lost: input waits, as do packets and
//! connections in the buffers of the host's kernel, and a request to shut down is told when the
//! VM goes on.

use super::VmControl;
use crate::sync::lock;
use crate::vcpu::rest::RestError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long a pause may take to begin. Only a console whose reader has stopped reading, or a disk
/// that does not answer, takes more than milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Why a VM could not be paused. It goes on then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PauseError {
    /// It has ended, or is ending.
    #[error("the VM has ended")]
    Ended,
    /// A vCPU does not come out of a call.
    #[error(
        "vCPU {vcpu} did not come to rest within {} s: it is inside of a call, most likely a \
         write to a console that nobody reads",
        PATIENCE.as_secs()
    )]
    Vcpu {
        /// Its number.
        vcpu: u32,
    },
    /// A device does not finish what it has begun.
    #[error(
        "the device {id} did not finish its requests within {} s: the host does not answer it",
        PATIENCE.as_secs()
    )]
    Device {
        /// Its name.
        id: String,
    },
}

impl From<RestError> for PauseError {
    fn from(error: RestError) -> Self {
        match error {
            RestError::Ended => Self::Ended,
            RestError::Late(vcpus) => Self::Vcpu {
                vcpu: vcpus.trailing_zeros(),
            },
        }
    }
}

impl VmControl {
    /// Pauses the VM; when this returns, it is. One that is paused stays so. A VM that has not
    /// been run yet does not enter its guest until it is resumed.
    ///
    /// # Errors
    ///
    /// The VM has ended, or does not come to rest within [`PATIENCE`] and goes on.
    pub fn pause(&self) -> Result<(), PauseError> {
        let mut paused = lock(&self.paused);
        if *paused {
            return match self.services.vcpus.stopping() {
                true => Err(PauseError::Ended),
                false => Ok(()),
            };
        }
        let deadline = Instant::now() + PATIENCE;
        let services = &self.services;
        // Reads end when the vCPUs are to rest, and are repeated.
        services.console.set_pausing(true);
        let result = services
            .vcpus
            .begin_rest(PATIENCE)
            .map_err(PauseError::from)
            .and_then(|()| {
                // Now that no vCPU makes requests.
                services.devices.pause(deadline).map_err(|id| {
                    services.vcpus.end_rest();
                    PauseError::Device { id }
                })
            });
        *paused = result.is_ok();
        if result.is_err() {
            services.console.set_pausing(false);
        }
        result
    }

    /// Lets a paused VM go on. Another goes on anyway.
    pub fn resume(&self) {
        let mut paused = lock(&self.paused);
        if std::mem::replace(&mut *paused, false) {
            self.resumes.fetch_add(1, Ordering::SeqCst);
            let services = &self.services;
            services.console.set_pausing(false);
            services.devices.resume();
            services.vcpus.end_rest();
        }
    }

    /// Has the devices of a VM that goes on from a snapshot served, as it is about to run. They are
    /// not before, for what the snapshot says about them may be made up, and only now is the process
    /// in its sandbox if it has one.
    pub(super) fn begin_devices(&self) {
        let mut paused = lock(&self.paused);
        let services = &self.services;
        services.devices.go_on();
        if *paused && services.devices.pause(Instant::now() + PATIENCE).is_err() {
            // As where a pause fails.
            *paused = false;
            services.console.set_pausing(false);
            services.vcpus.end_rest();
        }
    }

    /// How often the VM has been resumed.
    pub(crate) fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::SeqCst)
    }

    /// Whether the VM is paused.
    pub fn is_paused(&self) -> bool {
        *lock(&self.paused)
    }
}
