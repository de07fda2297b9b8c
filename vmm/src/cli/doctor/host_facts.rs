//! What there is to know about the host without its KVM.

use serde::Serialize;
use std::fs;

/// The host.
#[derive(Clone, Debug, Serialize)]
pub struct HostFacts {
    /// Version of the kernel.
    pub kernel: String,
    /// Vendor of the CPU.
    pub cpu_vendor: String,
    /// Model of the CPU.
    pub cpu_model: String,
    /// Whether the CPU has VMX.
    pub vmx: bool,
    /// Whether the CPU has SVM.
    pub svm: bool,
    /// The modules that can be behind the KVM device.
    pub kvm_modules: Vec<String>,
}

impl HostFacts {
    /// Looks them up.
    pub fn gather() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpu.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(": "));
            value.map_or("unknown", |(_, value)| value)
        };
        let has = |flag| field("flags").split(' ').any(|name| name == flag);
        Self {
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            cpu_vendor: field("vendor_id").to_string(),
            cpu_model: field("model name").to_string(),
            vmx: has("vmx"),
            svm: has("svm"),
            kvm_modules: kvm_modules(),
        }
    }
}

/// The modules of /sys that are named after KVM, but for the part that all have in common.
fn kvm_modules() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/module") else {
        return Vec::new();
    };
    let mut modules: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("kvm_"))
        .collect();
    modules.sort();
    modules
}
