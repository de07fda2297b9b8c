//! What threads do in a sandbox: each narrows what it may do by its kind, and those that may start no
//! threads have a thread that does it for them.

use super::error::SandboxError;
use super::seccomp::{Filters, ThreadKind};
use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

/// The sandbox of this process, once it is entered.
static SANDBOX: OnceLock<Threads> = OnceLock::new();

#[derive(Debug)]
struct Threads {
    filters: Filters,
    /// The boot vCPU's thread builds the next VM.
    rebuilds: bool,
    spawner: Sender<Start>,
}

/// Starts a thread.
type Start = Box<dyn FnOnce() + Send>;

/// Says that the process is in its sandbox.
///
/// A device's thread has the filters of the one that starts it, and a vCPU's thread, which does when
/// the driver is ready, has fewer rights than it. So one thread of the process does nothing but start
/// others, under the common filter alone.
pub(super) fn entered(filters: Filters, rebuilds: bool) -> Result<(), SandboxError> {
    let (spawner, starts) = channel::<Start>();
    Builder::new()
        .name("spawner".to_string())
        .stack_size(64 << 10)
        .spawn(move || starts.into_iter().for_each(|start| start()))
        .map_err(SandboxError::step(
            "starting the thread that starts threads",
        ))?;
    let threads = Threads {
        filters,
        rebuilds,
        spawner,
    };
    SANDBOX.set(threads).map_err(|_| SandboxError::Twice)
}

/// Whether the process is in a sandbox.
pub fn is_entered() -> bool {
    SANDBOX.get().is_some()
}

/// Puts the current thread, in a sandbox, under the filter of its kind, for good.
///
/// # Errors
///
/// The kernel refuses: it has no memory left.
pub fn narrow(kind: ThreadKind) -> Result<(), SandboxError> {
    match SANDBOX.get() {
        Some(threads) => threads.filters.narrow(kind),
        None => Ok(()),
    }
}

/// As [`narrow`], for the boot vCPU's thread, which may be to build the next VM.
///
/// # Errors
///
/// As there.
pub fn narrow_boot_vcpu() -> Result<(), SandboxError> {
    match SANDBOX.get() {
        Some(threads) if !threads.rebuilds => threads.filters.narrow(ThreadKind::Vcpu),
        _ => Ok(()),
    }
}

/// Starts a thread for whoever may have no right to.
///
/// # Errors
///
/// There can be none.
pub fn spawn<T: Send + 'static>(
    builder: Builder,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let Some(threads) = SANDBOX.get() else {
        return builder.spawn(run);
    };
    let (reply, handle) = channel();
    let start = move || {
        // Who asked waits.
        let _ = reply.send(builder.spawn(run));
    };
    let gone = || io::Error::other("the thread that starts threads has ended");
    threads.spawner.send(Box::new(start)).map_err(|_| gone())?;
    handle.recv().map_err(|_| gone())?
}
