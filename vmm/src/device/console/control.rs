//! Control messages: which ports there are, how they are called, which are open
//! (virtio 1.2, 5.3.6.2).

use super::link::Link;
use crate::device::DeviceError;
use crate::device::queue::DeviceQueue;
use crate::device::saved::NoteBytes;
use std::rc::Rc;
use tokio::sync::Notify;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The driver is ready for ports, if the value is 1.
pub const DEVICE_READY: u16 = 0;
/// There is a port.
pub const DEVICE_ADD: u16 = 1;
/// The driver is ready for a port, if the value is 1.
pub const PORT_READY: u16 = 3;
/// One end of a port is open, value 1, or is not, value 0.
pub const PORT_OPEN: u16 = 6;
/// The name of a port follows.
pub const PORT_NAME: u16 = 7;

/// The most messages of the driver that are taken before it is answered.
const ROUND: usize = 64;

/// `struct virtio_console_control`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Message {
    /// The port.
    pub port: U32,
    /// What is the matter.
    pub event: U16,
    /// How.
    pub value: U16,
}

impl Message {
    fn new(port: usize, event: u16, value: u16) -> Self {
        Self {
            // There are few.
            port: (port as u32).into(),
            event: event.into(),
            value: value.into(),
        }
    }
}

/// What the driver has been told, and is still to be told, of a port. It is told of each thing
/// once, however often it asks before it listens; so nothing piles up.
#[derive(Debug)]
struct Port {
    link: Rc<Link>,
    add: bool,
    name: bool,
    /// The driver has taken it.
    is_ready: bool,
    /// What the driver knows of the host's end.
    told_open: bool,
}

/// The bits of a port's note, which is in snapshots: [`Port`], and whether the guest's end is open.
const ADD: u8 = 1 << 0;
const NAME: u8 = 1 << 1;
const READY: u8 = 1 << 2;
const TOLD_OPEN: u8 = 1 << 3;
const GUEST_OPEN: u8 = 1 << 4;

/// The ports as the control queues tell of them.
#[derive(Debug)]
pub struct Ports {
    ports: Vec<Port>,
    /// One for each, which is as it is now.
    notes: NoteBytes,
}

impl Ports {
    /// Of the links of all ports, in their order, with a driver that knows what was noted: nothing, or what
    /// it knew when it was saved. Clients that it knows of are gone; a host's end that is always open
    /// still is.
    pub fn new(links: &[Rc<Link>], notes: &NoteBytes) -> Self {
        let port = |(link, note): (&Rc<Link>, u8)| {
            let has = |bit| note & bit != 0;
            link.set_guest_open(has(GUEST_OPEN));
            if has(TOLD_OPEN) && !link.is_host_open() {
                link.set_ended();
            }
            Port {
                link: Rc::clone(link),
                add: has(ADD),
                name: has(NAME),
                is_ready: has(READY),
                told_open: has(TOLD_OPEN),
            }
        };
        Self {
            ports: links.iter().zip(notes.get()).map(port).collect(),
            notes: notes.clone(),
        }
    }

    fn note(&self) {
        for (index, port) in self.ports.iter().enumerate() {
            let bit = |bit, is_set| if is_set { bit } else { 0 };
            let note = bit(ADD, port.add)
                | bit(NAME, port.name)
                | bit(READY, port.is_ready)
                | bit(TOLD_OPEN, port.told_open)
                | bit(GUEST_OPEN, port.link.is_guest_open());
            self.notes.set(index, note);
        }
    }

    /// Takes a message of the driver. Those that make no sense change nothing.
    pub fn receive(&mut self, message: Message) {
        self.take(message);
        self.note();
    }

