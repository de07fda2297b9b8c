//! The guests of a VMM process, and their grants.

use super::places::{Places, Vacated};
use super::{Domain, GrantedRange};
use crate::sync::lock;
use pv_abi::Errno;
use pv_abi::grant::{Attachment, Offer};
use std::sync::{Arc, Mutex};

/// The guests of a process, by number, and their grants.
///
/// One lock covers all of it. Each operation concerns two VMs, so with a lock for each VM two
/// that grant to each other could wait for each other; and none of this is on a hot path. What
/// is called under the lock takes locks of one VM alone, and never this one: those of its
/// address spaces and memory slots. Guests are notified, and memory is unmapped, without it.
#[derive(Debug)]
pub struct Domains {
    places: Mutex<Places>,
}

/// Which of the guests of a process a VM runs. A guest keeps its seat when it reboots.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The guests of the process.
    pub domains: Arc<Domains>,
    /// The number of this one among them.
    pub guest: u32,
}

impl Seat {
    /// The seat of a guest that is alone in its process.
    pub fn alone() -> Self {
        Self {
            domains: Arc::new(Domains::new(1)),
            guest: 0,
        }
    }
}

impl Domains {
    /// So many guests, none of which runs yet.
    pub fn new(guests: u32) -> Self {
        Self {
            places: Mutex::new(Places::new(guests)),
        }
    }

    /// Number of guests.
    pub fn count(&self) -> u32 {
        lock(&self.places).count()
    }

    /// From now on `domain` runs `guest`. What ran it before has left.
    pub(super) fn join(&self, guest: u32, domain: &Arc<Domain>) {
        let vacated = {
            let mut places = lock(&self.places);
            let vacated = places.vacate(guest);
            places.occupy(guest, domain);
            vacated
        };
        vacated.notify();
    }

    /// `domain` runs `guest` no longer, if it did.
    pub(super) fn leave(&self, guest: u32, domain: &Arc<Domain>) {
        let vacated = {
            let mut places = lock(&self.places);
            if places.is_occupied_by(guest, domain) {
                places.vacate(guest)
            } else {
                Vacated::default()
            }
        };
        vacated.notify();
    }

    pub(super) fn share(&self, guest: u32, to: u32, range: GrantedRange) -> Result<u32, Errno> {
        let (number, peer) = lock(&self.places).share(guest, to, range)?;
        notify(peer.as_deref());
        Ok(number)
    }

    pub(super) fn unshare(&self, guest: u32, grant: u32) -> Result<bool, Errno> {
        let (was_attached, peer) = lock(&self.places).unshare(guest, grant)?;
        notify(peer.as_deref());
        Ok(was_attached)
    }

    pub(super) fn attach(&self, guest: u32, from: u32, grant: u32) -> Result<Attachment, Errno> {
        lock(&self.places).attach(guest, from, grant)
    }

    pub(super) fn detach(&self, guest: u32, from: u32, grant: u32) -> Result<(), Errno> {
        lock(&self.places).detach(guest, from, grant)
    }

    pub(super) fn offers(&self, guest: u32, offers: &mut [Offer]) -> usize {
        let places = lock(&self.places);
        let mut count = 0;
        for (slot, offer) in offers.iter_mut().zip(places.offers(guest)) {
            *slot = offer;
            count += 1;
        }
        count
    }
}

fn notify(peer: Option<&Domain>) {
    if let Some(peer) = peer {
        peer.notify();
    }
}
