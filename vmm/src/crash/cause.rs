//! A crash in one sentence, and what to do about it in another.

use super::registers::CrashRegisters;
use crate::hypercall::GuestReport;
use crate::image::Image;
use crate::layout::{HYPERCALL_PAGE, MAX_VCPUS, START_INFO, VCPU_PAGES};
use crate::vcpu::CrashState;
use crate::vcpu::exit::FatalExit;
use pv_abi::address_space::{
    IMAGE_LOWEST, LINEAR_MAP_BASE, LOWER_HALF_END, MONITOR_BASE, PAGE_SIZE, STACKS_BASE,
    STACKS_STRIDE,
};
use pv_abi::crash::CRASH_PANIC;
use pv_abi::trap::{TrapFrame, VECTOR_PF, vector_name};
use pv_abi::vcpu_page::VCPU_PAGE_SIZE;

/// Error code of a #PF (Intel SDM vol. 3A, 4.7): the page was present.
const PF_PRESENT: u64 = 1 << 0;
/// It was a write.
const PF_WRITE: u64 = 1 << 1;
/// It was an instruction fetch.
const PF_FETCH: u64 = 1 << 4;

/// How far below a stack's end an access still looks like an overflow of it.
const OVERFLOW_REACH: u64 = 1 << 20;

/// The cause and the advice.
pub fn describe(
    image: &Image,
    state: &CrashState,
    report: Option<&GuestReport>,
    registers: &CrashRegisters,
) -> (String, String) {
    if let Some(report) = report {
        let message = printable(&report.message);
        if report.report.kind == CRASH_PANIC {
            return (message, PANIC_ADVICE.into());
        }
        let (what, advice) = trap(image, &registers.frame);
        // The guest's own words say more, if it has any.
        return (if message.is_empty() { what } else { message }, advice);
    }
    let Some(exit) = &state.exit else {
        return (
            "it called sched_crash without a report".into(),
            REPORT_ADVICE.into(),
        );
    };
    match exit {
        FatalExit::UnhandledTrap => {
            let (what, advice) = trap(image, &registers.frame);
            (format!("{exit}: {what}"), advice)
        }
        FatalExit::DoubleTrap => {
            let first = state.trap.map_or(0, |trap| trap.vector);
            let (what, _) = trap(image, &registers.frame);
            let first = name(first.into());
            (
                format!("{exit}; the first was {first}, the second {what}"),
                DOUBLE_ADVICE.into(),
            )
        }
        FatalExit::DoubleFault | FatalExit::TripleFault => (
            exit.to_string(),
            "the guest changed the CPU's tables or its control registers; a guest leaves them \
             alone and uses the trap calls"
                .into(),
        ),
        FatalExit::Io { .. } | FatalExit::Halt => (
            exit.to_string(),
            "replace the instruction by the call that docs/abi.md lists for it".into(),
        ),
        FatalExit::Mmio { .. } => (
            exit.to_string(),
            "the access was outside of RAM; a guest that changes its own page tables does so at \
             its own risk"
                .into(),
        ),
        FatalExit::InternalError { .. } => (
            exit.to_string(),
            "the guest executed something that this KVM cannot run at this privilege; try \
             --privilege ring3"
                .into(),
        ),
        FatalExit::FailEntry { .. } | FatalExit::Other { .. } => (
            exit.to_string(),
            "run `paravane doctor`, and report this with its output and the host's kernel log"
                .into(),
        ),
    }
}

const PANIC_ADVICE: &str =
    "the message and the first frame of the backtrace say where the guest gave up";
const REPORT_ADVICE: &str =
    "have the guest call debug_crash_report before sched_crash, as the SDK does";
const DOUBLE_ADVICE: &str = "a trap handler saves the vCPU page's trap state and clears `busy` \
     before it does anything that can trap; look at the handler's first instructions and its stack";

fn name(vector: u64) -> String {
    u32::try_from(vector)
        .ok()
        .and_then(vector_name)
        .map_or_else(|| format!("vector {vector}"), str::to_owned)
}

