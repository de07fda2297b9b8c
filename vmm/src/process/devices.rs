//! From the devices of a spec to those that a VM is built with.

use crate::device::block::BlockOptions;
use crate::device::console::options::{ConsoleOptions, PortOptions};
use crate::device::entropy::EntropyOptions;
use crate::device::net::NetOptions;
use crate::device::options::Options;
use crate::device::share::options::ShareOptions;
use crate::device::spec::{DeviceOptions, DeviceSpec};
use crate::device::vsock::options::VsockOptions;
use paravane_api::device::{
    Connection, Devices, Disk, DiskFormat, Network, Port, PortEnd, Rng, Share, Vsock,
};
use paravane_control::folder::Folder;
use std::sync::Arc;

/// The devices, in the order of their kinds, each with a name.
pub(super) fn specs(devices: &Devices, folder: &Folder) -> Result<Vec<DeviceSpec>, String> {
    let mut all: Vec<Arc<dyn DeviceOptions>> = Vec::new();
    for one in &devices.disks {
        all.push(Arc::new(disk(one).map_err(of("disk"))?));
    }
    for one in &devices.networks {
        all.push(Arc::new(network(one).map_err(of("network"))?));
    }
    for one in &devices.shares {
        all.push(Arc::new(share(one).map_err(of("share"))?));
    }
    if let Some(one) = &devices.vsock {
        all.push(Arc::new(vsock(one, folder).map_err(of("vsock"))?));
    }
    if !devices.ports.is_empty() {
        // All ports are one device's.
        let ports: Result<_, _> = devices.ports.iter().map(port).collect();
        let ports = ports.and_then(ConsoleOptions::new).map_err(of("port"))?;
        all.push(Arc::new(ports));
    }
    if let Some(one) = &devices.rng {
        all.push(Arc::new(rng(one).map_err(of("rng"))?));
    }
    Ok(DeviceSpec::name(all))
}

/// Says which kind of device an error is about.
fn of(kind: &'static str) -> impl Fn(String) -> String {
    move |error| format!("{kind}: {error}")
}

fn disk(disk: &Disk) -> Result<BlockOptions, String> {
    let format = disk.format.map(|format| match format {
        DiskFormat::Raw => "raw",
        DiskFormat::Qcow2 => "qcow2",
    });
    let discard = disk.discard.map(|discard| match discard {
        true => "on",
        false => "off",
    });
    let options = Options::default()
        .with("path", Some(&disk.source))
        .with("id", disk.id.as_ref())
        .with_flag("ro", disk.read_only)
        .with("format", format)
        .with("serial", disk.serial.as_ref())
        .with_flag("direct", disk.direct)
        .with("rate", disk.rate)
        .with("iops", disk.iops)
        .with("queues", disk.queues)
        .with("discard", discard);
    BlockOptions::from_options(options)
}

fn network(network: &Network) -> Result<NetOptions, String> {
    let options = Options::default()
        .with("id", network.id.as_ref())
        .with("mac", network.mac.as_ref())
        .with("mtu", network.mtu)
        .with("rate", network.rate);
    NetOptions::from_options(match &network.connection {
        Connection::User { hostfwd } => {
            let forwards = (!hostfwd.is_empty()).then(|| hostfwd.join("+"));
            options.with_flag("user", true).with("hostfwd", forwards)
        }
        Connection::Tap { name, queues } => options.with("tap", Some(name)).with("queues", *queues),
        Connection::Switch { path } => options.with("switch", Some(path)),
    })
}

fn share(share: &Share) -> Result<ShareOptions, String> {
    let options = Options::default()
        .with("id", share.id.as_ref())
        .with("path", Some(&share.path))
        .with("tag", Some(&share.tag));
    ShareOptions::from_options(options)
}

fn vsock(vsock: &Vsock, folder: &Folder) -> Result<VsockOptions, String> {
    let own = || folder.vsock().display().to_string();
    let options = Options::default()
        .with("id", vsock.id.as_ref())
        .with("cid", Some(vsock.cid))
        .with("uds", Some(vsock.path.clone().unwrap_or_else(own)));
    VsockOptions::from_options(options)
}

fn port(port: &Port) -> Result<PortOptions, String> {
    let options = Options::default().with("name", port.name.as_ref());
    PortOptions::from_options(match &port.end {
        PortEnd::Socket(path) => options.with("socket", Some(path)),
        PortEnd::File(path) => options.with("file", Some(path)),
    })
}

fn rng(rng: &Rng) -> Result<EntropyOptions, String> {
    EntropyOptions::from_options(Options::default().with("id", rng.id.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(text: &str) -> Result<Vec<DeviceSpec>, String> {
        let devices: Devices = serde_json::from_str(text).unwrap();
        specs(&devices, &Folder::new("/vms/one"))
    }

    #[test]
    fn every_kind_of_device_can_be_had() {
        let all = devices(
            r#"{
                "disks": [
                    {"source": "/a,ro,b=c.img", "id": "root", "read_only": true,
                     "format": "qcow2", "serial": "s1", "discard": false},
                    {"source": "/b", "direct": true, "rate": 1000, "iops": 10, "queues": 2}
                ],
                "networks": [
                    {"connection": {"user": {"hostfwd": ["tcp:1-2", "tcp:3-4"]}},
                     "mac": "02:00:00:00:00:07", "mtu": 1500, "rate": 5},
                    {"connection": {"tap": {"name": "tap0", "queues": 4}}, "id": "lan"},
                    {"connection": {"switch": {"path": "/s,w"}}}
                ],
                "shares": [{"path": "/x,y", "tag": "docs"}],
                "vsock": {"cid": 3},
                "ports": [{"end": {"socket": "/p"}, "name": "one"}, {"end": {"file": "/f"}}],
                "rng": {}
            }"#,
        )
        .unwrap();
        let ids: Vec<_> = all.iter().map(|spec| spec.id.as_str()).collect();
        let expected = [
            "root", "disk0", "net0", "lan", "net1", "share0", "vsock0", "console0", "rng0",
        ];
        assert_eq!(ids, expected);
        let said = |id| {
            let spec = all.iter().find(|spec| spec.id == id).unwrap();
            format!("{:?}", spec.options)
        };
        assert!(
            said("root").contains("\"/a,ro,b=c.img\""),
            "{}",
            said("root")
        );
        assert!(said("net1").contains("\"/s,w\""), "{}", said("net1"));
        assert!(said("share0").contains("\"/x,y\""), "{}", said("share0"));
        assert!(said("vsock0").contains("\"/vms/one/vsock.sock\""));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_kind_of_the_device() {
        let check = |text, expected: &str| assert_eq!(devices(text).unwrap_err(), expected);
        check(
            r#"{"disks": [{"source": ""}]}"#,
            "disk: a disk needs an image: path=FILE",
        );
        check(
            r#"{"disks": [{"source": "/a", "queues": 99}]}"#,
            "disk: queues=99 is not a number from 1 to 16",
        );
        check(
            r#"{"vsock": {"cid": 2}}"#,
            "vsock: cid=2 is not a number from 3 to 4294967294",
        );
    }
}
