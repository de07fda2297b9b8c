//! The header before each frame (virtio 1.2, 5.1.6), and what it says about checksums and
//! segmentation.

use smoltcp::wire::{
    ETHERNET_HEADER_LEN, EthernetFrame, EthernetProtocol, IPV4_HEADER_LEN, IpProtocol, Ipv4Packet,
    TcpPacket, UdpPacket, checksum,
};

/// Size of the header in bytes, with VIRTIO_F_VERSION_1.
pub(super) const HEADER_SIZE: usize = 12;

/// VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum field has the sum of the pseudo-header only.
const NEEDS_CSUM: u8 = 1;
/// VIRTIO_NET_HDR_F_DATA_VALID: somebody has verified the checksum.
const DATA_VALID: u8 = 2;
/// VIRTIO_NET_HDR_GSO_TCPV4: the device cuts the frame into segments.
const GSO_TCPV4: u8 = 1;

/// Offset of the checksum in a TCP header.
const TCP_CHECKSUM: usize = 16;
/// Offset of the checksum in a UDP header.
const UDP_CHECKSUM: usize = 6;

/// `struct virtio_net_hdr`, as far as a driver sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    flags: u8,
    gso_type: u8,
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

impl Header {
    /// Its bytes; the number of buffers, the last field, is the device's to set.
    pub fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        bytes[2..4].copy_from_slice(&self.hdr_len.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.gso_size.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.csum_start.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.csum_offset.to_le_bytes());
        bytes
    }

    /// The header of a frame whose checksum the device completes: TCP or UDP in an IPv4 packet
    /// that is no fragment. Puts the sum of the pseudo-header where the device expects it. Any
    /// other frame is sent as it is.
    ///
    /// `segment` is the most payload of one segment, where the device is to cut the frame.
    pub fn offload(frame: &mut [u8], segment: Option<u16>) -> Self {
        Self::of_ipv4(frame, segment).unwrap_or_default()
    }

    fn of_ipv4(frame: &mut [u8], segment: Option<u16>) -> Option<Self> {
        let ip = ipv4_of(frame)?;
        let (protocol, header_size) = (ip.next_header(), usize::from(ip.header_len()));
        let (from, to) = (ip.src_addr(), ip.dst_addr());
        let start = ETHERNET_HEADER_LEN + header_size;
        let size = frame.len().checked_sub(start)?;
        let (offset, transport_header) = match protocol {
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_checked(frame.get(start..)?).ok()?;
                (TCP_CHECKSUM, usize::from(tcp.header_len()))
            }
            IpProtocol::Udp => (UDP_CHECKSUM, 0),
            _ => return None,
        };
        let sum = checksum::pseudo_header_v4(&from, &to, protocol, u32::try_from(size).ok()?);
        let field = frame.get_mut(start + offset..start + offset + 2)?;
        field.copy_from_slice(&sum.to_be_bytes());
        let mut header = Self {
            flags: NEEDS_CSUM,
            csum_start: start as u16,
            csum_offset: offset as u16,
            ..Self::default()
        };
        if let (Some(segment), IpProtocol::Tcp) = (segment, protocol) {
            header.gso_type = GSO_TCPV4;
            header.hdr_len = (start + transport_header) as u16;
            header.gso_size = segment;
        }
        Some(header)
    }
}

/// Whether a received frame may be taken without a look at its TCP or UDP checksum: the device
/// says that it is right, or that the frame has never been on a wire; otherwise it is verified here.
pub(super) fn is_valid(header: &[u8], frame: &[u8]) -> bool {
    match header.first() {
        Some(flags) if flags & (NEEDS_CSUM | DATA_VALID) != 0 => true,
        _ => verify(frame).unwrap_or(true),
    }
}

/// Whether the checksum of TCP or UDP is right; `None` for what has none, or is to be judged by
/// whoever takes it apart.
fn verify(frame: &[u8]) -> Option<bool> {
    let ip = ipv4_of(frame)?;
    let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
    match ip.next_header() {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
            Some(tcp.verify_checksum(&from, &to))
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(ip.payload()).ok()?;
            Some(udp.verify_checksum(&from, &to))
        }
        _ => None,
    }
}

/// The IPv4 packet in a frame, unless it is a fragment.
fn ipv4_of(frame: &[u8]) -> Option<Ipv4Packet<&[u8]>> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = frame.get(ETHERNET_HEADER_LEN..)?;
    if packet.len() < IPV4_HEADER_LEN {
        return None;
    }
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    (!ip.more_frags() && ip.frag_offset() == 0).then_some(ip)
}
