//! What each guest of a process grants and attaches.

use super::table::{Grant, GrantTable};
use super::{Domain, GrantedRange};
use pv_abi::Errno;
use pv_abi::grant::{Attachment, GRANTS, Offer};
use std::sync::Arc;

/// What is at a position of a guest's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    Free,
    /// A grant of another guest.
    Attached { guest: u32, grant: u32 },
    /// A slot that the host did not remove. It stays out of use.
    Lost,
}

/// The place of a guest, which is there whether a VM runs the guest or not.
#[derive(Debug)]
struct Place {
    domain: Option<Arc<Domain>>,
    given: GrantTable,
    attached: [Position; GRANTS],
}

impl Place {
    fn position_of(&self, attached: Position) -> Option<usize> {
        self.attached.iter().position(|&there| there == attached)
    }

    /// Takes an attached grant away from the guest.
    fn detach(&mut self, position: usize, size: u64) {
        let removed = match &self.domain {
            Some(domain) => domain.detach(position, size),
            None => true,
        };
        if let Some(there) = self.attached.get_mut(position) {
            *there = if removed {
                Position::Free
            } else {
                Position::Lost
            };
        }
    }
}

/// The places of all guests.
///
/// Whatever a method answers, both ends of a grant agree: what a guest has attached is in the
/// table of the guest that gave it, and says so there.
#[derive(Debug)]
pub struct Places(Box<[Place]>);

/// What a VM leaves behind.
#[derive(Debug, Default)]
#[must_use]
pub struct Vacated {
    domain: Option<Arc<Domain>>,
    peers: Vec<Arc<Domain>>,
}

impl Vacated {
    /// Tells the guests from which a grant was taken back. It may take the time to unmap a VM.
    pub fn notify(self) {
        for peer in &self.peers {
            peer.notify();
        }
    }
}

impl Places {
    /// The places of so many guests, none of which runs.
    pub fn new(guests: u32) -> Self {
        let place = |_| Place {
            domain: None,
            given: GrantTable::default(),
            attached: [Position::Free; GRANTS],
        };
        Self((0..guests).map(place).collect())
    }

    /// Number of guests.
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn place(&mut self, guest: u32) -> Option<&mut Place> {
        self.0.get_mut(guest as usize)
    }

    /// Whether `domain` runs `guest`.
    pub fn is_occupied_by(&self, guest: u32, domain: &Arc<Domain>) -> bool {
        let place = self.0.get(guest as usize);
        let there = place.and_then(|place| place.domain.as_ref());
        there.is_some_and(|there| Arc::ptr_eq(there, domain))
    }

    /// `domain` runs `guest` now, for which no VM was running.
    pub fn occupy(&mut self, guest: u32, domain: &Arc<Domain>) {
        if let Some(place) = self.place(guest) {
            place.domain = Some(Arc::clone(domain));
        }
    }

    /// No VM runs `guest` any more: its grants are taken back, and what it has attached is
    /// detached. What it was granted stays, for when it is started again.
    pub fn vacate(&mut self, guest: u32) -> Vacated {
        let mut vacated = Vacated::default();
        for position in 0..GRANTS {
            let there = self.place(guest).map(|place| place.attached[position]);
            if let Some(Position::Attached { guest: from, grant }) = there {
                // It is there: both ends agree.
                let _ = self.detach(guest, from, grant);
            }
        }
        let Some(place) = self.place(guest) else {
            return vacated;
        };
        // Another VM has slots of its own.
        place.attached = [Position::Free; GRANTS];
        vacated.domain = place.domain.take();
        let given: Vec<_> = place.given.iter().map(|(number, _)| number).collect();
        for number in given {
            if let Ok((_, Some(peer))) = self.unshare(guest, number)
                && !vacated.peers.iter().any(|known| Arc::ptr_eq(known, &peer))
            {
                vacated.peers.push(peer);
            }
        }
        vacated
    }

