//! Where and how a run is measured.

use super::host::{Hardware, Host};
use super::result::{KvmModule, Provenance};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

const UNKNOWN: &str = "unknown";

/// What the host tells about itself. What only the run knows is empty.
pub fn gather(host: &Host) -> Provenance {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(": "));
        value.map_or(UNKNOWN, |(_, value)| value).trim().to_owned()
    };
    let modes = host.modes.all();
    let name = |mode: &crate::carrier::Mode| format!("{}/{}", mode.privilege, mode.carrier);
    Provenance {
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        paravane: env!("CARGO_PKG_VERSION").into(),
        commit: option_env!("PARAVANE_COMMIT").unwrap_or(UNKNOWN).into(),
        cpu: field("model name"),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        pinned: host.pins.chosen(),
        microcode: field("microcode"),
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        kvm: modules(Path::new("/sys/module"), host.hardware),
        mitigations: mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities")),
        nesting: nesting(&cpu),
        governor: first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load: (load(), 0.0),
        tsc_hz: host.tsc_hz,
        automatic: host
            .modes
            .choose(None, None)
            .map_or(UNKNOWN.into(), |mode| name(&mode)),
        modes: modes.iter().map(name).collect(),
        arguments: Vec::new(),
        seed: 0,
        boots: 0,
        seconds: 0.0,
    }
}

/// Load average over a minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(0.0)
}

fn first_line(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    match text.lines().next() {
        Some(line) if !line.is_empty() => line.trim().to_owned(),
        _ => UNKNOWN.into(),
    }
}

/// The names in a directory, sorted.
fn entries(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn modules(directory: &Path, hardware: Hardware) -> Vec<KvmModule> {
    let vendor = match hardware {
        Hardware::Vmx => Some("kvm_intel"),
        Hardware::Svm => Some("kvm_amd"),
        Hardware::Software => None,
    };
    let is_one = |name: &String| match vendor {
        // A kernel may have both built in, and use one.
        Some(vendor) => name == "kvm" || name == vendor,
        None => name == "kvm" || name.starts_with("kvm_"),
    };
    entries(directory)
        .into_iter()
        .filter(is_one)
        .map(|name| {
            let parameters = directory.join(&name).join("parameters");
            KvmModule {
                parameters: entries(&parameters)
                    .into_iter()
                    .map(|parameter| {
                        let value = first_line(parameters.join(&parameter));
                        format!("{parameter}={value}")
                    })
                    .collect(),
                name,
            }
        })
        .collect()
}

fn mitigations(directory: &Path) -> Vec<String> {
    entries(directory)
        .into_iter()
        .map(|name| {
            let text = first_line(directory.join(&name));
            format!("{name}: {text}")
        })
        .collect()
}

/// Whether this machine is a VM, by CPUID's bit for hypervisors and what the firmware says.
fn nesting(cpuinfo: &str) -> String {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    let virtual_machine =
        flags.is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    if !virtual_machine {
        return "none: this is no VM".into();
    }
    let vendor = first_line("/sys/class/dmi/id/sys_vendor");
    format!("this host is a VM (vendor: {vendor})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_parameters_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let parameters = directory.path().join("kvm_amd/parameters");
        fs::create_dir_all(&parameters).unwrap();
        fs::create_dir_all(directory.path().join("kvm_intel")).unwrap();
        fs::write(parameters.join("npt"), "Y\n").unwrap();
        assert_eq!(
            modules(directory.path(), Hardware::Svm),
            [KvmModule {
                name: "kvm_amd".into(),
                parameters: vec!["npt=Y".into()]
            }]
        );
    }
}
