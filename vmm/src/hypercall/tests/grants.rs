//! Grants between guests: random calls against a model, and the end of either guest.

use super::World;
use super::slots::Slot;
use super::world::{BUFFER, RAM_SIZE};
use crate::grant::{Domains, Seat};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::calls::number;
use pv_abi::grant::{Attachment, GRANTS, Offer};
use pv_abi::start_info::{RIGHT_READ, RIGHT_WRITE};
use pv_abi::{Errno, Errno::*};
use std::mem::size_of;
use std::sync::Arc;
use std::thread;

const GUESTS: u32 = 3;

/// Worlds that are the guests of one process.
fn neighbours() -> (Arc<Domains>, Vec<World>) {
    let domains = Arc::new(Domains::new(GUESTS));
    let worlds = (0..GUESTS).map(|guest| World::in_seat(seat(&domains, guest)));
    let worlds = worlds.collect();
    (domains, worlds)
}

fn seat(domains: &Arc<Domains>, guest: u32) -> Seat {
    Seat {
        domains: Arc::clone(domains),
        guest,
    }
}

/// What a guest does; a grant is one of those that there are or have been.
#[derive(Clone, Debug)]
enum Step {
    Share {
        guest: u32,
        to: u32,
        page: u64,
        pages: u64,
        rights: u32,
    },
    Unshare {
        guest: u32,
        grant: Index,
    },
    Attach {
        guest: u32,
        grant: Index,
    },
    Detach {
        guest: u32,
        grant: Index,
    },
    /// Its VM ends, and makes no more calls until it is started again.
    End {
        guest: u32,
    },
    Start {
        guest: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let guest = 0..GUESTS;
    let any_guest = 0..GUESTS + 1;
    let rights = prop_oneof![Just(RIGHT_READ), Just(RIGHT_READ | RIGHT_WRITE)];
    let range = (0..RAM_SIZE / PAGE_SIZE - 3, 1..4u64);
    prop_oneof![
        6 => (guest.clone(), any_guest, range, rights).prop_map(
            |(guest, to, (page, pages), rights)| Step::Share { guest, to, page, pages, rights }
        ),
        2 => (guest.clone(), any::<Index>()).prop_map(|(guest, grant)| Step::Unshare { guest, grant }),
        6 => (guest.clone(), any::<Index>()).prop_map(|(guest, grant)| Step::Attach { guest, grant }),
        2 => (guest.clone(), any::<Index>()).prop_map(|(guest, grant)| Step::Detach { guest, grant }),
        1 => guest.clone().prop_map(|guest| Step::End { guest }),
        1 => guest.prop_map(|guest| Step::Start { guest }),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    from: u32,
    to: u32,
    number: u32,
    gpa: u64,
    size: u64,
    rights: u32,
    is_attached: bool,
}

/// What the reference says about grants.
#[derive(Default)]
struct Model {
    grants: Vec<Grant>,
    /// Every grant that there has been, by giver and number.
    known: Vec<(u32, u32)>,
    ended: [bool; GUESTS as usize],
}

impl Model {
    fn given(&mut self, from: u32, number: u32) -> Option<usize> {
        self.grants
            .iter()
            .position(|grant| (grant.from, grant.number) == (from, number))
    }

    fn end(&mut self, guest: u32) {
        self.ended[guest as usize] = true;
        self.grants.retain(|grant| grant.from != guest);
        for grant in &mut self.grants {
            grant.is_attached &= grant.to != guest;
        }
    }

    /// A grant that there is or has been, most often of the guest that it should be of.
    fn pick(&self, index: Index) -> (u32, u32) {
        match self.known.len() {
            0 => (0, 0),
            count => self.known[index.index(count)],
        }
    }
}

/// Worlds and the model of what they grant each other.
struct Watched {
    domains: Arc<Domains>,
    worlds: Vec<World>,
    model: Model,
}

impl Watched {
    fn new() -> Self {
        let (domains, worlds) = neighbours();
        Self {
            domains,
            worlds,
            model: Model::default(),
        }
    }

    fn call(&mut self, guest: u32, number: u16, arguments: &[u64]) -> Result<u32, Errno> {
        self.worlds[guest as usize].call(number, arguments)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Share {
                guest,
                to,
                page,
                pages,
                rights,
            } => self.share(guest, to, page * PAGE_SIZE, pages * PAGE_SIZE, rights),
            Step::Unshare { guest, grant } => self.unshare(guest, grant),
            Step::Attach { guest, grant } => self.attach(guest, grant),
            Step::Detach { guest, grant } => self.detach(guest, grant),
            Step::End { guest } => {
                self.worlds[guest as usize].services.grants.leave();
                self.model.end(guest);
            }
            Step::Start { guest } => {
                // The new VM is there before the old one is gone.
                self.worlds[guest as usize] = World::in_seat(seat(&self.domains, guest));
                self.model.end(guest);
                self.model.ended[guest as usize] = false;
            }
        }
        self.check();
    }

    fn share(&mut self, guest: u32, to: u32, gpa: u64, size: u64, rights: u32) {
        let arguments = [to.into(), gpa, size, rights.into()];
        let result = self.call(guest, number::mem_share, &arguments);
        let model = &mut self.model;
        let count = model
            .grants
            .iter()
            .filter(|grant| grant.from == guest)
            .count();
        if to == guest || to >= GUESTS || model.ended[guest as usize] {
            assert_eq!(result, Err(ENOENT));
        } else if count == GRANTS {
            assert_eq!(result, Err(ENOSPC));
        } else {
            let number = result.unwrap();
            // No number means two things, one after the other.
            assert!(!model.known.contains(&(guest, number)));
            model.known.push((guest, number));
            model.grants.push(Grant {
                from: guest,
                to,
                number,
                gpa,
                size,
                rights,
                is_attached: false,
            });
        }
    }

    fn unshare(&mut self, guest: u32, grant: Index) {
        let (_, grant) = self.model.pick(grant);
        let result = self.call(guest, number::mem_unshare, &[grant.into()]);
        let model = &mut self.model;
        let expected = match model.given(guest, grant) {
            None => Err(ENOENT),
            Some(at) => Ok(u32::from(model.grants.remove(at).is_attached)),
        };
        assert_eq!(result, expected);
    }

    fn attach(&mut self, guest: u32, grant: Index) {
        let (from, grant) = self.model.pick(grant);
        let arguments = [from.into(), grant.into(), BUFFER];
        let result = self.call(guest, number::mem_attach, &arguments);
        let model = &mut self.model;
        let attached = model
            .grants
            .iter()
            .filter(|grant| grant.to == guest && grant.is_attached);
        let count = attached.count();
        let found = model
            .given(from, grant)
            .filter(|&at| model.grants[at].to == guest);
        match found {
            None => assert_eq!(result, Err(ENOENT)),
            Some(_) if model.ended[guest as usize] => assert_eq!(result, Err(ENOENT)),
            Some(at) if model.grants[at].is_attached => assert_eq!(result, Err(EBUSY)),
            Some(_) if count == GRANTS => assert_eq!(result, Err(ENOSPC)),
            Some(at) => {
                assert_eq!(result, Ok(0));
                let grant = &mut model.grants[at];
                grant.is_attached = true;
                let attachment: Attachment = self.worlds[guest as usize].take(BUFFER);
                assert_eq!(
                    (attachment.size, attachment.rights, attachment.reserved),
                    (grant.size, grant.rights, 0)
                );
                // It is where the slot is that shows the granter's memory.
                let slot = self.slot_of(&self.model.grants[at]);
                let slots = self.worlds[guest as usize].slots.attached();
                assert!(slots.values().any(|&(gpa, address, size, rights)| {
                    gpa == attachment.gpa && (address, size, rights) == slot
                }));
            }
        }
    }

    fn detach(&mut self, guest: u32, grant: Index) {
        let (from, grant) = self.model.pick(grant);
        let result = self.call(guest, number::mem_detach, &[from.into(), grant.into()]);
        let model = &mut self.model;
        let found = model.given(from, grant);
        match found.map(|at| &mut model.grants[at]) {
            Some(grant) if grant.to == guest && grant.is_attached => {
                assert_eq!(result, Ok(0));
                grant.is_attached = false;
            }
            _ => assert_eq!(result, Err(ENOENT)),
        }
    }

    /// Where the slot of an attached grant leads, its size, and its rights.
    fn slot_of(&self, grant: &Grant) -> (u64, u64, u32) {
        let ram = &self.worlds[grant.from as usize].services.ram;
        (ram.host_address() + grant.gpa, grant.size, grant.rights)
    }

    /// Every guest sees and reaches what it should, and nothing else.
    fn check(&mut self) {
        for guest in 0..GUESTS {
            let to_guest = self.model.grants.iter().filter(|grant| grant.to == guest);
            let mut expected: Vec<_> = to_guest
                .clone()
                .filter(|grant| grant.is_attached)
                .map(|grant| self.slot_of(grant))
                .collect();
            let slots: Vec<Slot> = self.worlds[guest as usize]
                .slots
                .attached()
                .into_values()
                .collect();
            let mut found: Vec<_> = slots
                .iter()
                .map(|&(_, address, size, rights)| (address, size, rights))
                .collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "what guest {guest} reaches");
            // Slots come in the order of their positions, and do not overlap.
            assert!(slots.is_sorted_by(|left, right| left.0 + left.2 <= right.0));

            let mut expected: Vec<_> = to_guest
                .map(|grant| {
                    let attached = u32::from(grant.is_attached);
                    (grant.from, grant.number, grant.size, grant.rights, attached)
                })
                .collect();
            let mut found = self.offers(guest);
            expected.sort_unstable();
            expected.truncate(found.len().max(GRANTS));
            found.sort_unstable();
            assert_eq!(found, expected, "what guest {guest} is offered");
        }
    }

