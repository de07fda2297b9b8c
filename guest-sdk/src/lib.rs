//! SDK for Paravane guests.
//!
//! A guest is a `no_std` program whose binary calls [`entry!`] once:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! paravane_sdk::entry!(main);
//!
//! fn main() {
//!     paravane_sdk::println!("hello");
//! }
//! ```
//!
//! Its `Cargo.toml` sets `panic = "abort"` in each profile, and its `build.rs` calls
//! `paravane_guest_build::configure()`. `guest-sdk/examples/hello` is such a crate.
//!
//! The same image runs at CPL 0 and at CPL 3: nothing in this crate is an instruction whose
//! effect depends on the privilege level. What a kernel does with such instructions elsewhere
//! it does by the calls of [`pv_abi`] here; [`hypercall::raw`] has every one of them, and the
//! other modules are safe interfaces to them.

#![no_std]

extern crate alloc;

pub mod access;
pub mod address;
pub mod balloon;
pub mod batch;
pub mod console;
mod crash;
pub mod entropy;
mod entry;
pub mod event;
pub mod exec;
#[cfg(feature = "fat")]
pub mod fs;
pub mod grant;
pub mod heap;
pub mod hypercall;
pub mod image;
pub mod line_reader;
// On a bare-metal target, compiler_builtins brings these functions along.
#[cfg(not(target_os = "none"))]
mod mem;
pub mod memory_map;
#[cfg(feature = "net")]
pub mod net;
pub mod pages;
pub mod panic;
#[doc(hidden)]
pub mod restored;
pub mod rt;
pub mod sched;
pub mod space;
mod stack;
pub mod start_info;
pub mod stats;
pub mod sync;
pub mod task;
pub mod test;
pub mod thread;
pub mod time;
pub mod tls;
pub mod trap;
pub mod upcall;
pub mod vcpu;
pub mod virtio;
mod wait;

/// Makes a function a test, which runs in a guest of its own; [`test`] says how.
///
/// ```ignore
/// #[paravane_sdk::guest_test]
/// fn adds() {
///     assert_eq!(1 + 1, 2);
/// }
/// ```
///
/// The function has no arguments and returns `()` or a [`Result`]. The attributes `#[ignore]` and
/// `#[should_panic]` mean what they mean for Rust's own tests. `#[guest_test(vcpus = 2)]` and
/// `#[guest_test(memory = 64)]`, in MiB, ask for another machine. In a build without tests there
/// is no such function; `#[cfg(guest_test)]` leaves out what else only tests need.
pub use paravane_test_macros::guest_test;
pub use pv_abi::{self as abi, Errno, Features, Gpa};