    fn take(&mut self, message: Message) {
        let value = message.value.get() == 1;
        if message.event.get() == DEVICE_READY {
            for port in &mut self.ports {
                port.add = value;
            }
            return;
        }
        let Some(port) = self.ports.get_mut(message.port.get() as usize) else {
            return;
        };
        match message.event.get() {
            PORT_READY => {
                port.name = value;
                port.is_ready = value;
                port.told_open = false;
            }
            PORT_OPEN => port.link.set_guest_open(value),
            _ => {}
        }
    }

    /// The next message for the driver, and the name that follows it.
    pub fn next_message(&mut self) -> Option<(Message, &str)> {
        let index = self.ports.iter().position(Port::has_message)?;
        let message = self.ports.get_mut(index)?.next_message(index);
        self.note();
        let name = match message.event.get() {
            PORT_NAME => self.ports.get(index)?.link.name(),
            _ => "",
        };
        Some((message, name))
    }

    fn has_message(&self) -> bool {
        self.ports.iter().any(Port::has_message)
    }
}

impl Port {
    /// The message that it has.
    fn next_message(&mut self, index: usize) -> Message {
        if std::mem::take(&mut self.add) {
            return Message::new(index, DEVICE_ADD, 0);
        }
        if std::mem::take(&mut self.name) {
            return Message::new(index, PORT_NAME, 1);
        }
        // A client that has gone is told of before the next one, who may be there already.
        let has_ended = self.link.take_end() && self.told_open;
        self.told_open = self.link.is_host_open() && !has_ended;
        Message::new(index, PORT_OPEN, self.told_open.into())
    }

    fn has_message(&self) -> bool {
        let has_ended = self.told_open && self.link.has_ended();
        let open_changed = has_ended || self.told_open != self.link.is_host_open();
        self.add || self.name || self.is_ready && open_changed
    }
}

/// The control queues.
#[derive(Debug)]
pub struct Control {
    /// The ports.
    pub ports: Ports,
    /// Messages for the driver.
    pub to_guest: DeviceQueue,
    /// Messages of the driver.
    pub from_guest: DeviceQueue,
    /// Wakes it when the host's end of a port opens or closes.
    pub changed: Rc<Notify>,
}

impl Control {
    /// Serves them.
    ///
    /// # Errors
    ///
    /// The device needs a reset.
    pub async fn serve(&mut self) -> Result<(), DeviceError> {
        loop {
            self.take_messages()?;
            self.give_messages()?;
            let has_message = self.ports.has_message();
            tokio::select! {
                () = self.changed.notified() => {}
                ready = self.from_guest.ready() => ready?,
                ready = self.to_guest.ready(), if has_message => ready?,
            }
            tokio::task::yield_now().await;
        }
    }

    fn take_messages(&mut self) -> Result<(), DeviceError> {
        let mut count = 0;
        while count < ROUND
            && let Some(mut chain) = self.from_guest.pop()?
        {
            self.ports.receive(chain.read_struct()?);
            self.from_guest.push(chain, 0)?;
            count += 1;
        }
        if count > 0 {
            self.from_guest.notify()?;
        }
        Ok(())
    }

