//! From lists of allowed system calls to programs of the kernel's BPF.

use super::Violation;
use crate::sandbox::error::SandboxError;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::process;

/// A system call that is allowed if all checks hold. Several entries for one call are alternatives.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Its number.
    pub call: libc::c_long,
    /// What its arguments are to be.
    pub checks: &'static [Check],
}

/// What the low 32 bits of an argument are to be. Of those that are checked here, the kernel looks at
/// no others.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The argument of this number has in this mask this value.
    Masked(u8, u32, u32),
    /// The argument of this number is this process's.
    OwnProcess(u8),
}

/// Allows a system call, whatever its arguments are.
pub const fn any(call: libc::c_long) -> Allowed {
    Allowed { call, checks: &[] }
}

/// Allows a system call if its arguments are so.
pub const fn when(call: libc::c_long, checks: &'static [Check]) -> Allowed {
    Allowed { call, checks }
}

/// An argument that is this value.
pub const fn is(argument: u8, value: u32) -> Check {
    Check::Masked(argument, u32::MAX, value)
}

/// An argument that has none of these bits.
pub const fn lacks(argument: u8, bits: u32) -> Check {
    Check::Masked(argument, bits, 0)
}

/// A program that allows what is in any of the sets.
pub fn compile(sets: &[&[Allowed]], violation: Violation) -> Result<BpfProgram, SandboxError> {
    // No rule means any arguments, which is more than any rule does.
    let mut calls = BTreeMap::<i64, Vec<SeccompRule>>::new();
    let entries = || sets.iter().copied().flatten();
    for entry in entries().filter(|entry| !entry.checks.is_empty()) {
        let rules = calls.entry(entry.call).or_default();
        let rule = rule(entry.checks)?;
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    for entry in entries().filter(|entry| entry.checks.is_empty()) {
        calls.insert(entry.call, Vec::new());
    }
    let otherwise = match violation {
        Violation::Kill => SeccompAction::KillProcess,
        Violation::Trap => SeccompAction::Trap,
        Violation::Log => SeccompAction::Log,
    };
    program(calls, otherwise, SeccompAction::Allow)
}

/// A program by which these calls are as if this kernel had them not.
pub fn compile_refusals(calls: &[libc::c_long]) -> Result<BpfProgram, SandboxError> {
    let calls = calls.iter().map(|&call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::ENOSYS as u32);
    program(calls, SeccompAction::Allow, refuse)
}

fn program(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, SandboxError> {
    let filter = SeccompFilter::new(calls, otherwise, matched, TargetArch::x86_64);
    let program = filter.and_then(BpfProgram::try_from);
    Ok(program.map_err(Error::Backend)?)
}

fn rule(checks: &[Check]) -> Result<SeccompRule, SandboxError> {
    let conditions = checks.iter().map(|&check| {
        let (argument, mask, value) = match check {
            Check::Masked(argument, mask, value) => (argument, mask, value),
            Check::OwnProcess(argument) => (argument, u32::MAX, process::id()),
        };
        let operator = match mask {
            u32::MAX => SeccompCmpOp::Eq,
            mask => SeccompCmpOp::MaskedEq(mask.into()),
        };
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
    });
    let rule = conditions
        .collect::<Result<_, _>>()
        .and_then(SeccompRule::new);
    Ok(rule.map_err(Error::Backend)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_allowed_anyhow_is_not_checked() {
        const CHECKED: &[Allowed] = &[when(libc::SYS_ioctl, &[is(1, 7)])];
        const FREE: &[Allowed] = &[any(libc::SYS_ioctl)];
        let compile = |sets: &[&[Allowed]]| compile(sets, Violation::Kill).unwrap();
        let alone = compile(&[FREE]);
        assert_eq!(compile(&[CHECKED, FREE]), alone);
        assert_eq!(compile(&[FREE, CHECKED]), alone);
        assert!(compile(&[CHECKED]).len() > alone.len());
        assert_eq!(compile(&[CHECKED, CHECKED]), compile(&[CHECKED]));
    }
}
