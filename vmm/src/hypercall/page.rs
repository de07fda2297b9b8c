//! The hypercall page: the code through which a guest calls, which hides the carrier.

use crate::carrier::{Carrier, Mode};
use crate::layout::HYPERCALL_PAGE;
use crate::ports;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::convention::{ARGUMENTS, CALL_ENTRY_OFFSET, TASK_ENTRY_OFFSET, TRAP_RETURN_OFFSET};
use pv_abi::vcpu_page::VcpuPage;
use std::mem::offset_of;

const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
const SYSCALL: &[u8] = &[0x0f, 0x05];
const IN_EAX_HYPERCALL: &[u8] = &[0xe5, ports::HYPERCALL];
// CDQE: IN answers 32 bits, and a result is 64 bits.
const SIGN_EXTEND_RESULT: &[u8] = &[0x48, 0x98];
const RET: &[u8] = &[0xc3];
const IRETQ: &[u8] = &[0x48, 0xcf];
const VMCALL: &[u8] = &[0x0f, 0x01, 0xc1];
const VMMCALL: &[u8] = &[0x0f, 0x01, 0xd9];
// xor ebx, ebx; mov ecx, 1; mov eax, 12 (KVM_HC_MAP_GPA_RANGE).
const MAP_GPA_RANGE: &[u8] = &[0x31, 0xdb, 0xb9, 1, 0, 0, 0, 0xb8, 12, 0, 0, 0];
const INT3: u8 = 0xcc;

/// The vCPU page's call area, as a displacement.
const CALL_AREA: u32 = offset_of!(VcpuPage, call) as u32;
/// The word of the call area that keeps RBX while a carrier needs it.
pub const SAVED_RBX: usize = 1 + ARGUMENTS;

/// `mov gs:[SAVED_RBX], rbx`, or the other way round.
fn move_rbx(opcode: u8) -> Vec<u8> {
    let mut code = vec![0x65, 0x48, opcode, 0x1c, 0x25];
    code.extend((CALL_AREA + 8 * SAVED_RBX as u32).to_le_bytes());
    code
}

/// `mov gs:[call], register` for the call word and each argument, into the vCPU page, from
/// where the VMM takes them (vcpu/call_area.rs).
///
/// Until the carrier, nothing is changed that a second run from the entry would not set
/// again: whoever interrupts the page here can have it start over.
fn store_call() -> Vec<u8> {
    // RAX, RDI, RSI, RDX, R10, R8, R9: whether REX.R is needed, and ModRM.reg.
    const REGISTERS: [(bool, u8); 1 + ARGUMENTS] = [
        (false, 0),
        (false, 7),
        (false, 6),
        (false, 2),
        (true, 2),
        (true, 0),
        (true, 1),
    ];
    REGISTERS
        .iter()
        .zip((CALL_AREA..).step_by(8))
        .flat_map(|(&(extended, register), displacement)| {
            let rex = if extended { 0x4c } else { 0x48 };
            // ModRM and SIB of an absolute 32-bit displacement.
            let mut code = vec![0x65, rex, 0x89, 0x04 | register << 3, 0x25];
            code.extend(displacement.to_le_bytes());
            code
        })
        .collect()
}

/// The bytes of a hypercall page.
#[derive(Debug)]
pub struct HypercallPage {
    bytes: Vec<u8>,
    syscall_return: u64,
    sequence: Sequence,
}

/// Where the code of the call entry can be interrupted, so that a call in the interrupting code
/// does not disturb the one that it interrupted. All are addresses.
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    entry: u64,
    clobbered: u64,
    done: u64,
    restored: u64,
}

/// What is to be done before code at some address is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// Nothing.
    None,
    /// It starts over at this address.
    Restart(u64),
    /// It starts over at this address, with RAX and RBX as the call area has them.
    RestartClobbered(u64),
    /// It goes on at this address, with RBX as the call area has it.
    Finish(u64),
}

impl Sequence {
    /// What to do when the code at `rip` is interrupted.
    pub fn adjustment(self, rip: u64) -> Adjustment {
        if (self.entry..self.clobbered).contains(&rip) {
            Adjustment::Restart(self.entry)
        } else if (self.clobbered..self.done).contains(&rip) {
            Adjustment::RestartClobbered(self.entry)
        } else if (self.done..self.restored).contains(&rip) {
            Adjustment::Finish(self.restored)
        } else {
            Adjustment::None
        }
    }
}