    fn offers(&mut self, guest: u32) -> Vec<(u32, u32, u64, u32, u32)> {
        let count = self
            .call(guest, number::mem_offers, &[BUFFER, GRANTS as u64])
            .unwrap();
        (0..u64::from(count))
            .map(|index| {
                let gpa = BUFFER + index * size_of::<Offer>() as u64;
                let offer: Offer = self.worlds[guest as usize].take(gpa);
                (
                    offer.guest,
                    offer.grant,
                    offer.size,
                    offer.rights,
                    offer.attached,
                )
            })
            .collect()
    }
}

proptest! {
    #[test]
    fn guests_share_what_they_grant_and_no_more(steps in vec(step(), 1..120)) {
        let mut watched = Watched::new();
        for step in &steps {
            watched.step(step);
        }
    }
}

/// Grants a page of guest 0 to guest 1, which attaches it.
fn share_a_page(worlds: &mut [World]) -> u32 {
    let rights = u64::from(RIGHT_READ | RIGHT_WRITE);
    let grant = worlds[0]
        .call(number::mem_share, &[1, 0x2_0000, PAGE_SIZE, rights])
        .unwrap();
    worlds[1]
        .call(number::mem_attach, &[0, grant.into(), BUFFER])
        .unwrap();
    grant
}

