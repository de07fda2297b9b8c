//! Tests that run in a guest, one in a boot.
//!
//! A function with the attribute [`guest_test`](crate::guest_test) is a test. Its crate has, beside
//! what every guest crate has, in `Cargo.toml`
//!
//! ```toml
//! [dev-dependencies]
//! paravane-guest-test = { path = ".../guest-sdk/harness" }
//!
//! [[bin]]
//! name = "kernel"
//! path = "src/main.rs"
//! test = false
//!
//! [[test]]
//! name = "guest"
//! harness = false
//! ```
//!
//! and in `tests/guest.rs` a `fn main() { paravane_guest_test::main() }`. Then `cargo test` builds
//! the guest with its tests, boots it once for each of them, and reports each as a test of its
//! own. `guest-sdk/examples/guest-test` is such a crate.
//!
//! This module is the guest's side. An image that was built with tests does not call its main
//! function; its command line is `list`, or `run` and the name of a test. It answers with lines
//! that begin with [`MARK`].

#![allow(unsafe_code)]

use crate::{println, start_info};
use core::fmt;
use core::ptr;

/// What a line of the protocol begins with. Fields behind it are separated by tabs: `test` with a
/// test's name, vCPUs, MiB, and `ignore:` or `should_panic:` with their text, for each test; `end`
/// with their number; `passed` with the name of the test that was run.
pub const MARK: &str = "guest-test:";

/// Exit code of a command line that is none of the protocol's.
const EXIT_USAGE: i32 = 2;

/// A test, as the attribute leaves it in the image.
#[derive(Debug)]
pub struct GuestTest {
    /// Its path, the crate's name first.
    pub path: &'static str,
    /// Runs it. It fails by a panic.
    pub run: fn(),
    /// It is left out unless it is asked for; and why.
    pub ignore: Option<&'static str>,
    /// It passes when it panics with a message that this is part of.
    pub should_panic: Option<&'static str>,
    /// How many vCPUs it needs.
    pub vcpus: u32,
    /// How much memory it needs, in MiB; 0 when it does not say.
    pub memory: u32,
}

impl GuestTest {
    /// Its name: the path without the crate.
    fn name(&self) -> &'static str {
        match self.path.split_once("::") {
            Some((_, name)) => name,
            None => self.path,
        }
    }
}

/// What a test function returns.
pub trait Outcome {
    /// Panics unless the test passed.
    fn check(self);
}

impl Outcome for () {
    fn check(self) {}
}

impl<E: fmt::Debug> Outcome for Result<(), E> {
    fn check(self) {
        if let Err(error) = self {
            panic!("the test returned {error:?}");
        }
    }
}

/// The tests of this image, in no order.
fn tests() -> &'static [&'static GuestTest] {
    unsafe extern "C" {
        // The linker script puts these around the section of the tests.
        static paravane_tests_start: u8;
        static paravane_tests_end: u8;
    }
    let (start, end) = (
        &raw const paravane_tests_start,
        &raw const paravane_tests_end,
    );
    let count = (end.addr() - start.addr()) / size_of::<&GuestTest>();
    let first = ptr::with_exposed_provenance(start.expose_provenance());
    // SAFETY: between the two lie the references that the attribute leaves there, and nothing else.
    unsafe { &*ptr::slice_from_raw_parts(first, count) }
}

/// The main function of an image with tests.
pub fn main() -> i32 {
    let command_line = start_info::get().command_line();
    if command_line == "list" {
        list();
        return 0;
    }
    let Some(name) = command_line.strip_prefix("run ") else {
        println!("this image has tests instead of its main function: boot it with cargo test");
        return EXIT_USAGE;
    };
    let Some(test) = tests().iter().find(|test| test.name() == name) else {
        println!("there is no test \"{name}\"");
        return EXIT_USAGE;
    };
    (test.run)();
    println!("{MARK}\tpassed\t{name}");
    0
}

fn list() {
    for test in tests() {
        println!(
            "{MARK}\ttest\t{}\t{}\t{}{}",
            test.name(),
            test.vcpus,
            test.memory,
            Notes(test)
        );
    }
    println!("{MARK}\tend\t{}", tests().len());
}

/// What is special about a test, for its line.
struct Notes<'a>(&'a GuestTest);

impl fmt::Display for Notes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, text) in [
            ("ignore", self.0.ignore),
            ("should_panic", self.0.should_panic),
        ] {
            if let Some(text) = text {
                write!(f, "\t{name}:{}", text.escape_default())?;
            }
        }
        Ok(())
    }
}
