//! The file: TOML, with sizes and paths as people write them.

use crate::cli::client::place;
use crate::cli::exit_code::Failure;
use crate::cli::size;
use paravane_api::VmSpec;
use paravane_api::device::{Connection, PortEnd};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// A file's contents.
#[derive(Debug, PartialEq)]
pub struct File {
    /// The labels of all of them.
    pub labels: BTreeMap<String, String>,
    /// The VMs, which have names.
    pub vms: Vec<VmSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default, rename = "vm")]
    vms: Vec<Table>,
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let told = |what: String| Failure::configuration(format!("{}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(told)
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let contents: Contents = toml::from_str(text).map_err(|error| in_a_line(&error))?;
        let mut vms = Vec::<VmSpec>::new();
        for (number, table) in (1..).zip(contents.vms) {
            let name = table
                .get("name")
                .and_then(Value::as_str)
                .map(str::to_string);
            let name = name.ok_or_else(|| {
                format!("the [[vm]] of number {number} has no name, by which it is found again")
            })?;
            if vms.iter().any(|vm| vm.name.as_ref() == Some(&name)) {
                return Err(format!("two [[vm]] have the name {name}"));
            }
            let told = |what| format!("the VM {name}: {what}");
            let mut vm = spec(table, folder).map_err(told)?;
            for (key, value) in &contents.labels {
                vm.labels
                    .entry(key.clone())
                    .or_insert_with(|| value.clone());
            }
            vms.push(vm);
        }
        let labels = contents.labels;
        Ok(Self { labels, vms })
    }

    /// Whether there are images of the store by name, which the daemon calls by their digests.
    pub fn uses_store(&self) -> bool {
        let mut names = self.vms.iter().flat_map(|vm| {
            let disks = vm.devices.disks.iter().map(|disk| disk.source.as_str());
            disks
                .chain(vm.initrd.as_deref())
                .chain([vm.image.0.as_str()])
        });
        names.any(|name| name.starts_with(STORE))
    }
}

/// What the name of an image in the daemon's store begins with.
pub const STORE: &str = "store:";

/// A VM's spec, with sizes as numbers and absolute paths.
fn spec(mut table: Table, folder: &Path) -> Result<VmSpec, String> {
    if let Some(Value::Table(resources)) = table.get_mut("resources") {
        for key in ["memory", "memory_overhead"] {
            set_size(resources, key, size::parse)?;
        }
    }
    if let Some(Value::Table(devices)) = table.get_mut("devices") {
        for kind in ["disks", "networks"] {
            let devices = devices.get_mut(kind).and_then(Value::as_array_mut);
            for device in devices
                .into_iter()
                .flatten()
                .filter_map(Value::as_table_mut)
            {
                set_size(device, "rate", size::parse_bytes)?;
            }
        }
    }
    let mut spec = VmSpec::deserialize(table).map_err(|error| in_a_line(&error))?;
    spec.image.0 = place::image(&spec.image.0, folder)?;
    if let Some(initrd) = &mut spec.initrd {
        *initrd = place::file(initrd, folder)?;
    }
    let devices = &mut spec.devices;
    for disk in &mut devices.disks {
        disk.source = place::file(&disk.source, folder)?;
    }
    for network in &mut devices.networks {
        if let Connection::Switch { path } = &mut network.connection {
            *path = place::path(path, folder)?;
        }
    }
    let ports = devices.ports.iter_mut().map(|port| match &mut port.end {
        PortEnd::Socket(path) | PortEnd::File(path) => path,
    });
    let shares = devices.shares.iter_mut().map(|share| &mut share.path);
    let vsock = devices
        .vsock
        .iter_mut()
        .filter_map(|vsock| vsock.path.as_mut());
    for path in ports.chain(shares).chain(vsock) {
        *path = place::path(path, folder)?;
    }
    Ok(spec)
}

/// Makes a number of a size that is written with a unit.
fn set_size(
    table: &mut Table,
    key: &str,
    parse: impl Fn(&str) -> Result<u64, String>,
) -> Result<(), String> {
    let Some(value) = table.get_mut(key) else {
        return Ok(());
    };
    if let Value::String(text) = value {
        let size = parse(text).map_err(|why| format!("{key} = {text:?}: {why}"))?;
        let too_large = |_| format!("{key} = {text:?}: it is more than a VM can have");
        *value = Value::Integer(i64::try_from(size).map_err(too_large)?);
    }
    Ok(())
}

