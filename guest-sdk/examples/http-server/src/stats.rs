//! What the server has done.

use alloc::format;
use alloc::string::String;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Poll, Waker};
use paravane_sdk::heap;
use paravane_sdk::sync::SpinLock;
use paravane_sdk::time::Instant;

/// Counts since the start.
pub struct Stats {
    start: Instant,
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
    bytes: AtomicU64,
    waker: SpinLock<Option<Waker>>,
}

impl Stats {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            waker: SpinLock::new(None),
        }
    }

    pub fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    pub fn closed(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    pub fn answered(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Waits until no connection is open.
    pub async fn all_closed(&self) {
        poll_fn(|context| {
            let before = self.waker.lock().replace(context.waker().clone());
            drop(before);
            match self.open.load(Ordering::Acquire) {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        format!(
            "{{\"uptime_seconds\":{:.3},\"requests\":{},\"connections\":{},\"open_connections\":{},\
             \"bytes_sent\":{},\"heap_bytes\":{}}}\n",
            self.start.elapsed().as_secs_f64(),
            self.requests(),
            self.connections.load(Ordering::Relaxed),
            self.open.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
            heap::usage().allocated,
        )
    }
}
