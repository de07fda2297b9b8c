//! The device's side: control messages, and the bytes of all ports.

use super::message::{Event, MESSAGE_SIZE, Message};
use crate::virtio::packets::{Receiver, Shape, Transmitter};
use crate::virtio::{Broken, Device, Error, Found, feature, received};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Waker;

/// VIRTIO_CONSOLE_F_MULTIPORT.
const MULTIPORT: u64 = 1 << 1;
/// Offset of the number of ports in the configuration space.
const CONFIG_PORTS: u32 = 4;
/// The queue of control messages of the device.
const CONTROL_IN: u16 = 2;
/// The queue of control messages of the driver.
const CONTROL_OUT: u16 = 3;
/// Bytes that a port keeps until they are read; then the device keeps them.
const KEPT: usize = 64 << 10;

const CONTROL_SHAPE: Shape = Shape {
    size: 256,
    count: 32,
};
const PORT_SHAPE: Shape = Shape {
    size: 4096,
    count: 16,
};

/// The device and its ports.
#[derive(Debug)]
pub(super) struct Ports {
    device: Arc<Device>,
    control_in: Receiver,
    control_out: Transmitter,
    /// Messages that wait for a buffer: a few of each port at most.
    waiting: VecDeque<Message>,
    pub ports: Vec<Port>,
    /// Who waits for a port to get a name.
    pub seekers: Vec<Waker>,
    pub broken: bool,
}

/// A port.
#[derive(Debug)]
pub(super) struct Port {
    receiver: Receiver,
    transmitter: Transmitter,
    received: VecDeque<u8>,
    pub name: String,
    /// The device has it.
    pub there: bool,
    /// The host's end is open.
    pub host_open: bool,
    /// The host's end was closed, and the reader does not know yet. It may be open again.
    pub ended: bool,
    /// A driver's value has it.
    pub taken: bool,
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

impl Port {
    fn new(device: &Arc<Device>, index: u16) -> Result<Self, Error> {
        let (input, output) = queues(index);
        Ok(Self {
            receiver: Receiver::new(device, input, PORT_SHAPE)?,
            transmitter: Transmitter::new(device, output, PORT_SHAPE)?,
            received: VecDeque::new(),
            name: String::new(),
            there: false,
            host_open: false,
            ended: false,
            taken: false,
            reader: None,
            writer: None,
        })
    }

    /// Reads what has come; 0 when that is nothing.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        received::take(&mut self.received, buffer)
    }

