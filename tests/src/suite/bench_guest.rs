//! The guest's side of `paravane bench`: what it prints is what the host reads.

use super::{InMode, Once};
use crate::modes::Mode;
use crate::program::guest;

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    (
        "every_operation_is_measured_by_the_guest",
        every_operation_is_measured_by_the_guest,
    ),
    ("exits_are_counted_exactly", exits_are_counted_exactly),
    (
        "many_pages_are_mapped_in_few_exits",
        many_pages_are_mapped_in_few_exits,
    ),
];

pub(super) const ONCE: &[Once] = &[
    (
        "what_takes_two_vcpus_is_absent_on_one",
        what_takes_two_vcpus_is_absent_on_one,
    ),
    (
        "a_measurement_that_there_is_not_is_refused",
        a_measurement_that_there_is_not_is_refused,
    ),
];

/// Samples of each operation: few, as emulated hosts are slow.
const SAMPLES: usize = 5;

/// Samples that are taken before those.
const WARM_UP: usize = 16;

/// What was printed of an operation that was measured.
#[derive(Debug)]
struct Measured {
    name: String,
    /// How many operations were carried out.
    count: u64,
    /// By how many exits.
    exits: u64,
    /// How many operations a sample is of.
    per: u64,
    empty: Vec<u64>,
    samples: Vec<u64>,
}

/// What was printed of an operation.
#[derive(Debug)]
enum Section {
    Measured(Measured),
    Absent(String),
}

impl Section {
    fn measured(self) -> Measured {
        match self {
            Self::Measured(measured) => measured,
            Self::Absent(reason) => panic!("not measured: {reason}"),
        }
    }
}

/// Has the guest measure operations, in one boot, and reads what it prints of each.
fn bench(argument: &str, options: &[&str]) -> Vec<Section> {
    let ended = guest(&format!("bench={argument}"), options).exits(0);
    let mut lines = ended.stdout.lines().filter_map(words).peekable();
    let mut sections = Vec::new();
    while lines.peek().is_some() {
        sections.push(section(&mut lines));
    }
    sections
}

/// The words of a line behind `bench`; other lines are an operation's own output.
fn words(line: &str) -> Option<Vec<&str>> {
    let mut words = line.split(' ');
    (words.next() == Some("bench")).then(|| words.collect())
}

/// Reads the lines of one operation.
#[track_caller]
fn section<'a>(lines: &mut std::iter::Peekable<impl Iterator<Item = Vec<&'a str>>>) -> Section {
    if let Some(absent) = lines.next_if(|words| words[0] == "absent") {
        return Section::Absent(absent[1..].join(" "));
    }
    let mut next = || lines.next().expect("a line");
    assert_eq!(next()[..2], ["warmed", "up"]);
    assert_eq!(next(), ["begin", "empty"]);
    let [end, empty, empty_count] = next()[..] else {
        panic!("no end of the empty measurement");
    };
    assert_eq!([end, empty], ["end", "empty"]);
    let [begin, name] = next()[..] else {
        panic!("no beginning of the measurement");
    };
    assert_eq!(begin, "begin");
    let [end, ended, count, exits] = next()[..] else {
        panic!("no end of the measurement");
    };
    assert_eq!([end, ended, count], ["end", name, empty_count]);
    let [per, each] = next()[..] else {
        panic!("not how many a sample is of");
    };
    assert_eq!(per, "per");
    let mut values = |what: &str| {
        let mut values = Vec::new();
        while let Some(words) = lines.next_if(|words| words[0] == what) {
            values.extend(words[1..].iter().map(|value| number(value)));
        }
        values
    };
    let (empty, samples) = (values("empty"), values("samples"));
    assert_eq!(lines.next().expect("an end"), ["done"], "{name}");
    Section::Measured(Measured {
        name: name.into(),
        count: number(count),
        exits: number(exits),
        per: number(each),
        empty,
        samples,
    })
}

