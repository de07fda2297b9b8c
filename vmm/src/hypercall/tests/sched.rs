//! The `sched` calls: what they want of the vCPU's loop.

use super::World;
use crate::hypercall::Action;
use pv_abi::Errno::EINVAL;
use pv_abi::calls::number;

#[test]
fn a_guest_ends_with_its_own_exit_code() {
    let mut world = World::new();
    for code in 0..=119 {
        assert_eq!(world.call(number::sched_shutdown, &[code]), Ok(0));
        assert!(
            matches!(world.action, Some(Action::Shutdown(wanted)) if u64::from(wanted) == code)
        );
    }
    for code in 120..=u64::from(u16::MAX) {
        assert_eq!(world.call(number::sched_shutdown, &[code]), Err(EINVAL));
        assert!(world.action.is_none());
    }
}

#[test]
fn a_guest_can_start_again_or_crash() {
    let mut world = World::new();
    assert_eq!(world.call(number::sched_reboot, &[]), Ok(0));
    assert!(matches!(world.action, Some(Action::Reboot)));
    assert_eq!(world.call(number::sched_crash, &[]), Ok(0));
    assert!(matches!(world.action, Some(Action::Crash)));
}

#[test]
fn to_yield_asks_for_nothing() {
    let mut world = World::new();
    let before = world.snapshot();
    assert_eq!(world.call(number::sched_yield, &[]), Ok(0));
    assert!(world.snapshot() == before);
}
