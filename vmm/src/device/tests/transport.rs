//! The transport with a driver that keeps the rules.

use super::rig::Rig;
use crate::device::entropy::EntropyOptions;
use crate::device::features;
use crate::device::spec::DeviceOptions;
use pv_abi::Errno;
use pv_abi::device::{DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FEATURES_OK};

const READY: u32 = DEVICE_ACKNOWLEDGE | DEVICE_DRIVER | DEVICE_FEATURES_OK | DEVICE_DRIVER_OK;

fn entropy() -> Rig {
    let options = EntropyOptions::parse("").unwrap();
    Rig::started(options.open().unwrap(), 0)
}

#[test]
fn a_request_is_answered() {
    let mut rig = entropy();
    let first = rig.request(0, &[], &[16, 48]);
    let second = rig.request(0, &[], &[64]);
    assert_eq!((first.written, second.written), (64, 64));
    assert_ne!(first.bytes, second.bytes);
    assert_ne!(first.bytes[..16], [0xee; 16]);
    let stats = rig.stats(0);
    assert_eq!((stats.requests, stats.bytes_to_guest), (2, 128));
    assert_eq!(stats.latency.count(), 2);
}

#[test]
fn a_device_that_was_reset_serves_again_and_not_before() {
    let mut rig = entropy();
    for _ in 0..20 {
        rig.request(0, &[], &[8]);
        rig.reset();
        assert_eq!(rig.device().status(), 0);
        rig.add(0, &[], &[8]);
        rig.kick(0);
        assert_eq!(rig.poll(0), None);
        rig.start(features::TRANSPORT);
        assert_eq!(rig.device().status(), READY);
    }
}

#[test]
fn many_requests_go_round_the_rings() {
    let mut rig = entropy();
    for round in 0..500u32 {
        let count = round % 17 + 1;
        for _ in 0..count {
            rig.add(0, &[], &[4]);
        }
        rig.kick(0);
        for _ in 0..count {
            assert_eq!(rig.wait(0).written, 4);
        }
    }
}

#[test]
fn an_event_comes_when_the_driver_wants_it() {
    let mut rig = entropy();
    let port = rig.bind(0);
    rig.queues[0].set_used_event(&rig.ram, 1);
    rig.request(0, &[], &[4]);
    rig.wait_for(|rig| rig.stats(0).suppressed_notifications == 1);
    assert!(!rig.is_pending(port));
    rig.request(0, &[], &[4]);
    // It is raised before it is counted.
    rig.wait_for(|rig| rig.stats(0).notifications == 1);
    assert!(rig.is_pending(port));
}

#[test]
fn each_ring_of_a_doorbell_is_counted() {
    let rig = &mut entropy();
    for rings in [1, 3] {
        (rig.stats(0).doorbells..rings).for_each(|_| rig.kick(0));
        rig.wait_for(|rig| rig.stats(0).doorbells == rings);
    }
}

#[test]
fn without_event_idx_an_event_comes_each_time() {
    let mut rig = entropy();
    rig.reset();
    rig.start(features::VERSION_1);
    let port = rig.bind(0);
    rig.request(0, &[], &[4]);
    rig.wait_for(|rig| rig.is_pending(port));
}

#[test]
fn queues_are_set_up_before_the_driver_is_ready_and_once() {
    let rig = entropy();
    let setup = rig.queues[0].setup();
    assert_eq!(rig.device().setup_queue(0, &setup), Err(Errno::EBUSY));
    assert_eq!(rig.device().setup_queue(1, &setup), Err(Errno::ENOENT));
    assert_eq!(
        rig.device().set_features(features::VERSION_1),
        Err(Errno::EBUSY)
    );
}

#[test]
fn a_ring_cannot_be_sealed_while_it_is_in_use() {
    let rig = entropy();
    let page = rig.queues[0].device() / 4096 * 4096;
    let seal = || rig.ram.seal(|| std::iter::once(page..page + 4096));
    assert_eq!(seal(), Err(Errno::EBUSY));
    rig.reset();
    assert_eq!(seal(), Ok(()));
}
