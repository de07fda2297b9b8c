//! The dispatch table, made from the ABI's definitions: number to handler.

use super::repeat::Repeat;
use super::{Arguments, CallContext};
use pv_abi::calls::CALL_NUMBERS;
use pv_abi::types::Argument;
use pv_abi::{Errno, Gpa};

/// The handler of a repeated call.
type Repeated = fn(&mut CallContext<'_>, Repeat, &Arguments) -> Result<u32, Errno>;

/// A call that has a handler.
#[derive(Debug)]
pub(super) struct Entry {
    /// Decodes the arguments and calls the handler.
    pub run: fn(&mut CallContext<'_>, &Arguments) -> Result<u32, Errno>,
    /// The same for a repeated call, whose `run` only refuses.
    pub repeated: Option<Repeated>,
    /// The position of the call in `pv_abi::CALLS`.
    pub index: u16,
    /// Whether a batch may contain it.
    pub batchable: bool,
}

macro_rules! define_table {
    ($($(#[doc = $prose:literal])+
        $safety:ident fn $name:ident = $number:literal
            ($($argument:ident : $type:ident = $meaning:literal,)*) -> $result:literal
            errors [$($errno:ident = $reason:literal),*]
            in $group:ident, since ($major:literal, $minor:literal), cost $cost:ident,
            batch $batch:ident, repeat $repeat:ident, replaces $replaces:literal;
    )*) => {
        mod decode {
            use super::*;
            // Every handler has the name of its call, so that it is found by it.
            mod handlers {
                pub(super) use super::super::super::{
                    address_space::*, core::*, debug::*, event::*, io::*, mem::*, sched::*,
                    time::*, trap::*, vcpu::*,
                };
            }
            $(
                define_table!(@decode $repeat $name $($argument: $type),*);
            )*
        }

        /// Indexed by call number.
        pub(super) static TABLE: [Option<Entry>; CALL_NUMBERS] = {
            let mut table = [const { None }; CALL_NUMBERS];
            let mut index = 0;
            $(
                table[$number] = Some(Entry {
                    run: define_table!(@run $repeat $name),
                    repeated: define_table!(@repeated $repeat $name),
                    index,
                    batchable: define_table!(@yes $batch),
                });
                index += 1;
            )*
            let _ = index;
            table
        };
    };
    (@yes yes) => { true };
    (@yes no) => { false };
    (@run no $name:ident) => { decode::$name };
    // Without a count there is nothing to do.
    (@run yes $name:ident) => { |_, _| Err(Errno::EINVAL) };
    (@repeated no $name:ident) => { None };
    (@repeated yes $name:ident) => { Some(decode::$name) };
    (@decode no $name:ident $($argument:ident: $type:ident),*) => {
        pub(super) fn $name(
            context: &mut CallContext<'_>,
            arguments: &Arguments,
        ) -> Result<u32, Errno> {
            define_table!(@arguments arguments $($argument: $type),*);
            handlers::$name(context $(, $argument)*)
        }
    };
    (@decode yes $name:ident $($argument:ident: $type:ident),*) => {
        pub(super) fn $name(
            context: &mut CallContext<'_>,
            repeat: Repeat,
            arguments: &Arguments,
        ) -> Result<u32, Errno> {
            define_table!(@arguments arguments $($argument: $type),*);
            handlers::$name(context, repeat $(, $argument)*)
        }
    };
    (@arguments $arguments:ident $($argument:ident: $type:ident),*) => {
        #[allow(unused_mut, reason = "a call without arguments takes none")]
        let mut registers = $arguments.iter();
        $(
            let $argument = registers
                .next()
                .and_then(|&register| <$type as Argument>::from_register(register))
                .ok_or(Errno::EINVAL)?;
        )*
        let _ = registers;
    };
}

pv_abi::for_each_call!(define_table);
