//! The loop that serves a disk's queues.
//!
//! One task serves all of them, in rounds: it takes what there is, starts it, takes what is over,
//! and then tells each queue's driver once. While there is work it looks at the rings by itself, so
//! the driver need not ring.

use super::device::BlockDevice;
use super::disk::Disk;
use super::engine::{Done, Engine};
use super::in_flight::InFlight;
use super::polling::Polling;
use super::request::Status;
use crate::device::DeviceError;
use crate::device::backend::Active;
use crate::device::chain::Chain;
use crate::device::gate::Gate;
use crate::device::queue::DeviceQueue;
use crate::device::rate::RateLimiter;
use crate::device::stats::DeviceStats;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use virtio_bindings::virtio_blk::VIRTIO_BLK_F_FLUSH;

/// A round ends when this much was started, so that what is over is told before it is stale, and the
/// driver makes the next requests while the device is busy with these.
const ROUND_BYTES: u64 = 1 << 20;
const ROUND_REQUESTS: u32 = 8;

/// After so many rounds the thread's other tasks have their turn.
const ROUNDS: u32 = 16;

/// A disk that is being served.
pub(super) struct Server<'a> {
    path: &'a Path,
    pub(super) disk: &'a Disk,
    rate: &'a mut RateLimiter,
    pub(super) engine: &'a mut Engine,
    pub(super) in_flight: &'a mut InFlight,
    stats: Arc<DeviceStats>,
    gate: Arc<Gate>,
    queues: Vec<Served>,
    first: usize,
    // Without FLUSH a driver counts on what was written being on disk (virtio 1.2, 5.2.6.2).
    pub(super) write_through: bool,
    // The kernel tells of lost writes once. After that no flush may succeed.
    pub(super) flush_failed: bool,
    told: bool,
    // When the rate allows the next request, if one is waiting.
    limited: Option<tokio::time::Instant>,
}

#[derive(Debug)]
struct Served {
    queue: Option<DeviceQueue>,
    // Something was put back that its driver has not been told of.
    pushed: bool,
}

impl<'a> Server<'a> {
    pub(super) fn new(device: &'a mut BlockDevice, active: Active) -> Option<Self> {
        let queues = active.queues.into_iter();
        Some(Self {
            path: &device.path,
            disk: &device.disk,
            rate: &mut device.rate,
            engine: device.engine.as_mut()?,
            in_flight: &mut device.in_flight,
            stats: active.stats,
            gate: active.gate,
            queues: queues
                .map(|queue| Served {
                    queue,
                    pushed: false,
                })
                .collect(),
            first: 0,
            write_through: active.features & 1 << VIRTIO_BLK_F_FLUSH == 0,
            flush_failed: false,
            told: false,
            limited: None,
        })
    }

    /// Serves until the device needs a reset.
    pub(super) async fn serve(&mut self) -> Result<(), DeviceError> {
        let mut rounds = 0;
        let mut polling = Polling::new(Instant::now());
        loop {
            if self.gate.is_closed() && self.engine.in_flight() == 0 {
                self.gate.hold();
            }
            if self.round()? {
                polling.worked(Instant::now());
                rounds += 1;
                if rounds % ROUNDS == 0 {
                    tokio::task::yield_now().await;
                }
            } else if self.limited.is_none()
                && polling.goes_on(Instant::now(), self.engine.in_flight() > 0)
            {
                std::hint::spin_loop();
            } else if self.sleep().await? {
                polling.rang(Instant::now());
            }
        }
    }

    /// Takes and starts, ends and tells. Whether there was anything.
    fn round(&mut self) -> Result<bool, DeviceError> {
        let failed = DeviceError::host("the disk's I/O");
        // What is under way ends before the VM is paused, and nothing more begins.
        let started = !self.gate.is_closed() && self.start()?;
        self.engine.submit().map_err(&failed)?;
        let mut ended = false;
        while let Some(done) = self.engine.take().map_err(&failed)? {
            ended = true;
            self.end(done)?;
        }
        for served in &mut self.queues {
            if let (true, Some(queue)) = (std::mem::take(&mut served.pushed), &mut served.queue) {
                queue.notify()?;
            }
        }
        Ok(started || ended)
    }

