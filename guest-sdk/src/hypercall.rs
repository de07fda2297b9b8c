//! Making a hypercall: the one place from which control leaves the guest.

#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};
use pv_abi::convention::{ARGUMENTS, CALL_ENTRY_OFFSET};
use pv_abi::{CallWord, Errno};

/// Address of the call entry of the hypercall page.
static CALL_ENTRY: AtomicU64 = AtomicU64::new(0);

/// Notes where the hypercall page is.
pub(crate) fn init(hypercall_page: u64) {
    CALL_ENTRY.store(hypercall_page + CALL_ENTRY_OFFSET, Ordering::Relaxed);
}

/// Makes a call with any call word and arguments, and returns what it leaves in RAX.
///
/// [`raw`] has a function for each call.
///
/// # Safety
///
/// The call does to memory and registers what the ABI says of its number.
#[inline]
pub unsafe fn invoke(word: u64, arguments: [u64; ARGUMENTS]) -> i64 {
    let result;
    // SAFETY: the SDK's start noted the address of the entry. The registers are those of
    // pv_abi::convention; the assembly is not `nostack`, so that the compiler keeps nothing
    // below RSP, where the entry needs 64 bytes.
    unsafe {
        core::arch::asm!(
            "call qword ptr [rip + {entry}]",
            entry = sym CALL_ENTRY,
            inlateout("rax") word => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// As [`invoke`], for a call without arguments: their registers hold what they happen to hold.
///
/// # Safety
///
/// As [`invoke`]'s.
#[inline]
unsafe fn invoke_bare(word: u64) -> i64 {
    let result;
    // SAFETY: as in `invoke`.
    unsafe {
        core::arch::asm!(
            "call qword ptr [rip + {entry}]",
            entry = sym CALL_ENTRY,
            inlateout("rax") word => result,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// A repeated call that failed: how many elements were done, and the error of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undone {
    /// Number of elements that were done.
    pub done: u32,
    /// Why the next one was not.
    pub errno: Errno,
}

impl From<Undone> for Errno {
    fn from(undone: Undone) -> Self {
        undone.errno
    }
}

impl core::fmt::Display for Undone {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "element {}: {}", self.done, self.errno)
    }
}

impl core::error::Error for Undone {}

/// Makes a repeated call until all `count` elements are done.
///
/// # Safety
///
/// As [`invoke`]'s.
unsafe fn repeat(number: u16, arguments: [u64; ARGUMENTS], count: u32) -> Result<u32, Undone> {
    // The call word has 12 bits for each.
    const MOST: u32 = 0xfff;
    let mut done = 0;
    while done < count {
        if count > MOST {
            return Err(Undone {
                done,
                errno: Errno::E2BIG,
            });
        }
        let word = CallWord {
            number,
            count: count as u16,
            start: done as u16,
        };
        // SAFETY: the caller's promise.
        match Errno::from_result(unsafe { invoke(word.encode(), arguments) }) {
            Ok(now) => done = now,
            Err(errno) => return Err(Undone { done, errno }),
        }
    }
    Ok(done)
}

/// One function for each call of the ABI, by its name, with what its definition says.
///
/// A call that may be made with any arguments without harm to this guest is a safe function.
/// The high-level modules are the easier way to most of them.
pub mod raw {
    use super::{invoke, invoke_bare};
    use pv_abi::types::Argument;
    use pv_abi::{CallWord, Errno, Gpa};

    macro_rules! define_wrappers {
        ($($(#[doc = $prose:literal])+
            $safety:ident fn $name:ident = $number:literal
                ($($argument:ident : $type:ident = $meaning:literal,)*) -> $result:literal
                errors [$($errno:ident = $reason:literal),*]
                in $group:ident, since ($major:literal, $minor:literal), cost $cost:ident,
                batch $batch:ident, repeat $repeat:ident, replaces $replaces:literal;
        )*) => {
            $(define_wrappers! { @$repeat $safety
                [
                    $(#[doc = $prose])+
                    ///
                    /// Arguments and result:
                    $(#[doc = concat!("- `", stringify!($argument), "`: ", $meaning)])*
                    #[doc = concat!("- returns ", $result)]
                    ///
                    /// Errors, beside those that every call has:
                    $(#[doc = concat!("- `", stringify!($errno), "`: ", $reason)])*
                ]
                $name ($($argument: $type),*)
            })*
        };
        (@yes $safety:ident [$($attributes:tt)*] $name:ident ($($argument:ident: $type:ident),*)) => {
            $($attributes)*
            ///
            /// The call is made as often as it takes to have all `count` elements done.
            ///
            /// # Safety
            ///
            /// The memory and registers that the call changes are this caller's to change.
            pub unsafe fn $name($($argument: $type,)* count: u32) -> Result<u32, super::Undone> {
                let arguments = super::registers(&[$($argument.into_register()),+]);
                // SAFETY: the caller's promise.
                unsafe { super::repeat(pv_abi::calls::number::$name, arguments, count) }
            }
        };
        (@no safe [$($attributes:tt)*] $name:ident ($($argument:ident: $type:ident),*)) => {
            $($attributes)*
            #[inline]
            pub fn $name($($argument: $type),*) -> Result<u32, Errno> {
                // SAFETY: the call's definition says that any arguments are harmless.
                Errno::from_result(unsafe { define_wrappers!(@invoke $name $($argument)*) })
            }
        };
        (@no unsafe [$($attributes:tt)*] $name:ident ($($argument:ident: $type:ident),*)) => {
            $($attributes)*
            ///
            /// # Safety
            ///
            /// The memory and registers that the call changes are this caller's to change.
            #[inline]
            pub unsafe fn $name($($argument: $type),*) -> Result<u32, Errno> {
                // SAFETY: the caller's promise.
                Errno::from_result(unsafe { define_wrappers!(@invoke $name $($argument)*) })
            }
        };
        (@invoke $name:ident) => {
            invoke_bare(CallWord::single(pv_abi::calls::number::$name).encode())
        };
        (@invoke $name:ident $($argument:ident)+) => {
            invoke(
                CallWord::single(pv_abi::calls::number::$name).encode(),
                super::registers(&[$($argument.into_register()),+]),
            )
        };
    }
    pv_abi::for_each_call!(define_wrappers);
}

/// The argument registers of a call that has fewer arguments than there are registers.
#[inline]
pub(crate) const fn registers(arguments: &[u64]) -> [u64; ARGUMENTS] {
    let mut registers = [0; ARGUMENTS];
    let mut i = 0;
    while i < arguments.len() {
        registers[i] = arguments[i];
        i += 1;
    }
    registers
}
