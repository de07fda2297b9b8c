//! What the C header does without a call: it agrees with the definitions in Rust.

mod compiler;

use compiler::{Language, compile, root};
use proptest::prelude::*;
use pv_abi::event::EVENT_WORDS;
use pv_abi::event_protocol::{self, Ports, Taker, Target, Word};
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

/// The time of a clock, as `pv_abi::time` says.
fn time(timestamp: u64, time: u64, multiplier: u32, shift: i8, tsc: u64) -> u64 {
    let delta = tsc.wrapping_sub(timestamp);
    let shifted = match shift {
        0.. => delta << shift,
        _ => delta >> -shift,
    };
    let nanoseconds = (u128::from(shifted) * u128::from(multiplier)) >> 32;
    time.wrapping_add(nanoseconds as u64)
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
            expected.push_str(&format!("{}\n", time(timestamp, start, multiplier, shift, tsc)));
        }
        prop_assert_eq!(run(&program, &input), expected);
    });
}

struct Plain(Cell<u64>);

impl Word for Plain {
    fn load(&self) -> u64 {
        self.0.get()
    }
    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.replace(self.0.get() | bits)
    }
    fn fetch_and(&self, bits: u64) -> u64 {
        self.0.replace(self.0.get() & bits)
    }
    fn swap(&self, value: u64) -> u64 {
        self.0.replace(value)
    }
}

/// The event page and the vCPU page of a guest.
struct Model {
    pending: [Plain; EVENT_WORDS],
    mask: [Plain; EVENT_WORDS],
    selector: Plain,
    upcall_pending: Cell<bool>,
}

impl Ports for Model {
    type Word = Plain;
    fn pending(&self, index: usize) -> &Plain {
        &self.pending[index]
    }
    fn mask(&self, index: usize) -> &Plain {
        &self.mask[index]
    }
}

impl Target for Model {
    type Word = Plain;
    fn selector(&self) -> &Plain {
        &self.selector
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
    let zero = || Plain(Cell::new(0));
    let model = Model {
        pending: core::array::from_fn(|_| zero()),
        mask: core::array::from_fn(|_| zero()),
        selector: zero(),
        upcall_pending: Cell::new(false),
    };
    // The C program's has not begun either: it only looks at the selector.
    let mut taker = None;
    let mut out = String::new();
    for &(operation, port) in operations {
        let outcome = match operation {
            'r' => match event_protocol::raise(&model, &model, port) {
                event_protocol::Raised::Was => 0,
                event_protocol::Raised::Masked => 1,
                _ => 2,
            },
            'm' => {
                event_protocol::mask(&model, port);
                0
            }
            'u' => {
                // The C function tells of a pending port, masked or not before.
                i64::from(event_protocol::unmask(&model, &model, port).is_some())
            }
            'c' => i64::from(event_protocol::clear(&model, port)),
            'p' => i64::from(event_protocol::is_pending(&model, port)),
            'b' => {
                taker = Some(Taker::new(&model));
                0
            }
            _ => {
                let taker = taker.as_mut().expect("operations begin with one");
                taker
                    .next(&model, &model)
                    .map_or(-1, |port| i64::try_from(port).expect("it is small"))
            }
        };
        let word = port / 64;
        out.push_str(&format!(
            "{outcome} {} {} {} {}\n",
            model.pending[word].load(),
            model.mask[word].load(),
            model.selector.load(),
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
    proptest!(ProptestConfig::with_cases(64), |(mut operations in operations)| {
        operations.insert(0, ('b', 0));
        let mut input = String::new();
        for (operation, port) in &operations {
            input.push_str(&format!("{operation} {port}\n"));
        }
        prop_assert_eq!(run(&program, &input), ports(&operations));
    });
}
