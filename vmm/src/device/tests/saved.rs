//! A device whose driver goes on from a snapshot, or does not.

use super::rig::Rig;
use crate::device::DeviceError;
use crate::device::backend::{Active, Backend, Work};
use crate::device::saved::{NoteBytes, Notes, SavedDevice};
use std::sync::Arc;

/// Knows a byte of its driver.
#[derive(Debug)]
struct Knowing(NoteBytes);

impl Backend for Knowing {
    fn device_type(&self) -> u32 {
        4
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![4]
    }

    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    fn notes(&self) -> Arc<dyn Notes> {
        Arc::new(self.0.clone())
    }

    fn go_on_with(&mut self, notes: &[u8]) -> Result<(), String> {
        self.0.take_over(notes)
    }

    fn forget(&mut self) {
        self.0.clear();
    }

    fn run(&mut self, _: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(std::future::pending())
    }
}

fn knowing() -> (NoteBytes, Rig) {
    let notes = NoteBytes::new(1);
    let rig = Rig::new(Box::new(Knowing(notes.clone())));
    (notes, rig)
}

fn saved() -> SavedDevice {
    let (notes, mut rig) = knowing();
    rig.start(crate::device::features::TRANSPORT);
    notes.set(0, 7);
    rig.device().save().unwrap()
}

#[test]
fn what_is_known_of_a_driver_goes_on_with_it() {
    let saved = saved();
    assert_eq!(saved.notes, [7]);
    let (notes, rig) = knowing();
    rig.device().restore(&saved).unwrap();
    // Also before it is served again.
    assert_eq!(rig.device().save().unwrap().notes, [7]);
    rig.device().go_on();
    assert_eq!(rig.device().save().unwrap().notes, [7]);
    rig.reset();
    assert_eq!(notes.get(), [0]);
}

#[test]
fn what_is_known_of_a_driver_is_forgotten_when_it_resets_the_device() {
    let saved = saved();
    let (notes, rig) = knowing();
    rig.device().restore(&saved).unwrap();
    rig.reset();
    assert_eq!(notes.get(), [0]);
    // A device that needs a reset knows nothing.
    let broken = SavedDevice {
        needs_reset: true,
        ..saved
    };
    let (notes, rig) = knowing();
    rig.device().restore(&broken).unwrap();
    assert_eq!(notes.get(), [0]);
}

#[test]
fn what_another_device_knew_is_refused() {
    let (_, rig) = knowing();
    let other = SavedDevice {
        notes: vec![1, 2],
        ..saved()
    };
    let error = rig.device().restore(&other).unwrap_err().to_string();
    assert_eq!(
        error,
        "the device test does not fit the snapshot: it knows too much of its driver, or too little"
    );
}
