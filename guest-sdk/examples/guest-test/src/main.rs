//! A guest with tests: `cargo test` runs each in a VM of its own.

#![no_std]
#![no_main]

extern crate alloc;

paravane_sdk::entry!(main, vcpus(1, 64));

fn main() {
    paravane_sdk::println!("the sum of 1 to 10 is {}", sum(10));
}

/// The sum of the numbers from 1 to `last`.
fn sum(last: u64) -> u64 {
    (1..=last).sum()
}

#[cfg(guest_test)]
mod tests {
    use super::sum;
    use alloc::format;
    use core::num::ParseIntError;
    use paravane_sdk::{guest_test, memory_map, println, sched, start_info};

    #[guest_test]
    fn sums() {
        assert_eq!(sum(4), 10);
    }

    /// A test has the whole machine: a heap, a console, hypercalls.
    #[guest_test]
    fn the_console_is_there() {
        println!("{}", format!("the sum is {}", sum(10)));
    }

    #[guest_test]
    fn a_result_is_checked() -> Result<(), ParseIntError> {
        assert_eq!("10".parse::<u64>()?, sum(4));
        Ok(())
    }

    #[guest_test]
    #[should_panic(expected = "divide by zero")]
    fn dividing_by_zero_panics() {
        let zero = sum(0);
        let _ = core::hint::black_box(1) / zero;
    }

    #[guest_test(vcpus = 2, memory = 64)]
    fn a_test_asks_for_its_machine() {
        assert_eq!(start_info::get().vcpus(), 2);
        let ram: u64 = memory_map::regions().map(|region| region.size).sum();
        assert_eq!(ram, 64 << 20);
    }

    // What fails, to be seen by `cargo test -- --ignored`. Each fails alone, however it does.

    #[guest_test]
    #[ignore = "it fails on purpose"]
    fn fails_by_an_assertion() {
        println!("about to fail");
        assert_eq!(sum(4), 11, "sums are wrong");
    }

    #[guest_test]
    #[ignore = "it fails on purpose"]
    fn fails_by_a_trap() {
        let nothing = core::hint::black_box(8 as *const u64);
        // SAFETY: there is nothing, so the guest ends here.
        println!("{}", unsafe { nothing.read_volatile() });
    }

    #[guest_test]
    #[ignore = "it fails on purpose"]
    fn fails_by_an_early_end() {
        sched::shutdown(0);
    }

    #[guest_test]
    #[ignore = "it fails on purpose"]
    fn fails_by_an_error() -> Result<(), ParseIntError> {
        "ten".parse::<u64>().map(drop)
    }

    #[guest_test]
    #[ignore = "it fails on purpose"]
    #[should_panic]
    fn fails_by_not_panicking() {}
}
