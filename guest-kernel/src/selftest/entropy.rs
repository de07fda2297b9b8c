//! Random bytes.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Errno, address, entropy, start_info};

pub const GROUP: Group = Group {
    name: "entropy",
    tests: tests![
        two_fills_differ,
        only_the_buffer_is_filled,
        size_is_limited,
        seed_is_random
    ],
};

fn two_fills_differ() -> Outcome {
    let (mut first, mut second) = ([0; 600], [0; 600]);
    entropy::fill(&mut first).map_err(|error| format!("entropy::fill: {error}"))?;
    entropy::fill(&mut second).map_err(|error| format!("entropy::fill: {error}"))?;
    // Two random blocks of 600 bytes have 2.3 bytes in common, and 60 with a chance of 10^-60.
    let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
    ensure!(same < 60, "two fills have {same} of 600 bytes in common");
    let zero = first.iter().filter(|&&byte| byte == 0).count();
    ensure!(zero < 60, "{zero} of 600 bytes are zero");
    Ok(())
}

fn only_the_buffer_is_filled() -> Outcome {
    let mut bytes = [0_u8; 48];
    entropy::fill(&mut bytes[16..32]).map_err(|error| format!("entropy::fill: {error}"))?;
    ensure_eq!(bytes[..16], [0; 16], "what is before the buffer");
    ensure_eq!(bytes[32..], [0; 16], "what is behind the buffer");
    ensure!(bytes[16..32] != [0; 16], "the buffer was not filled");
    Ok(())
}

fn size_is_limited() -> Outcome {
    let mut bytes = [0_u8; 512];
    let gpa = address::virt_to_phys(bytes.as_mut_ptr(), 512).ok_or("the stack is nowhere")?;
    // SAFETY: the calls write to `bytes` alone.
    let (most, more) = unsafe { (raw::core_entropy(gpa, 256), raw::core_entropy(gpa, 257)) };
    ensure_eq!(most, Ok(256), "core_entropy of 256 bytes");
    ensure_eq!(more, Err(Errno::E2BIG), "core_entropy of 257 bytes");
    Ok(())
}

fn seed_is_random() -> Outcome {
    let seed = start_info::get().entropy();
    let zero = seed.iter().filter(|&&byte| byte == 0).count();
    ensure!(zero < 16, "{zero} of the seed's 32 bytes are zero");
    Ok(())
}
