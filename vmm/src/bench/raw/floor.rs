//! The smallest exit of a host: a guest that does nothing else, and a VMM that does nothing but
//! KVM_RUN. What a hypercall costs beyond it is this VMM's.

use super::code::{Timed, fragment};
use super::vm::Config;
use crate::bench::rows::{Exits, Instruction};
use crate::carrier::{Carrier, Privilege};
use crate::ports;
use crate::vcpu::run_page::RunPage;

/// The exit by this carrier at this privilege, or why there is none.
pub fn instruction(privilege: Privilege, carrier: Carrier) -> Result<Instruction, &'static str> {
    let code = match carrier {
        // What the hypercall page has.
        Carrier::Pio => Timed::new(fragment!("in eax, {port}"; port = ports::HYPERCALL)),
        Carrier::Vmcall => Timed {
            setup: fragment!("xor ebx, ebx", "mov ecx, 1", "mov eax, 12"),
            ..Timed::new(fragment!("vmcall"))
        },
        Carrier::Vmmcall => Timed {
            setup: fragment!("xor ebx, ebx", "mov ecx, 1", "mov eax, 12"),
            ..Timed::new(fragment!("vmmcall"))
        },
    };
    if carrier != Carrier::Pio && privilege == Privilege::Ring3 {
        return Err("KVM refuses its hypercalls from CPL 3 (EPERM)");
    }
    Ok(Instruction {
        config: Config {
            hypercalls: carrier != Carrier::Pio,
            bare_loop: true,
            ..Config::new(privilege.cpl())
        },
        ..Instruction::timed(code, Exits::both(1.0))
    })
}

/// Runs a vCPU as long as it exits by a carrier: nothing but KVM_RUN, a look at why it came back,
/// and an answer.
pub fn run(page: &mut RunPage) -> Result<u64, String> {
    let mut exits = 0;
    loop {
        match page.run() {
            Ok(Some(carried)) => {
                exits += 1;
                page.answer(carried, 0);
            }
            Ok(None) => return Ok(exits),
            // Whoever called looks at the signal.
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => return Ok(exits),
            Err(error) => return Err(format!("KVM_RUN: {error}")),
        }
    }
}