impl HypercallPage {
    /// The page for guests that run and call this way.
    pub fn new(mode: Mode) -> Self {
        let mut call = ENDBR64.to_vec();
        call.extend(store_call());
        let mut clobbered = call.len() as u64 + 1;
        let (mut done, mut restored) = (0, 0);
        // Where nothing enters the monitor by SYSCALL, no SYSCALL is a hypercall's.
        let mut syscall_return = 0;
        if mode.calls_by_monitor() {
            call.extend_from_slice(SYSCALL);
            syscall_return = HYPERCALL_PAGE + CALL_ENTRY_OFFSET + call.len() as u64;
            call.extend_from_slice(SIGN_EXTEND_RESULT);
        } else {
            match mode.carrier {
                Carrier::Pio => {
                    call.extend_from_slice(IN_EAX_HYPERCALL);
                    call.extend_from_slice(SIGN_EXTEND_RESULT);
                }
                Carrier::Vmcall | Carrier::Vmmcall => {
                    let instruction = if mode.carrier == Carrier::Vmcall {
                        VMCALL
                    } else {
                        VMMCALL
                    };
                    call.extend(move_rbx(0x89));
                    clobbered = call.len() as u64;
                    call.extend_from_slice(MAP_GPA_RANGE);
                    call.extend_from_slice(instruction);
                    done = call.len() as u64;
                    call.extend(move_rbx(0x8b));
                    restored = call.len() as u64;
                }
            }
        }
        call.extend_from_slice(RET);

        let mut bytes = vec![INT3; PAGE_SIZE as usize];
        let mut place = |offset: u64, code: &[u8]| {
            for (byte, &value) in bytes.iter_mut().skip(offset as usize).zip(code) {
                *byte = value;
            }
        };
        place(CALL_ENTRY_OFFSET, &call);
        place(TRAP_RETURN_OFFSET, &[ENDBR64, IRETQ].concat());
        place(TASK_ENTRY_OFFSET, &[ENDBR64, SYSCALL].concat());
        Self {
            bytes,
            syscall_return,
            sequence: Sequence {
                entry: HYPERCALL_PAGE + CALL_ENTRY_OFFSET,
                clobbered: HYPERCALL_PAGE + CALL_ENTRY_OFFSET + clobbered,
                done: HYPERCALL_PAGE + CALL_ENTRY_OFFSET + done,
                restored: HYPERCALL_PAGE + CALL_ENTRY_OFFSET + restored,
            },
        }
    }

    /// The bytes of the page.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the code of the call entry can be interrupted.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The address behind the SYSCALL of the task entry, by which the monitor knows it.
    pub fn task_entry_return_address(&self) -> u64 {
        HYPERCALL_PAGE + TASK_ENTRY_OFFSET + (ENDBR64.len() + SYSCALL.len()) as u64
    }

    /// The address behind the page's SYSCALL, by which the monitor knows a hypercall from a
    /// SYSCALL of the guest's own; 0 when the page has none.
    pub fn syscall_return_address(&self) -> u64 {
        self.syscall_return
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::{Gate, Privilege};

    fn modes() -> impl Iterator<Item = Mode> {
        [Privilege::Ring0, Privilege::Ring3]
            .into_iter()
            .flat_map(|privilege| {
                Carrier::ALL.into_iter().flat_map(move |carrier| {
                    [Gate::Direct, Gate::Monitor]
                        .into_iter()
                        .map(move |gate| Mode {
                            privilege,
                            carrier,
                            gate,
                            syscall_faults: false,
                        })
                })
            })
    }

    #[test]
    fn both_entries_begin_with_endbr64() {
        for mode in modes() {
            let page = HypercallPage::new(mode);
            assert_eq!(page.bytes().len(), PAGE_SIZE as usize);
            for entry in [CALL_ENTRY_OFFSET, TRAP_RETURN_OFFSET] {
                assert!(
                    page.bytes()[entry as usize..].starts_with(ENDBR64),
                    "{mode:?}"
                );
            }
        }
    }

    #[test]
    fn a_deprivileged_guest_never_executes_vmcall_itself() {
        for mode in modes().filter(|mode| mode.privilege == Privilege::Ring3) {
            let page = HypercallPage::new(mode);
            assert!(
                !page
                    .bytes()
                    .windows(3)
                    .any(|code| code == VMCALL || code == VMMCALL)
            );
        }
    }

    #[test]
    fn the_monitor_knows_the_hypercall_pages_syscall() {
        for mode in modes() {
            let page = HypercallPage::new(mode);
            let call = &page.bytes()[..TRAP_RETURN_OFFSET as usize];
            let position = call.windows(2).position(|code| code == SYSCALL);
            let expected = position.map_or(0, |offset| HYPERCALL_PAGE + offset as u64 + 2);
            assert_eq!(page.syscall_return_address(), expected, "{mode:?}");
        }
    }

    #[test]
    fn a_call_that_is_interrupted_starts_over_or_is_done() {
        for mode in modes() {
            let page = HypercallPage::new(mode);
            let adjustment = |offset| page.sequence().adjustment(HYPERCALL_PAGE + offset);
            let entry = HYPERCALL_PAGE + CALL_ENTRY_OFFSET;
            assert_eq!(adjustment(0), Adjustment::Restart(entry));
            let code = &page.bytes()[..TRAP_RETURN_OFFSET as usize];
            let carrier = |bytes: &[u8]| code.windows(bytes.len()).position(|at| at == bytes);
            if let Some(vmcall) = carrier(VMCALL).or(carrier(VMMCALL)) {
                assert_eq!(
                    adjustment(vmcall as u64),
                    Adjustment::RestartClobbered(entry)
                );
                // Behind it is the one instruction that loads RBX again, and RET.
                let ret = vmcall as u64 + 3 + move_rbx(0x8b).len() as u64;
                assert_eq!(
                    adjustment(vmcall as u64 + 3),
                    Adjustment::Finish(HYPERCALL_PAGE + ret)
                );
                assert_eq!(adjustment(ret), Adjustment::None);
            } else {
                let carrier = carrier(SYSCALL).or(carrier(IN_EAX_HYPERCALL)).unwrap();
                assert_eq!(adjustment(carrier as u64), Adjustment::Restart(entry));
                assert_eq!(adjustment(carrier as u64 + 2), Adjustment::None);
            }
        }
    }

    #[test]
    fn the_call_entry_ends_before_the_trap_return_entry() {
        for mode in modes() {
            let page = HypercallPage::new(mode);
            let end = TRAP_RETURN_OFFSET as usize - 1;
            assert_eq!(page.bytes()[end], INT3);
        }
    }
}
