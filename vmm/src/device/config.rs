//! The configuration space of a device (virtio 1.2, 2.5).

use super::doorbell::Notifier;
use crate::event::port::Source;
use crate::sync::lock;
use std::sync::Mutex;

/// A configuration space, which the driver reads and the device changes.
#[derive(Debug)]
pub struct Config {
    state: Mutex<State>,
    notifier: Notifier,
    source: Source,
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    generation: u32,
}

impl Config {
    /// One that holds `bytes`; `source` is told of changes.
    pub(super) fn new(bytes: Vec<u8>, notifier: Notifier, source: Source) -> Self {
        Self {
            state: Mutex::new(State {
                bytes,
                generation: 0,
            }),
            notifier,
            source,
        }
    }

    /// Copies bytes from `offset` on, all at one moment, and says which generation they are of;
    /// nothing if they are not all there.
    pub fn read(&self, offset: u32, bytes: &mut [u8]) -> Option<u32> {
        let state = lock(&self.state);
        let start = offset as usize;
        let end = start.checked_add(bytes.len())?;
        bytes.copy_from_slice(state.bytes.get(start..end)?);
        Some(state.generation)
    }

    /// All of it, and its generation.
    pub(super) fn save(&self) -> (Vec<u8>, u32) {
        let state = lock(&self.state);
        (state.bytes.clone(), state.generation)
    }

    /// Makes it what the driver has read, or what that is to be from now on, of the next generation.
    pub(super) fn restore(&self, bytes: Vec<u8>, generation: u32) {
        let mut state = lock(&self.state);
        state.bytes = bytes;
        state.generation = generation.wrapping_add(1);
    }

    /// Changes it, and tells the driver.
    pub fn update(&self, change: impl FnOnce(&mut [u8])) {
        let mut state = lock(&self.state);
        change(&mut state.bytes);
        state.generation = state.generation.wrapping_add(1);
        drop(state);
        self.notifier.raise(self.source);
    }
}
