//! What can be said of a request without knowing the host.
//!
//! Each check gives the fields that are wrong, by JSON pointers (RFC 6901) that begin with the
//! pointer of the checked thing.

use crate::device::{Connection, Devices, Disk, DiskFormat, Network, PortEnd, Share, Vsock};
use crate::problem::FieldError;
use crate::spec::{BUILTIN, Resources, Restart, VmSpec};
use std::collections::{BTreeMap, BTreeSet};

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
/// The most vCPUs.
const MAX_VCPUS: u32 = 64;
const PAGE: u64 = 4096;
const MAX_MEMORY: u64 = 1 << 40;
/// A path longer than this cannot be opened (PATH_MAX of Linux, with its NUL).
const MAX_PATH: usize = 4095;
const MAX_SOCKET_PATH: usize = 107;

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
    devices(&mut found, &spec.devices, &format!("{at}/devices"));
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

/// What is wrong with a name of a VM or a snapshot.
pub fn name(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (!first || !rest || name.len() > 63)
        .then(|| format!("{name:?} is no name: 1 to 63 of a-z, 0-9 and -, beginning with a letter"))
}

/// What is wrong with the name of an image of the store, as in `store:NAME`.
pub fn image_name(name: &str) -> Option<String> {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=127).contains(&name.len())
        && name.bytes().all(right)
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
    (!fits).then(|| {
        format!(
            "{name:?} is no name of an image: 1 to 127 of a-z, A-Z, 0-9, -, _ and ., beginning \
             with a letter or digit"
        )
    })
}

/// Whether this is the digest of an image: `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// What is wrong with a time to shut down.
pub fn grace(ms: u32) -> Option<String> {
    (ms > MAX_GRACE_MS).then(|| format!("{ms} is too long: at most {MAX_GRACE_MS}"))
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

fn image(name: &str, may_be_built_in: bool) -> Option<String> {
    if may_be_built_in && name == BUILTIN {
        return None;
    }
    if let Some(stored) = name.strip_prefix("store:") {
        return image_name(stored);
    }
    if is_digest(name) || path(name).is_none() {
        return None;
    }
    let built_in = if may_be_built_in { "builtin, " } else { "" };
    Some(format!(
        "{name:?} is no image: {built_in}an absolute path, sha256: and 64 hexadecimal digits, or \
         store:NAME"
    ))
}

/// What is wrong with a path of the host.
fn path(path: &str) -> Option<String> {
    let right = path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0');
    (!right).then(|| format!("{path:?} is no absolute path of at most {MAX_PATH} bytes"))
}

fn socket_path(text: &str) -> Option<String> {
    path(text).or_else(|| {
        (text.len() > MAX_SOCKET_PATH)
            .then(|| format!("the path of a socket has at most {MAX_SOCKET_PATH} bytes"))
    })
}

fn resources(found: &mut Findings, resources: &Resources, at: &str) {
    let Resources {
        vcpus,
        memory,
        cpu_weight,
        cpu_quota,
        cpus,
        memory_overhead,
    } = resources;
    found.unless(
        (1..=MAX_VCPUS).contains(vcpus),
        format!("{at}/vcpus"),
        format!("{vcpus} is out of range: 1 to {MAX_VCPUS}"),
    );
    found.unless(
        (PAGE..=MAX_MEMORY).contains(memory) && memory.is_multiple_of(PAGE),
        format!("{at}/memory"),
        format!("{memory} is not possible: a multiple of {PAGE} from {PAGE} to {MAX_MEMORY}"),
    );
    if let Some(weight) = cpu_weight {
        found.unless(
            (1..=10_000).contains(weight),
            format!("{at}/cpu_weight"),
            format!("{weight} is out of range: 1 to 10000"),
        );
    }
    if let Some(quota) = cpu_quota {
        found.unless(
            (1..=6400).contains(quota),
            format!("{at}/cpu_quota"),
            format!("{quota} is out of range: 1 to 6400"),
        );
    }
    if let Some(cpus) = cpus {
        found.unless(
            processors(cpus).is_some(),
            format!("{at}/cpus"),
            format!("{cpus:?} is no list of processors, such as 0-3,6"),
        );
    }
    if let Some(overhead) = memory_overhead {
        found.unless(
            (16 << 20..=MAX_MEMORY).contains(overhead),
            format!("{at}/memory_overhead"),
            format!("{overhead} is out of range: 16777216 to {MAX_MEMORY}"),
        );
    }
}

/// The processors of a list such as `0-3,6`, in its order; none if it is no such list. At most
/// 4096 processors have numbers.
pub fn processors(list: &str) -> Option<Vec<u32>> {
    const MAX: u32 = 4096;
    let number = |text: &str| -> Option<u32> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok())?.filter(|n| *n < MAX)
    };
    let mut all = BTreeSet::new();
    if list.len() > 4 * MAX as usize {
        return None;
    }
    for part in list.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all.into_iter().collect())
}

