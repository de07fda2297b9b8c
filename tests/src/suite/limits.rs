//! What a guest may not have, and when it must end.

use super::Once;
use crate::program::{end, exit_code, guest, paravane};

pub(super) const ONCE: &[Once] = &[
    ("an_endless_loop_ends_in_time", an_endless_loop_ends_in_time),
    (
        "an_endless_flood_ends_in_time",
        an_endless_flood_ends_in_time,
    ),
    ("endless_reboots_end_in_time", endless_reboots_end_in_time),
    ("too_little_memory_is_refused", too_little_memory_is_refused),
    ("too_many_vcpus_are_refused", too_many_vcpus_are_refused),
    (
        "an_initrd_that_does_not_fit_is_refused",
        an_initrd_that_does_not_fit_is_refused,
    ),
    (
        "a_carrier_of_another_vendor_is_refused",
        a_carrier_of_another_vendor_is_refused,
    ),
];

fn an_endless_loop_ends_in_time() {
    guest("loop", &["--timeout", "200ms"])
        .exits(exit_code::TIMED_OUT)
        .says("--timeout");
}

fn an_endless_flood_ends_in_time() {
    guest("flood", &["--timeout", "200ms"]).exits(exit_code::TIMED_OUT);
}

fn endless_reboots_end_in_time() {
    guest("reboot", &["--timeout", "1s"]).exits(exit_code::TIMED_OUT);
}

fn too_little_memory_is_refused() {
    let ended = guest("hello", &["--mem", "1M"]);
    assert!(
        [exit_code::BAD_IMAGE, exit_code::BAD_CONFIGURATION].contains(&ended.code),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.says("needs at least 4 MiB of RAM, but the VM has 1 MiB");
}

fn too_many_vcpus_are_refused() {
    let ended = end(&mut paravane(["run", "--vcpus", "65"])).exits(exit_code::BAD_CONFIGURATION);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.says("65");
}

fn an_initrd_that_does_not_fit_is_refused() {
    let initrd = tempfile::NamedTempFile::new().expect("a temporary file");
    initrd.as_file().set_len(40 << 20).expect("a sparse file");
    let path = initrd.path().to_str().expect("its name is text");
    guest("hello", &["--mem", "32M", "--initrd", path])
        .exits(exit_code::BAD_CONFIGURATION)
        .says(&format!(
            "the initrd {path} has 41943040 bytes, but the VM has 33554432"
        ))
        .says("use a larger --mem");
}

fn a_carrier_of_another_vendor_is_refused() {
    // No CPU has both VMCALL and VMMCALL.
    let refused = ["vmcall", "vmmcall"].into_iter().find_map(|carrier| {
        let ended = guest("hello", &["--carrier", carrier]);
        (ended.code != 0).then_some((carrier, ended))
    });
    let (carrier, ended) = refused.expect("one of them does not work");
    ended.exits(exit_code::BAD_CONFIGURATION).says(&format!(
        "--carrier {carrier} does not work on this host; use one of "
    ));
}
