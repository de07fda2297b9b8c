//! Which privileges and carriers work here, why the others do not, and what is chosen.

use crate::cli::exit_code::Failure;
use paravane::carrier::{Carrier, Gate, Mode, Privilege};
use paravane::vm::VmError;
use paravane::vm::machine::Machine;
use paravane::vm::probe::HostModes;
use serde::Serialize;

/// Whether something works.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What, as on the command line.
    pub name: String,
    /// Whether it does.
    pub works: bool,
    /// What it is where it works, and why not where it does not.
    pub explanation: String,
}

/// What `auto` takes.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// All of it.
    #[serde(flatten)]
    pub mode: Mode,
    /// One sentence for each part.
    pub why: Vec<String>,
}

/// Every privilege.
pub fn privileges(modes: &HostModes, hardware: bool) -> Vec<Finding> {
    let ring0 = if modes.native_ring0 {
        "the guest kernel runs at CPL 0, natively"
    } else if hardware {
        "this KVM does not run a simple SSE instruction at CPL 0"
    } else {
        "this is a software KVM (no VMX or SVM), which interprets CPL 0"
    };
    vec![
        Finding {
            name: Privilege::Ring0.to_string(),
            works: modes.native_ring0,
            explanation: ring0.to_string(),
        },
        Finding {
            name: Privilege::Ring3.to_string(),
            works: true,
            explanation: "the guest kernel runs at CPL 3, above the monitor".to_string(),
        },
    ]
}

/// Every carrier.
pub fn carriers(modes: &HostModes, machine: &Machine) -> Vec<Finding> {
    let finding = |carrier: Carrier| {
        let works = modes.has(carrier);
        let explanation = match carrier {
            Carrier::Pio => "IN from a port exits to the VMM",
            _ if works => "KVM_HC_MAP_GPA_RANGE exits to the VMM",
            _ if !modes.native_ring0 => "a software KVM gives no hypercall to the VMM",
            _ if !machine.hypercall_exits => {
                "this KVM does not offer exits by KVM_HC_MAP_GPA_RANGE, or would change guest text"
            }
            _ => "it is another vendor's instruction, or KVM answers it itself",
        };
        Finding {
            name: carrier.to_string(),
            works,
            explanation: explanation.to_string(),
        }
    };
    Carrier::ALL.into_iter().map(finding).collect()
}

/// What `auto` takes, and why.
pub fn choose(modes: &HostModes) -> Result<Choice, Failure> {
    let mode = modes.choose(None, None).map_err(VmError::from)?;
    let privilege = match mode.privilege {
        Privilege::Ring0 => "CPL 0 runs natively, where most calls need no monitor",
        Privilege::Ring3 => "CPL 0 is interpreted, CPL 3 runs natively",
    };
    let carrier = match mode.carrier {
        Carrier::Vmcall | Carrier::Vmmcall => "the CPU's own hypercall instruction reaches the VMM",
        Carrier::Pio => "port I/O works everywhere, and costs less than VMMCALL",
    };
    let gate = match (mode.gate, mode.calls_by_monitor()) {
        (Gate::Monitor, _) => {
            "SYSCALL to the monitor, which exits, is cheaper than an exit from CPL 3"
        }
        (Gate::Direct, true) => "the carrier needs CPL 0, so calls pass through the monitor",
        (Gate::Direct, false) if modes.syscall => "the hypercall page exits by itself",
        (Gate::Direct, false) => {
            "SYSCALL does not leave CPL 3 on this KVM, so the hypercall page exits by itself"
        }
    };
    Ok(Choice {
        mode,
        why: vec![
            format!("{}: {privilege}", mode.privilege),
            format!("{}: {carrier}", mode.carrier),
            format!("{}: {gate}", gate_name(mode.gate)),
        ],
    })
}

/// A gate's name.
pub fn gate_name(gate: Gate) -> &'static str {
    match gate {
        Gate::Direct => "direct",
        Gate::Monitor => "monitor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(native_ring0: bool, vmcall: bool) -> HostModes {
        HostModes {
            native_ring0,
            vmcall,
            vmmcall: false,
            syscall: true,
        }
    }

    #[test]
    fn a_software_kvm_is_told_apart() {
        let found = privileges(&modes(false, false), false);
        assert!(!found[0].works && found[0].explanation.contains("software KVM"));
        assert!(found[1].works);
    }

    #[test]
    fn the_choice_says_why() {
        let choice = choose(&modes(true, true)).unwrap();
        assert_eq!(choice.mode.privilege, Privilege::Ring0);
        assert_eq!(choice.why.len(), 3);
        assert!(choice.why[0].starts_with("ring0: CPL 0 runs natively"));
        let choice = choose(&modes(false, false)).unwrap();
        assert_eq!(choice.mode.privilege, Privilege::Ring3);
        assert!(choice.why[0].starts_with("ring3: CPL 0 is interpreted"));
    }
}