    /// Takes requests of all queues, as many as there are, may be and make a round.
    fn start(&mut self) -> Result<bool, DeviceError> {
        self.limited = None;
        let mut started = 0;
        let mut requests = 0;
        let count = self.queues.len();
        // Each round begins with another queue, so that none keeps the others out.
        self.first = (self.first + 1) % count.max(1);
        for index in (self.first..count).chain(0..self.first) {
            while started < ROUND_BYTES
                && requests < ROUND_REQUESTS
                && self.in_flight.has_room()
                && let Some(chain) = self.pop(index)?
            {
                requests += 1;
                let bytes = chain.bytes();
                self.rate.charge(bytes);
                started += bytes;
                self.begin(index, chain)?;
            }
        }
        Ok(requests > 0)
    }

    fn pop(&mut self, index: usize) -> Result<Option<Chain>, DeviceError> {
        let Some(queue) = self.queue(index) else {
            return Ok(None);
        };
        if !queue.has_request()? {
            return Ok(None);
        }
        self.limited = self.rate.wait_until();
        match (self.limited, self.queue(index)) {
            (None, Some(queue)) => queue.pop(),
            _ => Ok(None),
        }
    }

    fn queue(&mut self, index: usize) -> Option<&mut DeviceQueue> {
        self.queues.get_mut(index)?.queue.as_mut()
    }

    /// Ends what the engine has done.
    fn end(&mut self, done: Done) -> Result<(), DeviceError> {
        let Some(pending) = self.in_flight.remove(done.token) else {
            return Ok(());
        };
        let status = match done.result {
            Ok(()) => Status::Ok,
            Err(error) => {
                self.flush_failed |= pending.flush;
                self.stats.add("host_errors", 1);
                if !std::mem::replace(&mut self.told, true) {
                    let path = self.path.display();
                    tracing::warn!("the image {path}: {error}; the guest gets I/O errors");
                }
                Status::IoError
            }
        };
        self.finish(pending.queue, pending.chain, status, pending.data)
    }

    /// Puts a request back with its status, behind so many bytes of data.
    pub(super) fn finish(
        &mut self,
        queue: usize,
        mut chain: Chain,
        status: Status,
        data: u32,
    ) -> Result<(), DeviceError> {
        chain.write_at_end(&[status as u8])?;
        if let Some(served) = self.queues.get_mut(queue)
            && let Some(queue) = &mut served.queue
        {
            queue.push(chain, data + 1)?;
            served.pushed = true;
        }
        Ok(())
    }

    /// Waits until there may be something to do. Whether it is the driver who rang.
    async fn sleep(&mut self) -> Result<bool, DeviceError> {
        let limited = self.limited;
        let gate = Arc::clone(&self.gate);
        // It may have been closed since the last look. Then nobody would end this wait, but whoever
        // ends the device, and so has a turn. One that closes after this look ends the wait.
        let closed = gate.is_closed();
        if closed && self.engine.in_flight() == 0 {
            tokio::task::yield_now().await;
            return Ok(false);
        }
        // A request that cannot be started is not waited for, nor one that would not be sooner.
        let starts = self.in_flight.has_room() && !self.in_flight.is_plenty();
        let listens = limited.is_none() && starts && !closed;
        let queues = self.queues.iter_mut().filter(|_| listens);
        type Waiting<'w> = Pin<Box<dyn Future<Output = Result<(), DeviceError>> + 'w>>;
        let mut waiting: Vec<Waiting<'_>> = queues
            .filter_map(|served| served.queue.as_mut())
            .map(|queue| Box::pin(queue.ready()) as Waiting<'_>)
            .collect();
        let any = std::future::poll_fn(|context| {
            let mut polled = waiting.iter_mut().map(|one| one.as_mut().poll(context));
            polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        let timer = async {
            match limited {
                Some(when) => tokio::time::sleep_until(when).await,
                None => std::future::pending().await,
            }
        };
        let timer = pin!(timer);
        tokio::select! {
            heard = any => heard.map(|()| true),
            ready = self.engine.wait() => {
                ready.map_err(DeviceError::host("the disk's I/O"))?;
                Ok(false)
            }
            () = timer => Ok(false),
            () = gate.closed(), if !closed => Ok(false),
        }
    }
}