fn devices(found: &mut Findings, devices: &Devices, at: &str) {
    let Devices {
        disks,
        networks,
        shares,
        vsock,
        ports,
        rng,
    } = devices;
    let mut ids = BTreeSet::new();
    let mut id = |found: &mut Findings, id: Option<&String>, field: String| {
        let Some(id) = id else { return };
        if let Some(wrong) = device_id(id) {
            found.add(field, wrong);
        } else if !ids.insert(id.clone()) {
            found.add(field, format!("another device of the VM has the id {id:?}"));
        }
    };
    for (kind, count) in [
        ("disks", disks.len()),
        ("networks", networks.len()),
        ("shares", shares.len()),
        ("ports", ports.len()),
    ] {
        found.unless(
            count <= MAX_DEVICES,
            format!("{at}/{kind}"),
            format!("there are {count}, and may be at most {MAX_DEVICES}"),
        );
    }
    for (number, device) in disks.iter().enumerate() {
        let at = format!("{at}/disks/{number}");
        id(found, device.id.as_ref(), format!("{at}/id"));
        disk(found, device, &at);
    }
    for (number, device) in networks.iter().enumerate() {
        let at = format!("{at}/networks/{number}");
        id(found, device.id.as_ref(), format!("{at}/id"));
        network(found, device, &at);
    }
    for (number, device) in shares.iter().enumerate() {
        let at = format!("{at}/shares/{number}");
        id(found, device.id.as_ref(), format!("{at}/id"));
        share(found, device, &at);
    }
    if let Some(device) = vsock {
        id(found, device.id.as_ref(), format!("{at}/vsock/id"));
        self::vsock(found, device, &format!("{at}/vsock"));
    }
    let mut names = BTreeSet::new();
    for (number, port) in ports.iter().enumerate() {
        let at = format!("{at}/ports/{number}");
        if let Some(name) = &port.name {
            if let Some(wrong) = device_id(name) {
                found.add(format!("{at}/name"), wrong);
            } else if !names.insert(name) {
                found.add(
                    format!("{at}/name"),
                    format!("another port has the name {name:?}"),
                );
            }
        }
        let (end, wrong) = match &port.end {
            PortEnd::Socket(path) => ("socket", socket_path(path)),
            PortEnd::File(file) => ("file", path(file)),
        };
        if let Some(wrong) = wrong {
            found.add(format!("{at}/end/{end}"), wrong);
        }
    }
    if let Some(device) = rng {
        id(found, device.id.as_ref(), format!("{at}/rng/id"));
    }
}

fn device_id(id: &str) -> Option<String> {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=31).contains(&id.len()) && id.bytes().all(right);
    (!fits).then(|| format!("{id:?} is not 1 to 31 of a-z, A-Z, 0-9, -, _ and ."))
}