    fn give_messages(&mut self) -> Result<(), DeviceError> {
        let mut count = 0;
        while self.ports.has_message()
            && let Some(mut chain) = self.to_guest.pop()?
        {
            let Some((message, name)) = self.ports.next_message() else {
                self.to_guest.unpop(chain);
                break;
            };
            chain.write_struct(&message)?;
            // As much of the name as there is room for.
            let written = size_of::<Message>() + chain.write(name.as_bytes())?;
            self.to_guest.push(chain, written as u32)?;
            count += 1;
        }
        if count > 0 {
            self.to_guest.notify()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(names: [&str; 2]) -> (Ports, Vec<Rc<Link>>) {
        let changed = Rc::new(Notify::new());
        let links = names.map(|name| Rc::new(Link::new(name.to_string(), &changed)));
        (Ports::new(&links, &NoteBytes::new(2)), links.to_vec())
    }

    fn all(ports: &mut Ports) -> Vec<(u32, u16, u16, String)> {
        std::iter::from_fn(|| {
            let (message, name) = ports.next_message()?;
            let (event, value) = (message.event.get(), message.value.get());
            Some((message.port.get(), event, value, name.to_string()))
        })
        .collect()
    }

    #[test]
    fn a_driver_learns_of_the_ports_and_their_names() {
        let (mut ports, links) = ports(["log", "shell"]);
        assert_eq!(all(&mut ports), []);
        ports.receive(Message::new(0, DEVICE_READY, 1));
        let none = String::new;
        let added = [(0, DEVICE_ADD, 0, none()), (1, DEVICE_ADD, 0, none())];
        assert_eq!(all(&mut ports), added);
        links[1].set_host_open(true);
        // It has not taken the port yet.
        assert_eq!(all(&mut ports), []);
        ports.receive(Message::new(1, PORT_READY, 1));
        let named = [(1, PORT_NAME, 1, "shell".into()), (1, PORT_OPEN, 1, none())];
        assert_eq!(all(&mut ports), named);
        links[1].set_host_open(false);
        assert_eq!(all(&mut ports), [(1, PORT_OPEN, 0, none())]);
    }

    #[test]
    fn a_driver_learns_that_a_client_has_followed_another() {
        let (mut ports, links) = ports(["log", "shell"]);
        ports.receive(Message::new(1, PORT_READY, 1));
        links[1].set_host_open(true);
        links[1].set_host_open(false);
        links[1].set_host_open(true);
        let open = |value| (1, PORT_OPEN, value, String::new());
        // It knew of no client yet.
        assert_eq!(all(&mut ports)[1..], [open(1)]);
        for _ in 0..3 {
            links[1].set_host_open(false);
            links[1].set_host_open(true);
        }
        assert_eq!(all(&mut ports), [open(0), open(1)]);
        links[1].set_host_open(false);
        assert_eq!(all(&mut ports), [open(0)]);
    }

    #[test]
    fn a_driver_that_goes_on_learns_that_its_clients_have_gone() {
        let (mut ports, links) = ports(["log", "shell"]);
        ports.receive(Message::new(0, DEVICE_READY, 1));
        for port in 0..2 {
            ports.receive(Message::new(port, PORT_READY, 1));
            ports.receive(Message::new(port, PORT_OPEN, 1));
        }
        links[0].set_host_open(true);
        links[1].set_host_open(true);
        all(&mut ports);
        let saved = ports.notes.get();

        let (_, links) = self::ports(["log", "shell"]);
        // The first is always open; the other has a new client soon.
        links[0].set_host_open(true);
        let notes = NoteBytes::new(2);
        notes.take_over(&saved).unwrap();
        let mut ports = Ports::new(&links, &notes);
        assert_eq!(notes.get(), saved);
        links[1].set_host_open(true);
        assert!(links.iter().all(|link| link.is_guest_open()));
        let open = |value| (1, PORT_OPEN, value, String::new());
        assert_eq!(all(&mut ports), [open(0), open(1)]);
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let (mut ports, links) = ports(["log", "shell"]);
        for event in [DEVICE_ADD, 2, 4, 5, PORT_NAME, 8, u16::MAX] {
            ports.receive(Message::new(0, event, 1));
        }
        ports.receive(Message::new(2, PORT_OPEN, 1));
        ports.receive(Message::new(u32::MAX as usize, PORT_READY, 1));
        assert_eq!(all(&mut ports), []);
        assert!(!links[0].is_guest_open());
    }

    #[test]
    fn a_driver_that_asks_often_is_told_once() {
        let (mut ports, _links) = ports(["log", "shell"]);
        for _ in 0..1000 {
            ports.receive(Message::new(0, DEVICE_READY, 1));
            ports.receive(Message::new(0, PORT_READY, 1));
        }
        assert_eq!(all(&mut ports).len(), 3);
    }
}
