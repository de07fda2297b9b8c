//! Waiting for a file descriptor in a device's runtime.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A file descriptor, which does not block, that the runtime of this thread waits for.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Waits for a descriptor to become readable, writable or both, as `interest` says.
    ///
    /// # Errors
    ///
    /// The descriptor is of a kind that cannot be waited for, or the host has no room.
    pub fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        // SAFETY: the descriptor is open and owned by the `AsyncFd`; nothing here hands it out to
        // be replaced or closed before that is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
        Ok(Self(registered?))
    }

    /// Waits until it can be read from.
    ///
    /// # Errors
    ///
    /// The runtime is ending.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }

    /// Waits until it can be read from or has failed, which is told to who has registered it with
    /// [`Interest::ERROR`].
    ///
    /// # Errors
    ///
    /// The runtime is ending.
    pub async fn readable_or_failed(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.ready(Interest::READABLE | Interest::ERROR).await
    }

    /// Waits until it can be written to.
    ///
    /// # Errors
    ///
    /// The runtime is ending.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.writable().await
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
