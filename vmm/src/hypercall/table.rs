//! The dispatch table, made from the ABI's definitions: number to handler.

use super::{Arguments, CallContext};
use pv_abi::calls::CALL_NUMBERS;
use pv_abi::types::Argument;
use pv_abi::{Errno, Gpa};

/// A call that has a handler.
#[derive(Debug)]
pub(super) struct Entry {
    /// Decodes the arguments and calls the handler.
    pub run: fn(&mut CallContext<'_>, &Arguments) -> Result<u32, Errno>,
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
            batch $batch:ident, replaces $replaces:literal;
    )*) => {
        mod decode {
            use super::*;
            // Every handler has the name of its call, so that it is found by it.
            mod handlers {
                pub(super) use super::super::super::{core::*, debug::*, io::*, sched::*, trap::*};
            }
            $(
                pub(super) fn $name(
                    context: &mut CallContext<'_>,
                    arguments: &Arguments,
                ) -> Result<u32, Errno> {
                    #[allow(unused_mut, reason = "a call without arguments takes none")]
                    let mut registers = arguments.iter();
                    $(
                        let $argument = registers
                            .next()
                            .and_then(|&register| <$type as Argument>::from_register(register))
                            .ok_or(Errno::EINVAL)?;
                    )*
                    let _ = registers;
                    handlers::$name(context $(, $argument)*)
                }
            )*
        }

        /// Indexed by call number.
        pub(super) static TABLE: [Option<Entry>; CALL_NUMBERS] = {
            let mut table = [const { None }; CALL_NUMBERS];
            let mut index = 0;
            $(
                table[$number] = Some(Entry {
                    run: decode::$name,
                    index,
                    batchable: define_table!(@batch $batch),
                });
                index += 1;
            )*
            let _ = index;
            table
        };
    };
    (@batch yes) => { true };
    (@batch no) => { false };
}

pv_abi::for_each_call!(define_table);
