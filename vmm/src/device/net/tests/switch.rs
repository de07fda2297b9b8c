use super::frames::*;
use crate::device::net::features::{CSUM, GUEST_CSUM, MRG_RXBUF};
use crate::device::net::header::NetHeader;
use crate::device::net::switch::{listen, serve};
use crate::device::net::{NetDevice, NetOptions};
use crate::device::tests::rig::Rig;
use smoltcp::wire::UdpPacket;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A switch on a thread of its own.
pub struct Lan {
    folder: TempDir,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Lan {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        Self::at(folder)
    }

    fn at(folder: TempDir) -> Self {
        let listener = listen(&socket(folder.path())).expect("the path is free");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("there are file descriptors");
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    ended = serve(listener) => ended.expect("the host does not fail"),
                }
            });
        });
        Self {
            folder,
            stop,
            thread,
        }
    }

    /// Ends the switch; its folder stays.
    pub fn stop(self) -> TempDir {
        self.stop.send(()).expect("it runs");
        self.thread.join().expect("it ends");
        self.folder
    }

    pub fn device(&self) -> NetDevice {
        let path = socket(self.folder.path());
        let text = format!("switch={},mtu=9000", path.display());
        let options = NetOptions::parse(&text).expect("it is right");
        options.open().expect("the switch is there")
    }

    fn guest(&self, features: u64) -> Rig {
        Rig::started(Box::new(self.device()), features)
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("switch")
}

fn link(rig: &Rig) -> u8 {
    let mut status = [0];
    let config = &rig.device().shared.config;
    config.read(6, &mut status).expect("there is a status");
    status[0]
}

#[test]
fn frames_go_from_guest_to_guest() {
    let lan = Lan::new();
    let mut a = lan.guest(0);
    let mut b = lan.guest(MRG_RXBUF);
    for _ in 0..8 {
        b.add(RX, &[], &[1500]);
    }
    b.kick(RX);
    for round in 0..3 {
        send(&mut a, NetHeader::default(), &udp(7, &[round; 100]));
        let (header, frame) = received(&b.wait(RX));
        assert_eq!(header.num_buffers.get(), 1);
        assert_eq!(frame, udp(7, &[round; 100]));
    }
    let long = udp(7, &[9; 4000]);
    send(&mut a, NetHeader::default(), &long);
    let first = b.wait(RX);
    assert_eq!(first.bytes[10], 3);
    let parts = [first, b.wait(RX), b.wait(RX)];
    let total: u32 = parts.iter().map(|used| used.written).sum();
    assert_eq!(total as usize, 12 + long.len());
}

/// A datagram whose checksum is only begun, and its header.
fn begun() -> (NetHeader, Vec<u8>) {
    use smoltcp::wire::{IpProtocol, checksum};
    let mut frame = udp(7, b"payload");
    let length = (frame.len() - 34) as u32;
    let sum = checksum::pseudo_header_v4(&GUEST, &GATEWAY, IpProtocol::Udp, length);
    UdpPacket::new_unchecked(&mut frame[34..]).set_checksum(sum);
    (NetHeader::with_checksum(34, 6), frame)
}

#[test]
fn a_checksum_is_completed_for_a_guest_that_does_not_do_it() {
    let lan = Lan::new();
    let mut a = lan.guest(CSUM);
    let (header, frame) = begun();
    for features in [0, GUEST_CSUM] {
        let mut b = lan.guest(features);
        b.add(RX, &[], &[BUFFER]);
        b.kick(RX);
        // The switch may not have seen it yet.
        let used = loop {
            send(&mut a, header, &frame);
            if let Some(used) = b.poll(RX) {
                break used;
            }
        };
        let (mut came, bytes) = received(&used);
        came.num_buffers = 0.into();
        if features == 0 {
            assert_eq!(came, NetHeader::default());
            assert_eq!(bytes, udp(7, b"payload"));
        } else {
            assert_eq!((came, &bytes), (header, &frame));
        }
    }
}

#[test]
fn a_checksum_that_has_no_place_in_the_packet_does_not_reach_a_guest() {
    let lan = Lan::new();
    let mut a = lan.guest(CSUM);
    let mut b = lan.guest(GUEST_CSUM);
    b.add(RX, &[], &[BUFFER]);
    b.kick(RX);
    let frame = udp(7, b"payload");
    send(&mut a, NetHeader::with_checksum(40, 60_000), &frame);
    let (header, bytes) = received(&b.wait(RX));
    assert_eq!((header.flags, bytes), (0, frame));
}

#[test]
fn the_link_goes_down_with_the_switch_and_comes_back_with_a_reset() {
    let lan = Lan::new();
    let mut a = lan.guest(0);
    assert_eq!(link(&a), 1);
    a.add(RX, &[], &[BUFFER]);
    a.kick(RX);
    let folder = lan.stop();
    a.wait_for(|rig| link(rig) == 0);
    // What it sends is lost.
    send(&mut a, NetHeader::default(), &arp_request());
    assert!(!a.needs_reset());

    let lan = Lan::at(folder);
    a.reset();
    a.start(crate::device::features::TRANSPORT);
    a.wait_for(|rig| link(rig) == 1);
    let mut b = lan.guest(0);
    b.add(RX, &[], &[BUFFER]);
    b.kick(RX);
    let used = loop {
        send(&mut a, NetHeader::default(), &arp_request());
        if let Some(used) = b.poll(RX) {
            break used;
        }
    };
    assert_eq!(received(&used).1, arp_request());
}
