//! Control messages (virtio 1.2, 5.3.6.2).

/// Size of a message without the name that may follow.
pub(super) const MESSAGE_SIZE: usize = 8;

/// What a message is about. The number is that of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The driver is ready for ports.
    DeviceReady = 0,
    /// There is a port.
    PortAdd = 1,
    /// There is none any more.
    PortRemove = 2,
    /// The driver is ready for a port.
    PortReady = 3,
    /// One end of a port is open, or closed.
    PortOpen = 6,
    /// The name of a port, which follows.
    PortName = 7,
}

impl Event {
    fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            0 => Self::DeviceReady,
            1 => Self::PortAdd,
            2 => Self::PortRemove,
            3 => Self::PortReady,
            6 => Self::PortOpen,
            7 => Self::PortName,
            _ => return None,
        })
    }
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub port: u32,
    pub event: Event,
    pub value: bool,
}

impl Message {
    pub fn to_bytes(self) -> [u8; MESSAGE_SIZE] {
        let mut bytes = [0; MESSAGE_SIZE];
        bytes[..4].copy_from_slice(&self.port.to_le_bytes());
        bytes[4..6].copy_from_slice(&(self.event as u16).to_le_bytes());
        bytes[6..].copy_from_slice(&u16::from(self.value).to_le_bytes());
        bytes
    }

    /// A message with what follows it; `None` for one that is not known.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[a, b, c, d, event_low, event_high, value, _], rest) = bytes.split_first_chunk()?;
        let message = Self {
            port: u32::from_le_bytes([a, b, c, d]),
            event: Event::from_number(u16::from_le_bytes([event_low, event_high]))?,
            value: value != 0,
        };
        Some((message, rest))
    }
}
