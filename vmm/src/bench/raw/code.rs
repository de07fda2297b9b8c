//! Code for a raw VM: fragments that the compiler assembles, and the loop around them.
#![allow(unsafe_code)]

use super::layout::{DONE_PORT, NOTICED};

/// A fragment: a function that gives the bytes.
pub type Fragment = fn() -> &'static [u8];

/// A [`Fragment`] in Intel syntax, with names for constants behind a semicolon. It must be
/// position-independent, and refer to no label but its own numeric ones below 70.
macro_rules! fragment {
    ($($line:literal),* $(; $($name:ident = $value:expr),*)? $(,)?) => {{
        #[allow(unsafe_code, reason = "two addresses of read-only data")]
        fn bytes() -> &'static [u8] {
            let (start, end): (*const u8, *const u8);
            // SAFETY: the code takes two addresses. What lies between them is in a read-only
            // section and is not executed here.
            unsafe {
                core::arch::asm!(
                    "lea {start}, [rip + 77f]",
                    "lea {end}, [rip + 78f]",
                    ".pushsection .rodata.paravane_bench, \"a\"",
                    "77:",
                    $($line,)*
                    "78:",
                    ".popsection",
                    start = out(reg) start,
                    end = out(reg) end,
                    $($($name = const $value,)*)?
                    options(nomem, nostack, preserves_flags),
                );
                core::slice::from_raw_parts(start, end as usize - start as usize)
            }
        }
        bytes as $crate::bench::raw::code::Fragment
    }};
}
pub(crate) use fragment;

/// No code.
pub const NOTHING: Fragment = || &[];

/// How the time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// `lfence; rdtsc` before, `rdtscp; lfence` after: no instruction of one side executes on the
    /// other (Intel SDM, vol. 2, RDTSC).
    Fenced,
    /// RDTSC alone, where instructions are interpreted one after the other, and neither LFENCE nor
    /// RDTSCP is known to the interpreter.
    Plain,
}

/// What is timed.
///
/// RAX, RBX, RCX, RDX, RSI, RDI, RBP and R8 to R11 are the fragments' own; R14 has the address of
/// the data page.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// Executed before the time is read.
    pub before: Fragment,
    /// Executed within the time, and within that of the empty measurement.
    pub setup: Fragment,
    /// What is measured.
    pub body: Fragment,
    /// What the empty measurement has in place of the body: as a rule nothing.
    pub instead: Fragment,
    /// Executed within the time behind either.
    pub after: Fragment,
    /// Whether the time ends when something is noticed elsewhere, which notes the time itself at
    /// [`NOTICED`].
    pub noticed: bool,
}

impl Timed {
    /// A body alone.
    pub const fn new(body: Fragment) -> Self {
        Self {
            before: NOTHING,
            setup: NOTHING,
            body,
            instead: NOTHING,
            after: NOTHING,
            noticed: false,
        }
    }
}

/// How the code says that it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// By OUT, at CPL 0.
    Port,
    /// By INT3, at CPL 3.
    Breakpoint,
}

/// The loop that times `timed`, or the empty measurement: R13 times, to where R12 points.
pub fn timing_loop(timed: &Timed, empty: bool, clock: Clock, done: Done) -> Vec<u8> {
    let begin = match clock {
        Clock::Fenced => fragment!(
            "lfence",
            "rdtsc",
            "shl rdx, 32",
            "or rdx, rax",
            "mov r15, rdx"
        ),
        Clock::Plain => fragment!("rdtsc", "shl rdx, 32", "or rdx, rax", "mov r15, rdx"),
    };
    let end = match clock {
        Clock::Fenced => fragment!("rdtscp", "lfence", "shl rdx, 32", "or rax, rdx"),
        Clock::Plain => fragment!("rdtsc", "shl rdx, 32", "or rax, rdx"),
    };
    // `sub` below wants it in RAX.
    let end = match timed.noticed && !empty {
        true => fragment!(
            "2:", "mov rax, [{noticed}]", "test eax, eax", "jz 2b";
            noticed = NOTICED
        ),
        false => end,
    };
    let store = fragment!("sub rax, r15", "mov [r12], rax", "add r12, 8", "sub r13, 1",);
    let body = if empty { timed.instead } else { timed.body };
    let mut code = Vec::new();
    for part in [
        timed.before,
        begin,
        timed.setup,
        body,
        timed.after,
        end,
        store,
    ] {
        code.extend_from_slice(part());
    }
    // `jnz` to the beginning, from behind itself.
    let back = -(code.len() as i32 + 6);
    code.extend([0x0f, 0x85]);
    code.extend(back.to_le_bytes());
    code.extend(ending(done));
    code
}

/// Code that says that it is done, and again whenever it is run on.
pub fn ending(done: Done) -> Vec<u8> {
    match done {
        // `out DONE_PORT, al; jmp` to it.
        Done::Port => vec![0xe6, DONE_PORT as u8, 0xeb, 0xfc],
        // `int3; jmp` to it.
        Done::Breakpoint => vec![0xcc, 0xeb, 0xfd],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};

    #[test]
    fn the_loop_is_what_it_looks_like() {
        let timed = Timed {
            setup: fragment!("mov ecx, 0x10"),
            ..Timed::new(fragment!("rdmsr"))
        };
        let decode = |empty, clock, done| -> Vec<Mnemonic> {
            let code = timing_loop(&timed, empty, clock, done);
            let decoder = Decoder::with_ip(64, &code, 0x1000, DecoderOptions::NONE);
            let instructions: Vec<_> = decoder.into_iter().collect();
            let jump = instructions
                .iter()
                .find(|at| at.mnemonic() == Mnemonic::Jne);
            assert_eq!(jump.unwrap().near_branch_target(), 0x1000);
            instructions.iter().map(|at| at.mnemonic()).collect()
        };
        use Mnemonic::*;
        assert_eq!(
            decode(false, Clock::Fenced, Done::Port),
            [
                Lfence, Rdtsc, Shl, Or, Mov, Mov, Rdmsr, Rdtscp, Lfence, Shl, Or, Sub, Mov, Add,
                Sub, Jne, Out, Jmp
            ]
        );
        assert_eq!(
            decode(true, Clock::Plain, Done::Breakpoint),
            [
                Rdtsc, Shl, Or, Mov, Mov, Rdtsc, Shl, Or, Sub, Mov, Add, Sub, Jne, Int3, Jmp
            ]
        );
    }
}
