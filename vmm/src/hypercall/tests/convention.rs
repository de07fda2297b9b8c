//! The calling convention, for every call: which words and registers are refused, and that a
//! refused call does nothing.

use super::model::RESERVED_BITS;
use super::world::{BUFFER, World, answer, good_arguments, good_word};
use pv_abi::Errno::{EINVAL, ENOSYS, EPERM};
use pv_abi::calls::{CALLS, CallSpec, by_number, number};
use pv_abi::stats::BatchEntry;

#[test]
fn every_call_can_succeed() {
    for call in CALLS {
        let mut world = World::new();
        world.prepare(call);
        let rax = world.dispatch(good_word(call), &good_arguments(call));
        assert!(answer(rax).is_ok(), "{}: {rax}", call.name);
        assert_eq!(world.stats().hypercalls(), 1);
        assert_eq!(world.stats().failed, 0);
    }
}

#[test]
fn a_number_without_a_call_is_refused() {
    let mut world = World::new();
    let before = world.snapshot();
    let arguments = [BUFFER; 6];
    let unknown: Vec<_> = (0..=u16::MAX).filter(|&n| by_number(n).is_none()).collect();
    for &number in &unknown {
        let rax = world.dispatch(number.into(), &arguments);
        assert_eq!(answer(rax), Err(ENOSYS), "{number:#x}");
    }
    assert!(world.snapshot() == before);
    assert_eq!(world.stats().unknown, unknown.len() as u64);
    assert_eq!(world.stats().failed, unknown.len() as u64);
}

#[test]
fn a_word_with_any_other_bit_is_refused() {
    for call in CALLS {
        let mut world = World::new();
        let before = world.snapshot();
        for word in bad_words(call) {
            let rax = world.dispatch(word, &good_arguments(call));
            assert_eq!(answer(rax), Err(EINVAL), "{} as {word:#x}", call.name);
        }
        assert!(world.snapshot() == before, "{}", call.name);
        assert_eq!(world.stats().failed, bad_words(call).len() as u64);
    }
}

/// Call words with the number of a call that are none of its own.
fn bad_words(call: &CallSpec) -> Vec<u64> {
    let number = u64::from(call.number);
    let reserved = (0..64)
        .map(|bit| 1 << bit)
        .filter(|bit| bit & RESERVED_BITS != 0);
    let mut words: Vec<_> = reserved.map(|bit| good_word(call) | bit).collect();
    if call.repeated {
        // No element, and a start that is not before the end.
        let ranges = [(0, 0), (0, 1), (1, 1), (1, 2), (5, 0xfff), (0xfff, 0xfff)];
        words.extend(ranges.map(|(count, start)| number | count << 32 | start << 48));
    } else {
        // A count and a start index, which only a repeated call has.
        let bits = (32..=43).chain(48..=59);
        words.extend(bits.map(|bit| number | 1 << bit));
    }
    words
}

#[test]
fn a_32_bit_argument_with_a_high_bit_is_refused() {
    for call in CALLS {
        let mut world = World::new();
        let before = world.snapshot();
        for (index, argument) in call.arguments.iter().enumerate() {
            for bit in (32..64).filter(|_| argument.rust_type == "u32") {
                let mut arguments = good_arguments(call);
                arguments[index] |= 1 << bit;
                let rax = world.dispatch(good_word(call), &arguments);
                let what = (call.name, argument.name, bit);
                assert_eq!(answer(rax), Err(EINVAL), "{what:?}");
            }
        }
        assert!(world.snapshot() == before, "{}", call.name);
        assert_eq!(world.stats().failed, world.stats().hypercalls());
        assert_eq!(world.stats().unknown, 0);
    }
}

#[test]
fn a_call_that_must_not_be_in_a_batch_fails_there_and_does_nothing() {
    for call in CALLS {
        let mut world = World::new();
        let entry = BatchEntry {
            word: call.number.into(),
            arguments: good_arguments(call),
            result: EPERM.to_result(),
        };
        world.put(BUFFER + 0x1000, &entry);
        let before = world.snapshot();
        assert_eq!(
            world.call(number::core_batch, &[BUFFER + 0x1000, 1, 0]),
            Ok(1)
        );
        let result = world.batch_results(BUFFER + 0x1000, 1)[0].unwrap();
        if call.batchable {
            assert!(result.is_ok(), "{}: {result:?}", call.name);
        } else {
            assert_eq!(result, Err(EPERM), "{}", call.name);
            assert!(world.snapshot() == before, "{}", call.name);
        }
        assert_eq!((world.stats().hypercalls(), world.stats().batched), (1, 1));
    }
}
