//! Reading the TSC around what is measured (Intel SDM vol. 2B, RDTSC and RDTSCP).
//!
//! Neither instruction is sensitive here: guests may read the TSC at any CPL, without an exit.
//! CPUID, which is often used to serialize, does exit on most hosts.

#![allow(unsafe_code)]

use core::arch::asm;

/// The TSC before something: all instructions before this one have been executed.
#[inline(always)]
pub fn begin() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: every x86-64 processor has both instructions. The assembly may access memory as far
    // as the compiler knows, so no access moves across it.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high,
            options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The TSC behind something: it has been executed, and nothing behind this has begun.
#[inline(always)]
pub fn end() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: as in `begin`; RDTSCP is in every processor with VMX or SVM.
    unsafe {
        asm!("rdtscp", "lfence", out("eax") low, out("edx") high, out("ecx") _,
            options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Does nothing, which the compiler may not leave out: what an empty measurement measures.
#[inline(always)]
pub fn nothing() {
    // SAFETY: there is no instruction.
    unsafe { asm!("", options(nostack, preserves_flags)) }
}
