//! I/O by io_uring: a batch of requests costs one system call, and none of them blocks the thread.
#![allow(unsafe_code)]

use super::{Done, Operation, Transfer};
use crate::device::block::image::{RawImage, Step};
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How many operations may be under way; the completion queue has room for twice as many.
pub const DEPTH: usize = 256;

#[derive(Debug)]
struct Slot {
    token: u64,
    operation: Operation,
}

/// A ring, and the operations that the kernel works on.
///
/// It owns the buffers until the kernel is done with them; dropping it waits for that.
pub struct Ring {
    ring: AsyncFd<IoUring>,
    image: Arc<RawImage>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    // Pushed and not given to the kernel yet.
    pushed: usize,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let in_flight = self.in_flight();
        formatter
            .debug_struct("Ring")
            .field("in_flight", &in_flight)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring for an image, if the kernel has io_uring and allows it. Needs a tokio runtime.
    pub fn new(image: Arc<RawImage>) -> io::Result<Self> {
        let ring = IoUring::new(DEPTH as u32)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [
            opcode::Readv::CODE,
            opcode::Writev::CODE,
            opcode::Fsync::CODE,
        ];
        if !needed.iter().all(|&code| probe.is_supported(code)) {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        // SAFETY: the ring has one descriptor, which it owns until it is dropped.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self {
            ring,
            image,
            slots: (0..DEPTH).map(|_| None).collect(),
            free: (0..DEPTH).rev().collect(),
            pushed: 0,
        })
    }

    /// Operations that are not over yet.
    pub fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Prepares an operation, which [`Self::submit`] starts. Gives it back if it is none for a
    /// ring, or if there are too many.
    pub fn push(&mut self, token: u64, operation: Operation) -> Result<(), Operation> {
        if !matches!(
            operation,
            Operation::Read(_) | Operation::Write { .. } | Operation::Flush
        ) {
            return Err(operation);
        }
        let Some(index) = self.free.pop() else {
            return Err(operation);
        };
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot { token, operation });
        }
        self.push_slot(index);
        Ok(())
    }

    fn push_slot(&mut self, index: usize) {
        let Some(Some(slot)) = self.slots.get(index) else {
            return;
        };
        let entry = entry(&self.image, &slot.operation).user_data(index as u64);
        // SAFETY: the entry's buffers are the slot's, which stays as it is until the completion
        // with its index has been taken. There are as many entries as slots, and each slot has at
        // most one in the queue, so there is room.
        let pushed = unsafe { self.ring.get_mut().submission().push(&entry) };
        debug_assert!(pushed.is_ok());
        self.pushed += 1;
    }

    /// Gives the kernel what was pushed.
    pub fn submit(&mut self) -> io::Result<()> {
        while self.pushed > 0 {
            match self.ring.get_ref().submit() {
                Ok(count) => self.pushed -= count.min(self.pushed),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => (),
                    // Completions that nobody has taken are in the way; what is pushed stays.
                    Some(libc::EBUSY) => return Ok(()),
                    // The kernel is short of memory.
                    Some(libc::EAGAIN) => std::thread::sleep(Duration::from_millis(1)),
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Takes what is over into `done`. What the ring could not do goes to `blocking`.
    pub fn take(
        &mut self,
        done: &mut VecDeque<Done>,
        blocking: &mut Vec<(u64, Operation)>,
    ) -> io::Result<()> {
        loop {
            while let Some(entry) = self.next_completion() {
                self.completed(entry.user_data() as usize, entry.result(), done, blocking);
            }
            if self.pushed == 0 {
                return Ok(());
            }
            // Something is only half done, or did not fit before.
            self.submit()?;
        }
    }

    fn next_completion(&mut self) -> Option<cqueue::Entry> {
        self.ring.get_mut().completion().next()
    }

    fn completed(
        &mut self,
        index: usize,
        returned: i32,
        done: &mut VecDeque<Done>,
        blocking: &mut Vec<(u64, Operation)>,
    ) {
        let Some(Some(slot)) = self.slots.get_mut(index) else {
            return;
        };
        let returned = u64::try_from(returned)
            .map_err(|_| io::Error::from_raw_os_error(returned.saturating_neg()));
        let step = match &mut slot.operation {
            Operation::Read(transfer) | Operation::Write { transfer, .. } => {
                RawImage::account(transfer, returned)
            }
            _ => Step::Done(returned.map(|_| ())),
        };
        match step {
            Step::Again => self.push_slot(index),
            Step::Done(result) => {
                if let Some(Slot { token, .. }) = self.free(index) {
                    done.push_back(Done { token, result });
                }
            }
            Step::Blocks => {
                if let Some(Slot { token, operation }) = self.free(index) {
                    blocking.push((token, operation));
                }
            }
        }
    }

    fn free(&mut self, index: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(index)?.take()?;
        self.free.push(index);
        Some(slot)
    }

    /// Waits until [`Self::take`] may find something.
    pub async fn wait(&self) -> io::Result<()> {
        // The ring's descriptor is readable while there are completions.
        let mut guard = self.ring.readable().await?;
        guard.clear_ready();
        Ok(())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let (mut done, mut blocking) = (VecDeque::new(), Vec::new());
        while self.in_flight() > 0 {
            let waited = self.ring.get_ref().submit_and_wait(1);
            let again = waited
                .as_ref()
                .is_err_and(|error| error.raw_os_error() == Some(libc::EINTR));
            self.pushed = self.ring.get_mut().submission().len();
            if self.take(&mut done, &mut blocking).is_err() || (waited.is_err() && !again) {
                // The kernel may still be at work on these buffers, so nobody gets them again.
                std::mem::forget(std::mem::take(&mut self.slots));
                return;
            }
        }
    }
}

fn entry(image: &RawImage, operation: &Operation) -> squeue::Entry {
    match operation {
        Operation::Read(transfer) => {
            let (descriptor, pointer, count) = arguments(image, transfer);
            opcode::Readv::new(descriptor, pointer, count)
                .offset(transfer.offset())
                .build()
        }
        Operation::Write { transfer, durable } => {
            let (descriptor, pointer, count) = arguments(image, transfer);
            let flags = if *durable { libc::RWF_DSYNC } else { 0 };
            let write = opcode::Writev::new(descriptor, pointer, count);
            write.offset(transfer.offset()).rw_flags(flags).build()
        }
        _ => opcode::Fsync::new(Fd(image.sync_descriptor()))
            .flags(FsyncFlags::DATASYNC)
            .build(),
    }
}

fn arguments(image: &RawImage, transfer: &Transfer) -> (Fd, *const libc::iovec, u32) {
    let (descriptor, _) = image.descriptor(transfer);
    let iovecs = transfer.iovecs();
    (Fd(descriptor), iovecs.as_ptr(), iovecs.len() as u32)
}