#[track_caller]
fn number(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// The operations that the guest lists, each with the vCPUs that it takes.
fn list() -> Vec<(String, u32)> {
    let listed = guest("bench=list", &[]).exits(0).stdout;
    let operation = |line: &str| match words(line).as_deref() {
        Some(["operation", name, vcpus]) => ((*name).to_owned(), number(vcpus) as u32),
        _ => panic!("{line:?} is no operation"),
    };
    listed.lines().map(operation).collect()
}

fn every_operation_is_measured_by_the_guest(mode: Mode) {
    let names: Vec<_> = list().into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| name == "core_noop"), "{names:?}");
    let argument = format!("{},{SAMPLES}", names.join("+"));
    let sections = bench(
        &argument,
        &[
            &mode.options()[..],
            &["--vcpus", "2", "--timeout", "300s", "--rng"],
        ]
        .concat(),
    );
    assert_eq!(sections.len(), names.len(), "{sections:#?}");
    for (name, section) in names.iter().zip(sections) {
        match section {
            Section::Measured(measured) => {
                assert_eq!(&measured.name, name);
                check(&measured);
            }
            // Hosts differ in nothing else.
            Section::Absent(reason) => {
                let expected = match name.as_str() {
                    "trap_set_debug" => "this VMM does not offer DEBUG_REGISTERS",
                    // QEMU denies every port at CPL 3.
                    "doorbell" if mode.privilege == "ring3" => {
                        "this host has no port for a doorbell"
                    }
                    _ => panic!("{name}: {reason}"),
                };
                assert!(reason.starts_with(expected), "{name}: {reason}");
            }
        }
    }
}

/// Checks what holds of every operation.
#[track_caller]
fn check(measured: &Measured) {
    assert_eq!(measured.empty.len(), SAMPLES, "{measured:?}");
    assert_eq!(measured.samples.len(), SAMPLES, "{measured:?}");
    let rounds = (SAMPLES + WARM_UP) as u64;
    assert_eq!(measured.count, rounds * measured.per, "{measured:?}");
}

fn exits_are_counted_exactly(mode: Mode) {
    let argument = format!("core_noop+clock_read+upcall_mask_unmask+as_switch,{SAMPLES}");
    let sections = bench(&argument, &mode.options());
    for section in sections {
        let measured = section.measured();
        let expected = match measured.name.as_str() {
            "core_noop" | "as_switch" => measured.count,
            _ => 0,
        };
        assert_eq!(measured.exits, expected, "{measured:?}");
        assert!(
            measured.samples.iter().all(|&ticks| ticks > 0),
            "{measured:?}"
        );
    }
    let batched = bench(&format!("core_batch,{SAMPLES},64"), &mode.options());
    for measured in batched.into_iter().map(Section::measured) {
        check(&measured);
        assert_eq!(measured.per, 64);
        assert_eq!(measured.exits, measured.count / 64, "{measured:?}");
    }
}

/// The exits of each page that an operation maps.
fn exits_of_a_page(operation: &str, size: u64, mode: Mode) -> f64 {
    let argument = format!("{operation},{SAMPLES},{size}");
    match bench(&argument, &mode.options()).pop() {
        Some(Section::Measured(measured)) => {
            check(&measured);
            assert_eq!(measured.per, size, "{measured:?}");
            measured.exits as f64 / measured.count as f64
        }
        section => panic!("{operation}: {section:?}"),
    }
}

fn many_pages_are_mapped_in_few_exits(mode: Mode) {
    assert_eq!(exits_of_a_page("as_map", 1, mode), 1.0);
    assert_eq!(exits_of_a_page("demand_page", 1, mode), 1.0);
    assert_eq!(exits_of_a_page("as_map_range", 512, mode), 1.0 / 512.0);
    // How often a repeated call comes back depends on how fast it is, but it does work meanwhile.
    let exits = 512.0 * exits_of_a_page("as_map", 512, mode);
    assert!((1.0..=256.0).contains(&exits), "{exits}");
}

fn what_takes_two_vcpus_is_absent_on_one() {
    let takes_two = list().into_iter().find(|(_, vcpus)| *vcpus == 2);
    let (name, _) = takes_two.expect("an operation that takes two vCPUs");
    match &bench(&format!("{name},{SAMPLES}"), &["--vcpus", "1"])[..] {
        [Section::Absent(reason)] => assert_eq!(reason, "it needs 2 vCPUs"),
        sections => panic!("{sections:?}"),
    }
}

fn a_measurement_that_there_is_not_is_refused() {
    for (argument, reason) in [
        ("core_nothing,5", "there is no operation \"core_nothing\""),
        ("core_noop", "SAMPLES is a number from 1 to 1000000"),
        ("core_noop,5,2", "SIZE is a number from 1 to 1, not \"2\""),
        ("core_batch,5,513", "SIZE is a number from 1 to 512"),
        ("core_noop+core_nothing,5", "there is no operation"),
    ] {
        let ended = guest(&format!("bench={argument}"), &[]).exits(2);
        // Nothing was measured before.
        assert!(!ended.stdout.contains("begin"), "{}", ended.stdout);
        ended.prints(reason);
    }
}