    /// Grants `to` a range of the RAM of `guest`: the number of the grant, and whom to notify.
    pub fn share(
        &mut self,
        guest: u32,
        to: u32,
        range: GrantedRange,
    ) -> Result<(u32, Option<Arc<Domain>>), Errno> {
        if to == guest {
            return Err(Errno::ENOENT);
        }
        let peer = self.place(to).ok_or(Errno::ENOENT)?.domain.clone();
        let Place { domain, given, .. } = self.place(guest).ok_or(Errno::ENOENT)?;
        // A VM that has left grants nothing.
        let domain = domain.as_ref().ok_or(Errno::ENOENT)?;
        let vacant = given.vacant().ok_or(Errno::ENOSPC)?;
        domain
            .spaces
            .share_begin(range.gpa, range.size, range.rights)?;
        let number = vacant.fill(Grant {
            to,
            range,
            attached: None,
        });
        Ok((number, peer))
    }

    /// Takes a grant of `guest` back: whether it was attached, and whom to notify.
    pub fn unshare(
        &mut self,
        guest: u32,
        number: u32,
    ) -> Result<(bool, Option<Arc<Domain>>), Errno> {
        let place = self.place(guest).ok_or(Errno::ENOENT)?;
        let grant = place.given.remove(number).ok_or(Errno::ENOENT)?;
        let domain = place.domain.clone();
        let mut peer = None;
        if let Some(place) = self.place(grant.to) {
            if let Some(position) = grant.attached {
                place.detach(position, grant.range.size);
            }
            peer.clone_from(&place.domain);
        }
        // Only now may the guest do with the pages what it may not do with shared ones.
        if let Some(domain) = domain {
            let GrantedRange { gpa, size, rights } = grant.range;
            domain.spaces.share_end(gpa, size, rights);
        }
        Ok((grant.attached.is_some(), peer))
    }

    /// Attaches a grant of `from` to `guest`.
    pub fn attach(&mut self, guest: u32, from: u32, number: u32) -> Result<Attachment, Errno> {
        let granter = self.place(from).ok_or(Errno::ENOENT)?;
        let grant = granter.given.get_mut(number).ok_or(Errno::ENOENT)?;
        if grant.to != guest {
            return Err(Errno::ENOENT);
        }
        if grant.attached.is_some() {
            return Err(Errno::EBUSY);
        }
        let range = grant.range;
        let ram = match &granter.domain {
            Some(domain) => Arc::clone(&domain.ram),
            None => return Err(Errno::ENOENT),
        };

        let place = self.place(guest).ok_or(Errno::ENOENT)?;
        let domain = place.domain.as_ref().ok_or(Errno::ENOENT)?;
        let position = place.position_of(Position::Free).ok_or(Errno::ENOSPC)?;
        let attachment = domain.attach(position, ram, range)?;
        place.attached[position] = Position::Attached {
            guest: from,
            grant: number,
        };
        let granter = self.place(from);
        if let Some(grant) = granter.and_then(|granter| granter.given.get_mut(number)) {
            grant.attached = Some(position);
        }
        Ok(attachment)
    }

    /// Detaches a grant of `from` from `guest`.
    pub fn detach(&mut self, guest: u32, from: u32, number: u32) -> Result<(), Errno> {
        let attached = Position::Attached {
            guest: from,
            grant: number,
        };
        let place = self.place(guest).ok_or(Errno::ENOENT)?;
        let position = place.position_of(attached).ok_or(Errno::ENOENT)?;
        let granter = self.place(from).ok_or(Errno::ENOENT)?;
        let grant = granter.given.get_mut(number).ok_or(Errno::ENOENT)?;
        grant.attached = None;
        let size = grant.range.size;
        if let Some(place) = self.place(guest) {
            place.detach(position, size);
        }
        Ok(())
    }

    /// What the others offer `guest`.
    pub fn offers(&self, guest: u32) -> impl Iterator<Item = Offer> {
        (0..).zip(&self.0).flat_map(move |(from, place)| {
            let to_guest = place
                .given
                .iter()
                .filter(move |(_, grant)| grant.to == guest);
            to_guest.map(move |(number, grant)| Offer {
                guest: from,
                grant: number,
                size: grant.range.size,
                rights: grant.range.rights,
                attached: u32::from(grant.attached.is_some()),
            })
        })
    }
}
