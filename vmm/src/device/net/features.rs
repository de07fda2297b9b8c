//! Feature bits of the network device (virtio 1.2, 5.1.3).

/// VIRTIO_NET_F_CSUM: the device completes checksums of what the driver sends.
pub const CSUM: u64 = 1 << 0;
/// VIRTIO_NET_F_GUEST_CSUM: the driver takes packets whose checksum is not complete.
pub const GUEST_CSUM: u64 = 1 << 1;
/// VIRTIO_NET_F_MTU: the configuration space says the largest packet.
pub const MTU: u64 = 1 << 3;
/// VIRTIO_NET_F_MAC: the configuration space says the address.
pub const MAC: u64 = 1 << 5;
/// VIRTIO_NET_F_GUEST_TSO4: the driver takes TCP segments over IPv4 that are to be cut.
pub const GUEST_TSO4: u64 = 1 << 7;
/// VIRTIO_NET_F_GUEST_TSO6: the same over IPv6.
pub const GUEST_TSO6: u64 = 1 << 8;
/// VIRTIO_NET_F_HOST_TSO4: the device cuts TCP segments over IPv4.
pub const HOST_TSO4: u64 = 1 << 11;
/// VIRTIO_NET_F_HOST_TSO6: the same over IPv6.
pub const HOST_TSO6: u64 = 1 << 12;
/// VIRTIO_NET_F_MRG_RXBUF: a packet may be spread over several buffers of the driver.
pub const MRG_RXBUF: u64 = 1 << 15;
/// VIRTIO_NET_F_STATUS: the configuration space says whether there is a link.
pub const STATUS: u64 = 1 << 16;
/// VIRTIO_NET_F_CTRL_VQ: there is a control queue.
pub const CTRL_VQ: u64 = 1 << 17;
/// VIRTIO_NET_F_MQ: there are several pairs of queues.
pub const MQ: u64 = 1 << 22;

/// VIRTIO_NET_S_LINK_UP, in the status of the configuration space.
pub const LINK_UP: u16 = 1;
