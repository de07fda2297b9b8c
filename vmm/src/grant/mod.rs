//! Grants: memory that guests of one VMM process share.
//!
//! The guests of a process are numbered, and know each other by their numbers ([`Domains`]).
//! A guest that grants another one a range of its RAM gets a grant number; the other guest
//! attaches the grant by it. The range is then a memory slot of the other VM too
//! ([`slots`]), in a window of guest-physical addresses behind the VMM's private pages
//! ([`window`]), where `as_map` can map it and nothing else reaches it.
//!
//! Xen has the same under the names grant table, grant reference and map operation. Unlike
//! there, taking a grant back never waits for the other guest: the VMM removes its mappings.
//!
//! What two guests share, each of them may change at any time. That concerns only those two:
//! the VMM never reads it.

mod domain;
mod domains;
mod places;
pub mod slots;
mod table;
pub mod window;

pub use domain::Domain;
pub use domains::{Domains, Seat};

use pv_abi::Errno;
use pv_abi::grant::{Attachment, Offer};
use std::ops::Range;
use std::sync::Arc;

/// A range of RAM that a guest grants another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedRange {
    /// Guest-physical address of its first byte; a multiple of the page size.
    pub gpa: u64,
    /// Size in bytes; a multiple of the page size, at most [`window::POSITION_SIZE`].
    pub size: u64,
    /// `RIGHT_READ`, with `RIGHT_WRITE` or not.
    pub rights: u32,
}

/// A running VM's access to what the guests of its process grant each other. When it is
/// dropped, the VM has left.
#[derive(Debug)]
pub struct Grants {
    seat: Seat,
    domain: Arc<Domain>,
}

impl Grants {
    /// Lets a VM take its seat. One that has it from an earlier boot leaves.
    pub fn join(seat: Seat, domain: Domain) -> Self {
        let domain = Arc::new(domain);
        seat.domains.join(seat.guest, &domain);
        Self { seat, domain }
    }

    /// The number of this VM's guest, and how many there are.
    pub fn seat(&self) -> (u32, u32) {
        (self.seat.guest, self.seat.domains.count())
    }

    /// Takes back what this VM has granted, and detaches what it has attached. From then on it
    /// neither grants nor attaches anything. For a VM that has ended, whatever the reason.
    pub fn leave(&self) {
        self.seat.domains.leave(self.seat.guest, &self.domain);
    }

    /// The guest-physical addresses of what this VM attaches.
    pub fn window(&self) -> Range<u64> {
        self.domain.window.range()
    }

    /// Grants `guest` the use of a range, which lies in RAM: the number of the grant.
    pub fn share(&self, guest: u32, range: GrantedRange) -> Result<u32, Errno> {
        self.seat.domains.share(self.seat.guest, guest, range)
    }

    /// Takes a grant back: whether it was attached.
    pub fn unshare(&self, grant: u32) -> Result<bool, Errno> {
        self.seat.domains.unshare(self.seat.guest, grant)
    }

    /// Attaches a grant of another guest.
    pub fn attach(&self, guest: u32, grant: u32) -> Result<Attachment, Errno> {
        self.seat.domains.attach(self.seat.guest, guest, grant)
    }

    /// Detaches a grant.
    pub fn detach(&self, guest: u32, grant: u32) -> Result<(), Errno> {
        self.seat.domains.detach(self.seat.guest, guest, grant)
    }

    /// Writes what other guests offer this one to the front of `offers`: how many these are.
    pub fn offers(&self, offers: &mut [Offer]) -> usize {
        self.seat.domains.offers(self.seat.guest, offers)
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        self.leave();
    }
}
