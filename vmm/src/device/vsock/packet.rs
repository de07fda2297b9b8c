//! The header of a packet (virtio 1.2, 5.10.6).

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The address of the host.
pub const HOST_CID: u64 = 2;

/// The only type of socket there is: a stream.
pub const TYPE_STREAM: u16 = 1;

/// A flag of [`Op::Shutdown`]: its sender receives no more.
pub const SHUTDOWN_RECEIVE: u32 = 1;
/// A flag of [`Op::Shutdown`]: its sender sends no more.
pub const SHUTDOWN_SEND: u32 = 2;
/// Both directions.
pub const SHUTDOWN_BOTH: u32 = SHUTDOWN_RECEIVE | SHUTDOWN_SEND;

/// What a packet is about: `VIRTIO_VSOCK_OP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// Its sender wants a connection.
    Request = 1,
    /// There is a connection now.
    Response = 2,
    /// There is no such connection, or not any more.
    Reset = 3,
    /// Its sender sends no more, receives no more, or both.
    Shutdown = 4,
    /// Bytes of the stream.
    ReadWrite = 5,
    /// How much room there is; every packet says it.
    CreditUpdate = 6,
    /// How much room is there?
    CreditRequest = 7,
}

impl Op {
    /// The operation of a number.
    pub fn of(number: u16) -> Option<Self> {
        const ALL: [Op; 7] = [
            Op::Request,
            Op::Response,
            Op::Reset,
            Op::Shutdown,
            Op::ReadWrite,
            Op::CreditUpdate,
            Op::CreditRequest,
        ];
        ALL.into_iter().find(|op| *op as u16 == number)
    }
}

/// `struct virtio_vsock_hdr`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C, packed)]
pub struct Header {
    /// Whose packet it is.
    pub src_cid: U64,
    /// Whom it is for.
    pub dst_cid: U64,
    /// The sender's port.
    pub src_port: U32,
    /// The receiver's port.
    pub dst_port: U32,
    /// Bytes that follow the header.
    pub len: U32,
    /// `VIRTIO_VSOCK_TYPE_*`.
    pub kind: U16,
    /// `VIRTIO_VSOCK_OP_*`.
    pub op: U16,
    /// The flags of the operation.
    pub flags: U32,
    /// The size of the sender's receive buffer, in bytes.
    pub buf_alloc: U32,
    /// The bytes that the sender has taken out of that buffer so far, modulo 2^32.
    pub fwd_cnt: U32,
}

/// The size of a header, in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();

impl Header {
    /// A packet of an operation, of a stream, from the host's port `src_port` to the guest's.
    pub fn to_guest(op: Op, cid: u32, src_port: u32, dst_port: u32) -> Self {
        Self {
            src_cid: HOST_CID.into(),
            dst_cid: u64::from(cid).into(),
            src_port: src_port.into(),
            dst_port: dst_port.into(),
            kind: TYPE_STREAM.into(),
            op: (op as u16).into(),
            ..Self::default()
        }
    }

    /// The operation, if it is known.
    pub fn op(&self) -> Option<Op> {
        Op::of(self.op.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_standard() {
        assert_eq!(HEADER_SIZE, 44);
        let mut header = Header::to_guest(Op::ReadWrite, 3, 0x0102, 0x0304);
        header.len = 0x11.into();
        header.flags = 0x22.into();
        header.buf_alloc = 0x33.into();
        header.fwd_cnt = 0x44.into();
        let words = [
            2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 4, 3, 0, 0, 0x11, 0, 0, 0,
            1, 0, 5, 0, 0x22, 0, 0, 0, 0x33, 0, 0, 0, 0x44, 0, 0, 0,
        ];
        assert_eq!(header.as_bytes(), words);
    }

    #[test]
    fn an_unknown_operation_is_none() {
        assert_eq!(Op::of(3), Some(Op::Reset));
        assert_eq!(Op::of(0), None);
        assert_eq!(Op::of(8), None);
    }
}
