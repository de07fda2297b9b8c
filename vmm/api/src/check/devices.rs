//! The devices of a VM.

use super::names::{device_id, image, is_mac, path, socket_path};
use super::{Findings, MAX_DEVICES};
use crate::device::{Connection, Devices, Disk, DiskFormat, Network, PortEnd, Share, Vsock};
use std::collections::BTreeSet;

pub(super) fn devices(found: &mut Findings, devices: &Devices, at: &str) {
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