/// What a trap was, and the advice.
pub fn trap(image: &Image, frame: &TrapFrame) -> (String, String) {
    let name = name(frame.vector);
    if frame.vector != u64::from(VECTOR_PF) {
        let advice = match name.as_str() {
            "#GP" => {
                "a privileged instruction, or an address that is not canonical; docs/abi.md lists \
                 the call that replaces each such instruction"
            }
            "#UD" => {
                "an instruction that this CPU or this privilege does not have, or a deliberate UD2"
            }
            "#DE" => "a division by zero, or one whose result does not fit",
            "#BP" => "a breakpoint that was left in the code",
            "SYSCALL" => "the guest executed SYSCALL; register a handler by trap_set_syscall",
            _ => "register a handler for this vector by trap_set_table",
        };
        return (format!("{name} at {:#x}", frame.rip), advice.into());
    }
    let address = frame.cr2;
    let fetch = frame.error & PF_FETCH != 0;
    let access = if fetch {
        "jump to"
    } else if frame.error & PF_WRITE != 0 {
        "write to"
    } else {
        "read of"
    };
    let place = place(image, address);
    let advice = match place {
        Place::Null => "a null pointer, or a field of one, was used",
        Place::StackOverflow => {
            "the stack overflowed: look for endless recursion and large locals, or ask for a \
             larger stack in the image's note"
        }
        Place::NotCanonical | Place::Nothing if fetch => {
            "the guest jumped through a wild pointer; the caller is in the backtrace"
        }
        Place::NotCanonical | Place::Nothing => "nothing is mapped there: a wild pointer",
        _ if fetch => "only the image's executable segments can be executed",
        _ if frame.error & PF_PRESENT != 0 => "the page is there, but not for this kind of access",
        _ => "nothing is mapped there",
    };
    (
        format!("{name}: {access} {address:#x} ({place})"),
        advice.into(),
    )
}

/// What lies at an address of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Null,
    Image(String),
    LinearMap,
    StackOverflow,
    Stack,
    StartInfo,
    HypercallPage,
    VcpuPage,
    Monitor,
    NotCanonical,
    Nothing,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "the null page",
            Self::Image(segment) => return f.write_str(segment),
            Self::LinearMap => "the linear map of RAM",
            Self::StackOverflow => "below a stack: stack overflow",
            Self::Stack => "a stack",
            Self::StartInfo => "the start-info page, which is read-only",
            Self::HypercallPage => "the hypercall page",
            Self::VcpuPage => "a vCPU page",
            Self::Monitor => "the monitor, which is not the guest's",
            Self::NotCanonical => "not in the lower half",
            Self::Nothing => "where nothing is mapped",
        })
    }
}

fn place(image: &Image, address: u64) -> Place {
    if let Some(segment) = image
        .segments()
        .iter()
        .find(|segment| segment.page_addresses().contains(&address))
    {
        return Place::Image(format!("the image's {} segment", segment.rights));
    }
    match address {
        ..IMAGE_LOWEST => Place::Null,
        LOWER_HALF_END.. => Place::NotCanonical,
        MONITOR_BASE.. => Place::Monitor,
        // The command line's page among them.
        START_INFO..HYPERCALL_PAGE => Place::StartInfo,
        _ if (HYPERCALL_PAGE..HYPERCALL_PAGE + PAGE_SIZE).contains(&address) => {
            Place::HypercallPage
        }
        _ if (VCPU_PAGES..VCPU_PAGES + u64::from(MAX_VCPUS) * VCPU_PAGE_SIZE)
            .contains(&address) =>
        {
            Place::VcpuPage
        }
        STACKS_BASE..START_INFO => stack_place(image, address),
        LINEAR_MAP_BASE..STACKS_BASE => Place::LinearMap,
        _ => Place::Nothing,
    }
}

fn stack_place(image: &Image, address: u64) -> Place {
    let offset = (address - STACKS_BASE) % STACKS_STRIDE;
    let stacks = [
        (STACKS_STRIDE / 4, crate::layout::TRAP_STACK_SIZE),
        (STACKS_STRIDE / 2, image.note().stack_size),
    ];
    for (top, size) in stacks {
        let bottom = top.saturating_sub(size);
        if (bottom..top).contains(&offset) {
            return Place::Stack;
        }
        if (bottom.saturating_sub(OVERFLOW_REACH)..bottom).contains(&offset) {
            return Place::StackOverflow;
        }
    }
    Place::Nothing
}

/// A guest's words, on one line and without what would change the terminal.
fn printable(message: &str) -> String {
    message
        .chars()
        .map(|character| match character {
            '\n' | '\t' => ' ',
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::test_elf::TestElf;

    #[test]
    fn an_address_is_named_by_what_lies_there() {
        let image = Image::parse(TestElf::new().build()).unwrap();
        let stack_bottom = STACKS_BASE + STACKS_STRIDE / 2 - image.note().stack_size;
        assert_eq!(place(&image, 8), Place::Null);
        assert_eq!(place(&image, stack_bottom - 8), Place::StackOverflow);
        assert_eq!(place(&image, stack_bottom), Place::Stack);
        assert_eq!(place(&image, HYPERCALL_PAGE), Place::HypercallPage);
        assert_eq!(place(&image, VCPU_PAGES), Place::VcpuPage);
        assert_eq!(place(&image, MONITOR_BASE + 0x1000), Place::Monitor);
        assert_eq!(place(&image, LINEAR_MAP_BASE), Place::LinearMap);
        assert_eq!(place(&image, u64::MAX), Place::NotCanonical);
        let text = image.entry();
        assert!(matches!(place(&image, text), Place::Image(name) if name.contains("r-x")));
    }

    #[test]
    fn a_message_cannot_move_the_cursor() {
        assert_eq!(printable("a\nb\x1b[2J"), "a b\u{fffd}[2J");
    }
}
