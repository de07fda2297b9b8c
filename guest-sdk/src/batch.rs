//! Many calls in one exit.

#![allow(unsafe_code)]

use crate::{address, hypercall::raw};
use pv_abi::Errno;
use pv_abi::stats::BATCH_STOP_ON_ERROR;
pub use pv_abi::stats::{BATCH_MAX, BatchEntry};

/// What a batch does behind an element that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// It goes on.
    Continue,
    /// It stops.
    Stop,
}

/// A call that is made later.
#[derive(Clone, Copy, Debug)]
pub struct Call(BatchEntry);

impl Call {
    /// A call with any call word and arguments. [`call`] has a function for each call.
    ///
    /// # Safety
    ///
    /// That of [`hypercall::invoke`](crate::hypercall::invoke), at the time that it is made.
    pub const unsafe fn from_raw(word: u64, arguments: [u64; 6]) -> Self {
        Self(BatchEntry {
            word,
            arguments,
            result: 0,
        })
    }
}

/// Calls to be made in one exit. Needs [`Features::BATCH`](pv_abi::Features::BATCH).
///
/// ```ignore
/// let mut entries = [BatchEntry::default(); 8];
/// let mut batch = Batch::new(&mut entries);
/// batch.push(batch::call::core_noop())?;
/// for result in batch.run(OnError::Stop)? { .. }
/// ```
#[derive(Debug)]
pub struct Batch<'a> {
    entries: &'a mut [BatchEntry],
    used: usize,
}

/// A batch has no room for another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<'a> Batch<'a> {
    /// An empty batch with room for so many calls as there are entries, but for at most
    /// [`BATCH_MAX`].
    pub fn new(entries: &'a mut [BatchEntry]) -> Self {
        let room = entries.len().min(BATCH_MAX as usize);
        Self {
            entries: &mut entries[..room],
            used: 0,
        }
    }

    /// Adds a call.
    ///
    /// # Errors
    ///
    /// [`Full`] when there is no room.
    pub fn push(&mut self, call: Call) -> Result<(), Full> {
        *self.entries.get_mut(self.used).ok_or(Full)? = call.0;
        self.used += 1;
        Ok(())
    }

    /// Makes the calls, in their order, and gives the results of those that were made.
    ///
    /// # Errors
    ///
    /// Those of `core_batch` itself: [`Errno::EINVAL`] for an empty batch.
    pub fn run(
        &mut self,
        on_error: OnError,
    ) -> Result<impl ExactSizeIterator<Item = Result<u32, Errno>>, Errno> {
        let entries = &mut self.entries[..self.used];
        let gpa = address::virt_to_phys(entries.as_mut_ptr(), size_of_val(entries))
            .ok_or(Errno::EFAULT)?;
        let flags = match on_error {
            OnError::Continue => 0,
            OnError::Stop => BATCH_STOP_ON_ERROR,
        };
        // SAFETY: the call writes to the entries, which are ours, and does what its elements
        // do, which whoever made a `Call` of them vouched for.
        let done = unsafe { raw::core_batch(gpa, entries.len() as u32, flags) }?;
        let done = entries.len().min(done as usize);
        Ok(entries[..done]
            .iter()
            .map(|entry| Errno::from_result(entry.result)))
    }
}

/// A [`Call`] of each call of the ABI, by its name, as
/// [`hypercall::raw`](crate::hypercall::raw) makes them at once.
pub mod call {
    use super::Call;
    use crate::hypercall::registers;
    use pv_abi::types::Argument;
    use pv_abi::{CallWord, Gpa};

    macro_rules! define_calls {
        ($($(#[doc = $prose:literal])+
            $safety:ident fn $name:ident = $number:literal
                ($($argument:ident : $type:ident = $meaning:literal,)*) -> $result:literal
                errors [$($errno:ident = $reason:literal),*]
                in $group:ident, since ($major:literal, $minor:literal), cost $cost:ident,
                batch $batch:ident, repeat $repeat:ident, replaces $replaces:literal;
        )*) => {
            $(define_calls! { @$batch $safety $name ($($argument: $type),*) })*
        };
        // One that a batch may not contain.
        (@no $safety:ident $name:ident ($($argument:ident: $type:ident),*)) => {};
        (@yes safe $name:ident ($($argument:ident: $type:ident),*)) => {
            #[doc = concat!(
                "See [`", stringify!($name), "`](crate::hypercall::raw::", stringify!($name), ")."
            )]
            pub fn $name($($argument: $type),*) -> Call {
                // SAFETY: the call's definition says that any arguments are harmless.
                unsafe { define_calls!(@make $name ($($argument),*)) }
            }
        };
        (@yes unsafe $name:ident ($($argument:ident: $type:ident),*)) => {
            #[doc = concat!(
                "See [`", stringify!($name), "`](crate::hypercall::raw::", stringify!($name), ")."
            )]
            ///
            /// # Safety
            ///
            /// The memory and registers that the call changes, when it is made, are this
            /// caller's to change.
            pub unsafe fn $name($($argument: $type),*) -> Call {
                // SAFETY: the caller's promise.
                unsafe { define_calls!(@make $name ($($argument),*)) }
            }
        };
        (@make $name:ident ($($argument:ident),*)) => {
            Call::from_raw(
                CallWord::single(pv_abi::calls::number::$name).encode(),
                registers(&[$($argument.into_register()),*]),
            )
        };
    }
    pv_abi::for_each_call!(define_calls);
}
