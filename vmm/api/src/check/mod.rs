//! What can be said of a request without knowing the host.
//!
//! Each check gives the fields that are wrong, by JSON pointers (RFC 6901) that begin with the
//! pointer of the checked thing.

mod devices;
mod names;
mod resources;

pub use names::{image_name, is_digest, name};
pub use resources::processors;

use crate::device::Devices;
use crate::problem::FieldError;
use crate::spec::{Restart, VmSpec};
use names::image;
use resources::resources;
use std::collections::BTreeMap;

/// The longest command line in bytes.
pub const MAX_COMMAND_LINE: usize = 2048;
/// The most devices of a kind.
pub const MAX_DEVICES: usize = 16;
/// The most labels.
pub const MAX_LABELS: usize = 64;
/// The longest time that a guest may take to shut down, in milliseconds.
pub const MAX_GRACE_MS: u32 = 600_000;

/// The most failures after which a VM may be given up.
const MAX_FAILURES: u32 = 1_000_000;

/// Collects what is wrong.
#[derive(Debug, Default)]
struct Findings(Vec<FieldError>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            detail: detail.into(),
        });
    }

    fn unless(&mut self, right: bool, field: impl Into<String>, detail: impl Into<String>) {
        if !right {
            self.add(field, detail);
        }
    }
}

/// What is wrong with a spec at `at`, such as `/spec`.
pub fn spec(spec: &VmSpec, at: &str) -> Vec<FieldError> {
    let mut found = Findings::default();
    if let Some(wrong) = spec.name.as_deref().and_then(name) {
        found.add(format!("{at}/name"), wrong);
    }
    if let Some(wrong) = image(&spec.image.0, true) {
        found.add(format!("{at}/image"), wrong);
    }
    if let Some(wrong) = spec
        .initrd
        .as_deref()
        .and_then(|initrd| image(initrd, false))
    {
        found.add(format!("{at}/initrd"), wrong);
    }
    let line = &spec.command_line;
    found.unless(
        line.len() <= MAX_COMMAND_LINE && !line.contains('\0'),
        format!("{at}/command_line"),
        format!("it may have at most {MAX_COMMAND_LINE} bytes, none of them 0"),
    );
    resources(&mut found, &spec.resources, &format!("{at}/resources"));
    found
        .0
        .extend(devices(&spec.devices, &format!("{at}/devices")));
    found
        .0
        .extend(restart(&spec.restart, &format!("{at}/restart")));
    if let Some(wrong) = grace(spec.grace_ms.0) {
        found.add(format!("{at}/grace_ms"), wrong);
    }
    found
        .0
        .extend(labels(&spec.labels, &format!("{at}/labels")));
    found.0
}

/// What is wrong with a time to shut down.
pub fn grace(ms: u32) -> Option<String> {
    (ms > MAX_GRACE_MS).then(|| format!("{ms} is too long: at most {MAX_GRACE_MS}"))
}

/// What is wrong with devices at `at`.
pub fn devices(devices: &Devices, at: &str) -> Vec<FieldError> {
    let mut found = Findings::default();
    self::devices::devices(&mut found, devices, at);
    found.0
}

/// What is wrong with a restart policy at `at`.
pub fn restart(restart: &Restart, at: &str) -> Vec<FieldError> {
    let mut found = Findings::default();
    for (name, ms) in [
        ("backoff_ms", restart.backoff_ms),
        ("backoff_max_ms", restart.backoff_max_ms),
    ] {
        found.unless(
            (10..=3_600_000).contains(&ms),
            format!("{at}/{name}"),
            format!("{ms} is out of range: 10 to 3600000"),
        );
    }
    found.unless(
        restart.backoff_ms <= restart.backoff_max_ms,
        format!("{at}/backoff_max_ms"),
        format!(
            "{} is less than backoff_ms, which is {}",
            restart.backoff_max_ms, restart.backoff_ms
        ),
    );
    found.unless(
        restart
            .max_failures
            .is_none_or(|most| (1..=MAX_FAILURES).contains(&most)),
        format!("{at}/max_failures"),
        format!("it is out of range: 1 to {MAX_FAILURES}, or absent for no limit"),
    );
    found.0
}