fn disk(found: &mut Findings, disk: &Disk, at: &str) {
    if let Some(wrong) = image(&disk.source, false) {
        found.add(format!("{at}/source"), wrong);
    }
    let stored = !disk.source.starts_with('/');
    found.unless(
        disk.read_only || !stored,
        format!("{at}/read_only"),
        "an image of the store cannot be written: set it to true",
    );
    found.unless(
        disk.read_only || disk.format != Some(DiskFormat::Qcow2),
        format!("{at}/format"),
        "a qcow2 disk can only be read: set read_only to true",
    );
    if let Some(serial) = &disk.serial {
        found.unless(
            serial.len() <= 20 && serial.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
            format!("{at}/serial"),
            "it has at most 20 printable ASCII characters",
        );
    }
    for (name, rate) in [("rate", disk.rate), ("iops", disk.iops)] {
        found.unless(
            rate != Some(0),
            format!("{at}/{name}"),
            "0 would let nothing through",
        );
    }
    if let Some(queues) = disk.queues {
        found.unless(
            (1..=64).contains(&queues),
            format!("{at}/queues"),
            format!("{queues} is out of range: 1 to 64"),
        );
    }
}

fn network(found: &mut Findings, network: &Network, at: &str) {
    match &network.connection {
        Connection::User { hostfwd } => found.unless(
            hostfwd.len() <= 64,
            format!("{at}/connection/user/hostfwd"),
            "there may be at most 64",
        ),
        Connection::Tap { name, queues } => {
            // IFNAMSIZ of Linux, with its NUL.
            let fits = (1..16).contains(&name.len())
                && !name.bytes().any(|b| b == b'/' || !b.is_ascii_graphic());
            found.unless(
                fits,
                format!("{at}/connection/tap/name"),
                format!("{name:?} is no name of a network device: 1 to 15 characters"),
            );
            found.unless(
                queues.is_none_or(|queues| (1..=64).contains(&queues)),
                format!("{at}/connection/tap/queues"),
                "it is out of range: 1 to 64",
            );
        }
        Connection::Switch { path } => {
            if let Some(wrong) = socket_path(path) {
                found.add(format!("{at}/connection/switch/path"), wrong);
            }
        }
    }
    if let Some(mac) = &network.mac {
        found.unless(
            is_mac(mac),
            format!("{at}/mac"),
            format!("{mac:?} is no MAC address of one device, such as 52:54:00:12:34:56"),
        );
    }
    if let Some(mtu) = network.mtu {
        found.unless(
            mtu >= 68,
            format!("{at}/mtu"),
            format!("{mtu} is less than IPv4 needs: at least 68"),
        );
    }
    found.unless(
        network.rate != Some(0),
        format!("{at}/rate"),
        "0 would let nothing through",
    );
}

/// Whether it is the MAC address of one device, not of a group.
fn is_mac(text: &str) -> bool {
    let bytes: Vec<Option<u8>> = text
        .split(':')
        .map(|part| {
            let hex = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        })
        .collect();
    bytes.len() == 6
        && bytes.iter().all(Option::is_some)
        && bytes
            .first()
            .is_some_and(|first| first.is_some_and(|b| b & 1 == 0))
}

fn share(found: &mut Findings, share: &Share, at: &str) {
    if let Some(wrong) = path(&share.path) {
        found.add(format!("{at}/path"), wrong);
    }
    // VIRTIO_FS_TAG of the virtio specification has 36 bytes.
    found.unless(
        (1..=36).contains(&share.tag.len()) && !share.tag.contains('\0'),
        format!("{at}/tag"),
        "a tag has 1 to 36 bytes, none of them 0",
    );
}

fn vsock(found: &mut Findings, vsock: &Vsock, at: &str) {
    found.unless(
        vsock.cid >= 3 && vsock.cid != u32::MAX,
        format!("{at}/cid"),
        format!("{} belongs to no guest: 3 to 4294967294", vsock.cid),
    );
    if let Some(wrong) = vsock.path.as_deref().and_then(socket_path) {
        found.add(format!("{at}/path"), wrong);
    }
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

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors("0-2,6,1"), Some(vec![0, 1, 2, 6]));
        for wrong in ["", "a", "1-", "-1", "2-1", "4096", "+1", "1,,2"] {
            assert_eq!(processors(wrong), None, "{wrong}");
        }
    }
}
