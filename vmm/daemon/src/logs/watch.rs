//! Folders in which something changes, by one inotify descriptor for all (a user has few).

#![allow(unsafe_code)]

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// The folders that are watched.
#[derive(Debug)]
pub struct Watches {
    fd: AsyncFd<OwnedFd>,
    known: Mutex<HashMap<i32, watch::Sender<()>>>,
}

/// A folder that is watched until this is dropped.
#[derive(Debug)]
pub struct Watch {
    changes: watch::Receiver<()>,
    number: i32,
    watches: Arc<Watches>,
}

impl Watches {
    /// Begins to watch; a task tells of what changes as long as the runtime lives.
    ///
    /// # Errors
    ///
    /// There is no inotify descriptor to be had.
    pub fn new() -> io::Result<Arc<Self>> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // SAFETY: an OwnedFd is one open descriptor until it is dropped, which is here after the
        // AsyncFd.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        let watches = Arc::new(Self {
            fd,
            known: Mutex::default(),
        });
        let task = Arc::downgrade(&watches);
        tokio::spawn(async move {
            while let Some(watches) = task.upgrade() {
                if let Err(error) = watches.tell().await {
                    tracing::error!("logs cannot be followed any more: {error}");
                    return;
                }
            }
        });
        Ok(watches)
    }

    /// Watches a folder.
    ///
    /// # Errors
    ///
    /// It is not there, or too many are watched.
    pub fn watch(self: &Arc<Self>, folder: &Path) -> io::Result<Watch> {
        let flags =
            WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let mut known = self.lock();
        // The same folder has the same number again.
        let number = inotify::add_watch(self.fd.get_ref(), folder, flags)?;
        let sender = known
            .entry(number)
            .or_insert_with(|| watch::Sender::new(()));
        Ok(Watch {
            changes: sender.subscribe(),
            number,
            watches: Arc::clone(self),
        })
    }

    /// Waits for changes and tells of them.
    async fn tell(&self) -> io::Result<()> {
        let mut ready = self.fd.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.fd.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let mut known = self.lock();
                    if event.events().contains(ReadFlags::IGNORED) {
                        // The folder is gone; who watches it sees the sender gone.
                        known.remove(&event.wd());
                    } else if let Some(sender) = known.get(&event.wd()) {
                        sender.send_replace(());
                    }
                    if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                        known.values().for_each(|sender| {
                            sender.send_replace(());
                        });
                    }
                }
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, watch::Sender<()>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Waits until something changed since the last time; false when the folder is gone.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut known = self.watches.lock();
        let last = known
            .get(&self.number)
            .is_some_and(|sender| sender.receiver_count() == 1);
        if last {
            known.remove(&self.number);
            // It may be gone already.
            let _ = inotify::remove_watch(self.watches.fd.get_ref(), self.number);
        }
    }
}