/// What is wrong with labels at `at`.
pub fn labels(labels: &BTreeMap<String, String>, at: &str) -> Vec<FieldError> {
    let mut found = Findings::default();
    found.unless(
        labels.len() <= MAX_LABELS,
        at,
        format!(
            "there are {}, and may be at most {MAX_LABELS}",
            labels.len()
        ),
    );
    for (key, value) in labels {
        let field = format!("{at}/{}", pointer(key));
        let fits = !key.is_empty() && key.chars().count() <= 63 && !key.contains('=');
        found.unless(
            fits && !key.chars().any(char::is_control),
            field.clone(),
            "a key has 1 to 63 characters, none of them = or a control character",
        );
        found.unless(
            value.chars().count() <= 255 && !value.chars().any(char::is_control),
            field,
            "a value has at most 255 characters, none of them a control character",
        );
    }
    found.0
}

/// A key as a part of a JSON pointer.
pub fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_right() {
        assert_eq!(spec(&VmSpec::default(), "/spec"), []);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let cases = [
            (r#"{"name": "Web"}"#, "/name"),
            (r#"{"image": "kernel"}"#, "/image"),
            (r#"{"image": "store:../x"}"#, "/image"),
            (r#"{"image": "sha256:12"}"#, "/image"),
            (r#"{"initrd": "builtin"}"#, "/initrd"),
            (r#"{"resources": {"vcpus": 0}}"#, "/resources/vcpus"),
            (r#"{"resources": {"memory": 4097}}"#, "/resources/memory"),
            (
                r#"{"resources": {"cpu_weight": 0}}"#,
                "/resources/cpu_weight",
            ),
            (
                r#"{"resources": {"cpu_quota": 6401}}"#,
                "/resources/cpu_quota",
            ),
            (r#"{"resources": {"cpus": "3-1"}}"#, "/resources/cpus"),
            (r#"{"restart": {"backoff_ms": 1}}"#, "/restart/backoff_ms"),
            (
                r#"{"restart": {"max_failures": 0}}"#,
                "/restart/max_failures",
            ),
            (r#"{"grace_ms": 600001}"#, "/grace_ms"),
            (r#"{"labels": {"a/b=": ""}}"#, "/labels/a~1b="),
            (
                r#"{"devices": {"disks": [{"source": "store:a"}]}}"#,
                "/devices/disks/0/read_only",
            ),
            (
                r#"{"devices": {"disks": [{"source": "/d", "format": "qcow2"}]}}"#,
                "/devices/disks/0/format",
            ),
            (
                r#"{"devices": {"networks": [{"connection": {"tap": {"name": "a/b"}}}]}}"#,
                "/devices/networks/0/connection/tap/name",
            ),
            (
                r#"{"devices": {"networks": [{"connection": {"user": {}}, "mac": "01:00:00:00:00:00"}]}}"#,
                "/devices/networks/0/mac",
            ),
            (
                r#"{"devices": {"shares": [{"path": "x", "tag": "t"}]}}"#,
                "/devices/shares/0/path",
            ),
            (
                r#"{"devices": {"vsock": {"cid": 2}}}"#,
                "/devices/vsock/cid",
            ),
            (
                r#"{"devices": {"ports": [{"end": {"file": "x"}}]}}"#,
                "/devices/ports/0/end/file",
            ),
            (
                r#"{"devices": {"vsock": {"cid": 3, "id": "a"}, "rng": {"id": "a"}}}"#,
                "/devices/rng/id",
            ),
        ];
        for (text, field) in cases {
            let asked: VmSpec = serde_json::from_str(text).unwrap();
            let found = spec(&asked, "/spec");
            assert!(
                found.iter().any(|e| e.field == format!("/spec{field}")),
                "{text}: {found:?}"
            );
        }
    }
}
