//! What the C header does without a call: it agrees with the definitions in Rust.

mod compiler;

use compiler::{Language, compile, root};
use proptest::prelude::*;
use pv_abi::event::EVENT_WORDS;
use pv_abi::event_protocol::{self, Ports, Taker, Target, Word};
use pv_abi::vcpu_page::Clock;
use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Compiles `tests/c/<name>.c` with this optimization level.
fn program(name: &str, level: &str) -> PathBuf {
    let directory = root().join("pv-abi/tests/c");
    let source = std::fs::read_to_string(directory.join(format!("{name}.c"))).expect(name);
    let include = directory.to_str().expect("its path is text");
    compile(
        Language::C,
        &format!("{name}{level}"),
        &source,
        &[level, "-I", include],
    )
}

/// Runs a program with this on its standard input, and returns what it printed.
fn run(program: &Path, input: &str) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_string();
    // Beside reading the output: both pipes may fill.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    writer
        .join()
        .expect("the writer ends")
        .expect("it reads all");
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Programs that check themselves.
fn passes(name: &str) {
    for level in ["-O0", "-O2"] {
        run(&program(name, level), "");
    }
}

#[test]
fn a_repeated_call_goes_on_until_all_is_done() {
    passes("repeat");
}

#[test]
fn addresses_are_found() {
    passes("addresses");
}

#[test]
fn a_trap_reaches_a_function_and_comes_back() {
    passes("trap_entry");
}

#[test]
fn clocks_tell_the_time_that_the_abi_says() {
    let program = program("clock", "-O2");
    proptest!(ProptestConfig::with_cases(32), |(clocks in proptest::collection::vec(
        (any::<u64>(), any::<u64>(), any::<u32>(), -31i8..32, any::<u64>()),
        1..100,
    ))| {
        let mut input = String::new();
        let mut expected = String::new();
        for (timestamp, start, multiplier, shift, tsc) in clocks {
            input.push_str(&format!("{timestamp} {start} {multiplier} {shift} {tsc}\n"));
            let clock = Clock {
                tsc_timestamp: timestamp,
                system_time: start,
                tsc_to_system_mul: multiplier,
                tsc_shift: shift,
                ..Clock::default()
            };
            expected.push_str(&format!("{}\n", clock.at(tsc)));
        }
        prop_assert_eq!(run(&program, &input), expected);
    });
}

struct Plain<'a>(&'a Cell<u64>);

impl Word for Plain<'_> {
    fn load(&self) -> u64 {
        self.0.get()
    }
    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.replace(self.0.get() | bits)
    }
    fn fetch_and(&self, bits: u64) -> u64 {
        self.0.replace(self.0.get() & bits)
    }
}

/// The event page and the vCPU page of a guest.
struct Model {
    pending: [Cell<u64>; EVENT_WORDS],
    mask: [Cell<u64>; EVENT_WORDS],
    selector: Cell<u64>,
    upcall_pending: Cell<bool>,
}

impl Ports for Model {
    fn pending(&self, index: usize) -> impl Word {
        Plain(&self.pending[index])
    }
    fn mask(&self, index: usize) -> impl Word {
        Plain(&self.mask[index])
    }
}

impl Target for &Model {
    fn selector(&self) -> impl Word {
        Plain(&self.selector)
    }
    fn set_upcall_pending(&self) -> bool {
        self.upcall_pending.replace(true)
    }
    fn clear_upcall_pending(&self) {
        self.upcall_pending.set(false);
    }
}

/// Carries out the operations of `tests/c/ports.c` in Rust, and prints as it does.
fn ports(operations: &[(char, usize)]) -> String {
    let model = Model {
        pending: core::array::from_fn(|_| Cell::new(0)),
        mask: core::array::from_fn(|_| Cell::new(0)),
        selector: Cell::new(0),
        upcall_pending: Cell::new(false),
    };
    let target = || &model;
    let mut taker = Taker::new(&target());
    let mut out = String::new();
    for &(operation, port) in operations {
        let outcome = match operation {
            'r' => match event_protocol::raise(&model, port, target) {
                event_protocol::Raised::Was => 0,
                event_protocol::Raised::Masked => 1,
                _ => 2,
            },
            'm' => {
                event_protocol::mask(&model, port);
                0
            }
            'u' => i64::from(event_protocol::unmask(&model, port, target).is_some()),
            'c' => i64::from(event_protocol::clear(&model, port)),
            'p' => i64::from(event_protocol::is_pending(&model, port)),
            'b' => {
                taker = Taker::new(&target());
                0
            }
            _ => taker
                .next(&model, &target())
                .map_or(-1, |port| i64::try_from(port).expect("it is small")),
        };
        let word = port / 64;
        out.push_str(&format!(
            "{outcome} {} {} {} {}\n",
            model.pending[word].get(),
            model.mask[word].get(),
            model.selector.get(),
            u8::from(model.upcall_pending.get()),
        ));
    }
    out
}

/// Few ports in few words, so that operations meet.
fn port() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(1usize),
        Just(63),
        Just(64),
        Just(100),
        Just(4095),
        0usize..4096
    ]
}

#[test]
fn ports_are_handled_by_the_protocol() {
    let program = program("ports", "-O2");
    let operation = proptest::sample::select(&['r', 'r', 'm', 'u', 'c', 'p', 'b', 'n', 'n'][..]);
    let operations = proptest::collection::vec((operation, port()), 1..300);
    proptest!(ProptestConfig::with_cases(64), |(operations in operations)| {
        let mut input = String::new();
        for (operation, port) in &operations {
            input.push_str(&format!("{operation} {port}\n"));
        }
        prop_assert_eq!(run(&program, &input), ports(&operations));
    });
}
