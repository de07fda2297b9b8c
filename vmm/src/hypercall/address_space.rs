//! Handlers of the `as` group: address spaces. What they do is in [`crate::space`].

use super::repeat::Repeat;
use super::{Action, CallContext};
use crate::space::State;
use pv_abi::mapping::{Mapping, Range};
use pv_abi::{Errno, Gpa};
use zerocopy::{FromBytes, IntoBytes};

pub(super) fn as_create(context: &mut CallContext<'_>) -> Result<u32, Errno> {
    let result = context.services.spaces.create();
    check(context, result)
}

pub(super) fn as_destroy(context: &mut CallContext<'_>, space: u32) -> Result<u32, Errno> {
    let result = context.services.spaces.destroy(space);
    check(context, result.map(|()| 0))
}

pub(super) fn as_map(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    space: u32,
    elements: Gpa,
) -> Result<u32, Errno> {
    each::<Mapping>(context, repeat, elements, |state, element| {
        state.map(space, element)
    })
}

pub(super) fn as_unmap(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    space: u32,
    elements: Gpa,
) -> Result<u32, Errno> {
    each::<Range>(context, repeat, elements, |state, element| {
        state.unmap(space, element)
    })
}

pub(super) fn as_protect(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    space: u32,
    elements: Gpa,
) -> Result<u32, Errno> {
    each::<Mapping>(context, repeat, elements, |state, element| {
        state.protect(space, element)
    })
}

pub(super) fn as_query(
    context: &mut CallContext<'_>,
    space: u32,
    address: u64,
    out: Gpa,
) -> Result<u32, Errno> {
    let services = context.services;
    let translation = services.spaces.query(space, address)?;
    services.ram.write_struct(out, &translation)?;
    Ok(0)
}

pub(super) fn as_switch(context: &mut CallContext<'_>, space: u32) -> Result<u32, Errno> {
    let roots = context.services.spaces.switch(context.vcpu, space)?;
    context.action = Some(Action::SetRoots {
        kernel: roots.kernel,
        task: roots.task,
    });
    Ok(0)
}

pub(super) fn as_seal(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    space: u32,
    elements: Gpa,
) -> Result<u32, Errno> {
    each::<Range>(context, repeat, elements, |state, element| {
        state.seal(space, element)
    })
}

fn each<Element: FromBytes + IntoBytes>(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    elements: Gpa,
    step: impl Fn(&mut State, &Element) -> Result<(), Errno>,
) -> Result<u32, Errno> {
    let result = context.services.spaces.each(repeat, elements, step);
    check(context, result)
}

/// Ends the VM where a vCPU might do what its guest has forbidden.
fn check(context: &mut CallContext<'_>, result: Result<u32, Errno>) -> Result<u32, Errno> {
    if result == Err(Errno::EIO) {
        context.action = Some(Action::Crash);
    }
    result
}