    /// Sends as much as there is room for; 0 when there is none now.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut sent = 0;
        while sent < bytes.len() && self.transmitter.make_room()? {
            let part = (bytes.len() - sent).min(PORT_SHAPE.size);
            let Some(buffer) = self.transmitter.next(part) else {
                break;
            };
            buffer.copy_from_slice(&bytes[sent..sent + part]);
            self.transmitter.send(part);
            sent += part;
        }
        Ok(sent)
    }

    /// Takes what has come, as far as it is kept, and tells the device: whether there is more to do
    /// now. The device is asked for events otherwise.
    fn work(&mut self) -> Result<bool, Broken> {
        self.receiver.disarm();
        self.transmitter.disarm();
        let before = self.received.len();
        while self.received.len() < KEPT {
            let Some(packet) = self.receiver.take_if(|_| true)? else {
                break;
            };
            if self.taken {
                self.received.extend(&packet[..]);
            }
        }
        if self.received.len() > before {
            wake(&mut self.reader);
        }
        if self.writer.is_some() && self.host_open && self.transmitter.make_room()? {
            wake(&mut self.writer);
        }
        self.receiver.notify();
        self.transmitter.notify();
        let more = self.received.len() < KEPT && self.receiver.arm();
        let sent = self.writer.is_some() && self.host_open && self.transmitter.arm();
        Ok(more || sent)
    }

    pub fn wake_all(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

/// The queues of a port, of what comes and of what goes. Those of control are behind port 0.
pub(super) const fn queues(port: u16) -> (u16, u16) {
    match port {
        0 => (0, 1),
        port => (2 * port + 2, 2 * port + 3),
    }
}

impl Ports {
    pub fn open(found: Found) -> Result<Self, Error> {
        let device = Device::take(found, MULTIPORT | feature::RING_EVENT_IDX)?;
        if !device.has(MULTIPORT) {
            return Err(Error::Unsupported);
        }
        let most = device.config::<u32>(CONFIG_PORTS)?;
        let by_queues = (found.info().queues / 2).saturating_sub(1);
        let count = most.min(by_queues) as u16;
        let ports = (0..count).map(|index| Port::new(&device, index));
        let ports = ports.collect::<Result<Vec<_>, Error>>()?;
        let mut this = Self {
            control_in: Receiver::new(&device, CONTROL_IN, CONTROL_SHAPE)?,
            control_out: Transmitter::new(&device, CONTROL_OUT, CONTROL_SHAPE)?,
            waiting: VecDeque::new(),
            ports,
            seekers: Vec::new(),
            broken: false,
            device,
        };
        this.device.start()?;
        this.send(0, Event::DeviceReady, true);
        Ok(this)
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// All queues whose events are of interest.
    pub fn queues(&self) -> Vec<u16> {
        let ports = (0..self.ports.len() as u16).map(queues);
        let of_ports = ports.flat_map(|(input, output)| [input, output]);
        [CONTROL_IN, CONTROL_OUT]
            .into_iter()
            .chain(of_ports)
            .collect()
    }

    /// Sends a control message, when there is a buffer.
    pub fn send(&mut self, port: u32, event: Event, value: bool) {
        self.waiting.push_back(Message { port, event, value });
    }

    /// Does all there is to do: whether there is more at once. The device is asked for events
    /// otherwise. `stopped` says that it does nothing any more.
    pub fn work(&mut self, stopped: bool) -> bool {
        if stopped && !self.broken {
            self.stop();
        }
        if self.broken {
            return false;
        }
        match self.work_all() {
            Ok(more) => more,
            Err(Broken) => {
                self.stop();
                false
            }
        }
    }

    /// The device does nothing any more.
    fn stop(&mut self) {
        self.broken = true;
        self.ports.iter_mut().for_each(Port::wake_all);
        self.seekers.drain(..).for_each(Waker::wake);
    }

    fn work_all(&mut self) -> Result<bool, Broken> {
        self.control_in.disarm();
        self.control_out.disarm();
        while let Some(packet) = self.control_in.take_if(|_| true)? {
            if let Some((message, name)) = Message::parse(&packet)
                && let Some(port) = self.ports.get_mut(message.port as usize)
            {
                self.waiting.extend(port.take(message, name));
                self.seekers.drain(..).for_each(Waker::wake);
            }
        }
        while let Some(message) = self.waiting.front()
            && self.control_out.make_room()?
            && let Some(buffer) = self.control_out.next(MESSAGE_SIZE)
        {
            buffer.copy_from_slice(&message.to_bytes());
            self.control_out.send(MESSAGE_SIZE);
            self.waiting.pop_front();
        }
        let mut more = false;
        for port in &mut self.ports {
            more |= port.work()?;
        }
        self.control_in.notify();
        self.control_out.notify();
        let sent = !self.waiting.is_empty() && self.control_out.arm();
        Ok(self.control_in.arm() || sent || more)
    }
}

impl Port {
    /// Notes what the device says of it: the answer.
    fn take(&mut self, message: Message, name: &[u8]) -> Option<Message> {
        match message.event {
            Event::PortAdd => {
                self.there = true;
                return Some(Message {
                    port: message.port,
                    event: Event::PortReady,
                    value: true,
                });
            }
            Event::PortRemove => {
                self.there = false;
                self.set_host_open(false);
            }
            Event::PortOpen => self.set_host_open(message.value),
            Event::PortName => {
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                self.name = String::from_utf8_lossy(name).into_owned();
            }
            Event::DeviceReady | Event::PortReady => {}
        }
        self.wake_all();
        None
    }

    fn set_host_open(&mut self, open: bool) {
        self.ended |= self.host_open && !open;
        self.host_open = open;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
