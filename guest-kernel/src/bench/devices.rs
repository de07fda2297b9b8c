//! A device: telling it of requests, and one request there and back. The VM needs a source of random
//! bytes for it (`--rng`).

#![allow(unsafe_code)]

use super::session::{Session, Trouble};
use super::{Operation, ticks};
use alloc::sync::Arc;
use paravane_sdk::event::{Events, Port, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::virtio::{
    Buffer, Device, Error, Queue, QueueOptions, Segment, feature, find, kind,
};
use paravane_sdk::{Features, start_info, vcpu};

const REQUESTS: Features = Features::DEVICES
    .union(Features::EVENTS)
    .union(Features::BLOCKING);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("doorbell", doorbell).needs(Features::DEVICES),
    Operation::new("io_queue_notify", notify).needs(Features::DEVICES),
    Operation::new("entropy_request", request).needs(REQUESTS),
];

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(alloc::format!("the device: {error}"))
    }
}

/// The device, which has not been started: nobody waits for its doorbell.
fn device() -> Result<Arc<Device>, Trouble> {
    let found = find(kind::ENTROPY, None);
    let found =
        found.ok_or_else(|| Trouble::Absent("the VM has no source of random bytes".into()))?;
    Ok(Device::take(found, feature::RING_EVENT_IDX)?)
}

/// The write to its port.
fn doorbell(session: &Session) -> Result<(), Trouble> {
    let device = device()?;
    if start_info::get().page().doorbell_count == 0 {
        let reason =
            "this host has no port for a doorbell at this privilege: the guest rings by call";
        return Err(Trouble::Absent(reason.into()));
    }
    session.each(|| {
        device.ring(0);
        Ok::<(), Trouble>(())
    })
}

/// The call in its place.
fn notify(session: &Session) -> Result<(), Trouble> {
    let device = device()?;
    let number = device.found().number();
    session.each(|| raw::io_queue_notify(number, 0).map(drop))
}

/// Eight random bytes: the doorbell, the device's thread, the event of the queue, for which this vCPU
/// blocks.
fn request(session: &Session) -> Result<(), Trouble> {
    let device = device()?;
    let options = QueueOptions {
        size: 8,
        segments: 1,
    };
    let mut queue = Queue::new(&device, 0, options)?;
    let port = Port::for_source(device.queue_source(0), vcpu::id(), Priority::High);
    let _port = port.map_err(Trouble::call("event_bind_source"))?;
    let buffer = Buffer::new(8).ok_or("there is no memory for a buffer")?;
    let segment = Segment {
        gpa: buffer.gpa(),
        size: buffer.len() as u32,
        writable: true,
    };
    device.start()?;
    // Upcalls are masked: an event ends the block, and is taken here.
    let measured = session.samples(1, || {
        let begun = ticks::begin();
        // SAFETY: the buffer outlives the queue's use of it, which ends below.
        unsafe { queue.add(&[segment]) }.ok_or("the queue is full")?;
        let mut has_come = queue.arm(1);
        queue.notify();
        while !has_come {
            raw::sched_block()?;
            Events::begin().for_each(drop);
            has_come = queue.has_used();
        }
        let used = queue.pop().map_err(|_| "the device broke the rules")?;
        let ended = ticks::end();
        let used = used.ok_or("nothing was used")?;
        queue.release(used.slot);
        Ok(ended.saturating_sub(begun))
    });
    device.reset();
    measured
}
