//! The calling convention: how a call travels in registers.
//!
//! A guest `call`s the hypercall page at [`CALL_ENTRY_OFFSET`]:
//!
//! | register | on entry | on return |
//! |---|---|---|
//! | RAX | the call word ([`CallWord`]) | zero or more: success; [-4095, -1]: -errno |
//! | RDI, RSI, RDX, R10, R8, R9 | arguments 1 to 6 | unchanged |
//! | RCX, R11, RFLAGS | anything | clobbered |
//! | all others | anything | unchanged |
//!
//! The stack needs 64 bytes below RSP, so a caller that uses a red zone steps over
//! it first. A result never exceeds 31 bits; more than that goes to memory.

/// Offset of the call entry in the hypercall page. It starts with ENDBR64.
pub const CALL_ENTRY_OFFSET: u64 = 0;

/// Offset of the trap-return entry in the hypercall page: a guest jumps to it with RSP
/// at an interrupt return frame (RIP, CS, RFLAGS, RSP, SS, each 8 bytes) whose CS and SS
/// are those of the trap. It needs no exit. It starts with ENDBR64.
pub const TRAP_RETURN_OFFSET: u64 = 0x80;

/// Offset of the task entry in the hypercall page: a guest jumps to it to run a task, with
/// `upcall_mask` at 1, the task's RIP, RFLAGS, RSP, RCX and R11 in `task` of the vCPU page, and
/// all its other registers in place. The task runs in the current address space, at privilege
/// level 3, with upcalls unmasked, until it traps, makes a system call, or an upcall is
/// delivered. It needs no exit. It starts with ENDBR64.
pub const TASK_ENTRY_OFFSET: u64 = 0xc0;

/// Largest value that a call returns in RAX.
pub const MAX_RESULT: u32 = i32::MAX as u32;

/// Number of argument registers: RDI, RSI, RDX, R10, R8, R9.
pub const ARGUMENTS: usize = 6;

/// What RAX holds on entry to a call.
///
/// | bits | meaning |
/// |---|---|
/// | 15:0 | call number |
/// | 31:16 | zero |
/// | 43:32 | repeated calls: count of elements |
/// | 47:44 | zero |
/// | 59:48 | repeated calls: index of the element to start at |
/// | 63:60 | zero |
///
/// A bit that must be zero and is not answers [`Errno::EINVAL`](crate::Errno::EINVAL),
/// and so does a count or start index with a call that is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallWord {
    /// The call number.
    pub number: u16,
    /// Repeated calls: how many elements there are in all. Otherwise 0.
    pub count: u16,
    /// Repeated calls: the element to start at. Otherwise 0.
    pub start: u16,
}

/// Bits of the call word that have a meaning.
const DEFINED_BITS: u64 = 0x0fff_0fff_0000_ffff;

impl CallWord {
    /// The word of a call that is not repeated.
    pub const fn single(number: u16) -> Self {
        Self {
            number,
            count: 0,
            start: 0,
        }
    }

    /// Decodes RAX; `None` when a reserved bit is set.
    #[inline]
    pub const fn decode(word: u64) -> Option<Self> {
        if word & !DEFINED_BITS != 0 {
            return None;
        }
        Some(Self {
            number: word as u16,
            count: (word >> 32) as u16 & 0xfff,
            start: (word >> 48) as u16 & 0xfff,
        })
    }

    /// Encodes RAX. Counts and indices above 4095 do not fit and lose their high bits.
    pub const fn encode(self) -> u64 {
        self.number as u64 | (self.count as u64 & 0xfff) << 32 | (self.start as u64 & 0xfff) << 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_number_is_its_own_word() {
        assert_eq!(CallWord::single(0x101).encode(), 0x101);
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(number: u16, count in 0u16..4096, start in 0u16..4096) {
            let word = CallWord { number, count, start };
            prop_assert_eq!(CallWord::decode(word.encode()), Some(word));
        }

        #[test]
        fn decode_takes_every_word_apart_or_refuses_it(word: u64) {
            match CallWord::decode(word) {
                Some(decoded) => prop_assert_eq!(decoded.encode(), word),
                None => prop_assert_ne!(word & !DEFINED_BITS, 0),
            }
        }
    }
}