/// What the parser says, without the picture of the line that it draws.
fn in_a_line(error: &toml::de::Error) -> String {
    let lines = error.to_string();
    let drawn = |line: &&str| !line.contains(" | ") && !line.trim_end().ends_with('|');
    let lines = lines.lines().filter(drawn).map(str::trim);
    lines.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, String> {
        File::parse(text, Path::new("/etc/vms"))
    }

    #[test]
    fn sizes_paths_and_labels_are_as_people_write_them() {
        let file = parse(
            r#"
            labels = {app = "shop", tier = "0"}

            [[vm]]
            name = "web"
            image = "guest.elf"
            initrd = "store:initrd"
            labels = {tier = "1"}
            [vm.resources]
            memory = "64M"
            vcpus = 2
            [vm.devices]
            disks = [{source = "a.img", rate = "10M"}, {source = "store:base", read_only = true}]
            networks = [{connection = {user = {}}, rate = 1000}, {connection = {switch = {path = "sw"}}}]
            shares = [{path = "/srv", tag = "s"}]
            ports = [{end = {file = "log"}}]
            vsock = {cid = 3, path = "v.sock"}

            [[vm]]
            name = "db"
            resources = {memory = 8388608}
            "#,
        );
        let file = file.unwrap();
        assert!(file.uses_store());
        let [web, db] = file.vms.as_slice() else {
            panic!("{file:?}");
        };
        assert_eq!(web.image.0, "/etc/vms/guest.elf");
        assert_eq!(
            (web.resources.memory, db.resources.memory),
            (64 << 20, 8 << 20)
        );
        let devices = serde_json::to_value(&web.devices).unwrap();
        let expected = serde_json::json!({
            "disks": [
                {"source": "/etc/vms/a.img", "rate": 10 << 20, "read_only": false, "direct": false},
                {"source": "store:base", "read_only": true, "direct": false},
            ],
            "networks": [
                {"connection": {"user": {}}, "rate": 1000},
                {"connection": {"switch": {"path": "/etc/vms/sw"}}},
            ],
            "shares": [{"path": "/srv", "tag": "s"}],
            "ports": [{"end": {"file": "/etc/vms/log"}}],
            "vsock": {"cid": 3, "path": "/etc/vms/v.sock"},
        });
        assert_eq!(devices, expected);
        let labels = |vm: &VmSpec| vm.labels.values().cloned().collect::<Vec<_>>();
        assert_eq!(
            (labels(web), labels(db)),
            (
                vec!["shop".to_string(), "1".to_string()],
                vec!["shop".to_string(), "0".to_string()],
            )
        );
    }

    #[test]
    fn files_are_not_of_the_store() {
        let file = parse("[[vm]]\nname = \"a\"\nimage = \"./store:a\"").unwrap();
        assert!(!file.uses_store());
        assert_eq!(file.vms[0].image.0, "/etc/vms/store:a");
    }

    #[track_caller]
    fn refuses(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err(), expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        refuses(
            "[[vm]]\nimage = \"a\"",
            "the [[vm]] of number 1 has no name, by which it is found again",
        );
        refuses(
            "[[vm]]\nname = \"a\"\n[[vm]]\nname = \"a\"",
            "two [[vm]] have the name a",
        );
        refuses(
            "[[vm]]\nname = \"a\"\nresources = {memory = \"64Q\"}",
            "the VM a: memory = \"64Q\": \"Q\" is not a unit; use K, M, G or T, or none for \
             bytes, as in 128M",
        );
        let error = parse("[[vm]]\nname = \"a\"\nresources = {vcpu = 1}").unwrap_err();
        assert!(error.contains("the VM a: unknown field `vcpu`"), "{error}");
        let error = parse("[[vms]]").unwrap_err();
        assert!(
            error.contains("unknown field `vms`") && !error.contains('\n'),
            "{error}"
        );
        let error = parse("[[vm]").unwrap_err();
        assert!(error.contains("line 1") && !error.contains('\n'), "{error}");
    }
}
