//! The process of a VM, watched by a descriptor (pidfd), which never means another process.

#![allow(unsafe_code)]

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    fd: AsyncFd<OwnedFd>,
    /// There for a process that this daemon started, which has to be waited for.
    child: Option<Child>,
}

impl Process {
    /// A child.
    ///
    /// # Errors
    ///
    /// There is no descriptor for it; it is killed then.
    pub fn of_child(mut child: Child) -> io::Result<Self> {
        match Self::of_pid(child.id()) {
            Ok(process) => Ok(Self {
                child: Some(child),
                ..process
            }),
            Err(error) => {
                // It is our child, so its number cannot mean another process yet.
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The process of this number. The caller makes sure that it is the right one.
    ///
    /// # Errors
    ///
    /// There is no such process.
    pub fn of_pid(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other(format!("{pid} is no number of a process")))?;
        let fd = pidfd_open(number, PidfdFlags::NONBLOCK)?;
        // SAFETY: an OwnedFd is one open descriptor until it is dropped, which is here after the
        // AsyncFd.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Self {
            pid,
            fd,
            child: None,
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it (SIGKILL).
    pub fn kill(&self) {
        // It may have ended.
        let _ = pidfd_send_signal(self.fd.get_ref(), Signal::KILL);
    }

    /// Waits until it has ended. Says by which signal, where that is known. It may be dropped
    /// and called again.
    pub async fn ended(&mut self) -> Option<i32> {
        // It fails only when the runtime ends.
        let _ = self.fd.readable().await;
        let status = self.child.as_mut()?.wait().ok()?;
        status.signal()
    }
}
