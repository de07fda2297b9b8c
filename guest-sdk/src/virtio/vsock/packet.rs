//! The header of a packet (virtio 1.2, 5.10.6).

/// Size of the header in bytes.
pub(super) const HEADER_SIZE: usize = 44;

/// VIRTIO_VSOCK_TYPE_STREAM.
const STREAM: u16 = 1;

/// `flags` of [`Operation::Shutdown`]: the sender receives nothing any more.
pub(super) const NO_RECEIVE: u32 = 1;
/// `flags` of [`Operation::Shutdown`]: the sender sends nothing any more.
pub(super) const NO_SEND: u32 = 2;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Asks for a connection.
    Request,
    /// Takes it.
    Response,
    /// Ends a connection, or does not take it.
    Reset,
    /// Ends one or both directions.
    Shutdown,
    /// Has data.
    Data,
    /// Says how much the sender has room for.
    CreditUpdate,
    /// Asks for that.
    CreditRequest,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Request,
        Self::Response,
        Self::Reset,
        Self::Shutdown,
        Self::Data,
        Self::CreditUpdate,
        Self::CreditRequest,
    ];

    fn number(self) -> u16 {
        self as u16 + 1
    }

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|other| other.number() == number)
    }
}

/// The two ends of a connection, as this guest sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ends {
    /// The port of this end.
    pub local: u32,
    /// The other end's machine.
    pub cid: u64,
    /// The other end's port.
    pub port: u32,
}

/// How much has been received, and how much there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Credit {
    /// Size of the buffer.
    pub size: u32,
    /// Bytes that were taken out of it, ever, modulo 2^32.
    pub taken: u32,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub ends: Ends,
    pub operation: Operation,
    pub flags: u32,
    /// Bytes that follow.
    pub size: u32,
    /// The sender's.
    pub credit: Credit,
}

impl Header {
    /// Its bytes, as the guest with this CID sends it.
    pub fn to_bytes(self, cid: u64) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0..8].copy_from_slice(&cid.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ends.cid.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.ends.local.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.ends.port.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.size.to_le_bytes());
        bytes[28..30].copy_from_slice(&STREAM.to_le_bytes());
        bytes[30..32].copy_from_slice(&self.operation.number().to_le_bytes());
        bytes[32..36].copy_from_slice(&self.flags.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.credit.size.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.credit.taken.to_le_bytes());
        bytes
    }

    /// A received packet for the guest with this CID: header and data. `None` for what is none, or
    /// of another type.
    pub fn parse(packet: &[u8], cid: u64) -> Option<(Self, &[u8])> {
        let (header, rest) = packet.split_first_chunk::<HEADER_SIZE>()?;
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u64_at(8) != cid || u16_at(28) != STREAM {
            return None;
        }
        let header = Self {
            ends: Ends {
                local: u32_at(20),
                cid: u64_at(0),
                port: u32_at(16),
            },
            operation: Operation::from_number(u16_at(30))?,
            flags: u32_at(32),
            size: u32_at(24),
            credit: Credit {
                size: u32_at(36),
                taken: u32_at(40),
            },
        };
        Some((header, rest.get(..header.size as usize)?))
    }
}