#[test]
fn memory_stays_mapped_while_another_guest_can_reach_it_and_no_longer() {
    let (_domains, mut worlds) = neighbours();
    share_a_page(&mut worlds);
    let granter = worlds.remove(0);
    let ram = Arc::downgrade(&granter.services.ram);
    assert_eq!(worlds[0].slots.attached().len(), 1);
    drop(granter);
    assert_eq!(worlds[0].slots.attached().len(), 0);
    assert!(ram.upgrade().is_none());
}

#[test]
fn a_slot_that_the_host_does_not_remove_keeps_its_memory_and_its_position() {
    let (_domains, mut worlds) = neighbours();
    let grant = share_a_page(&mut worlds);
    let slots = Arc::clone(&worlds[1].slots);
    slots.refuse(true);
    assert_eq!(worlds[0].call(number::mem_unshare, &[grant.into()]), Ok(1));
    slots.refuse(false);
    // The other positions are as good as ever.
    share_a_page(&mut worlds);
    assert_eq!(slots.attached().into_keys().collect::<Vec<_>>(), [0, 1]);
    let granter = worlds.remove(0);
    let ram = Arc::downgrade(&granter.services.ram);
    drop(granter);
    assert!(ram.upgrade().is_some());
}

#[test]
fn no_grant_is_attached_that_the_guest_is_not_told_of() {
    let (_domains, mut worlds) = neighbours();
    let grant = worlds[0]
        .call(number::mem_share, &[1, 0, PAGE_SIZE, 1])
        .unwrap();
    let answer = worlds[1].call(number::mem_attach, &[0, grant.into(), RAM_SIZE - 16]);
    assert_eq!(answer, Err(EFAULT));
    assert!(worlds[1].slots.attached().is_empty());
}

/// Each of two guests grants to the other, attaches what it is offered, and takes its own back,
/// for as long as the other does.
#[test]
fn two_guests_that_grant_to_each_other_do_not_wait_for_ever() {
    const ROUNDS: u32 = 2000;
    let (_domains, mut worlds) = neighbours();
    worlds.truncate(2);
    let slots: Vec<_> = worlds
        .iter()
        .map(|world| Arc::clone(&world.slots))
        .collect();
    thread::scope(|scope| {
        for (guest, mut world) in (0u64..).zip(worlds) {
            scope.spawn(move || {
                let peer = 1 - guest;
                for round in 0..ROUNDS {
                    let page = u64::from(round % 8) * PAGE_SIZE;
                    let arguments = [peer, 0x2_0000 + page, PAGE_SIZE, 1];
                    let grant = world.call(number::mem_share, &arguments).unwrap();
                    let offered = world.call(number::mem_offers, &[BUFFER, 64]).unwrap();
                    if offered > 0 {
                        let offer: Offer = world.take(BUFFER);
                        let arguments = [peer, offer.grant.into(), BUFFER];
                        let attached = world.call(number::mem_attach, &arguments);
                        // It may be attached since the round before, or taken back meanwhile.
                        assert!(
                            matches!(attached, Ok(0) | Err(EBUSY | ENOENT)),
                            "{attached:?}"
                        );
                    }
                    world.call(number::mem_unshare, &[grant.into()]).unwrap();
                }
            });
        }
    });
    for slots in slots {
        assert!(slots.attached().is_empty());
    }
}
