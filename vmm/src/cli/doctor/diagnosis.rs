//! All that was found out, for people and for programs.

use super::boot::Boot;
use super::capabilities::{self, Capability};
use super::cost::Cost;
use super::findings::{Choice, Finding, gate_name};
use super::host_facts::HostFacts;
use kvm_ioctls::Kvm;
use paravane::layout::MAX_VCPUS;
use paravane::vm::machine::most_memory;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Version of the layout of `--json`. Fields may be added to a version; a field that goes, or
/// changes what it means, makes a new one.
const SCHEMA: u32 = 1;

/// The KVM device.
#[derive(Clone, Debug, Serialize)]
pub struct KvmFacts {
    device: String,
    api_version: i32,
    capabilities: Vec<Capability>,
    most_vcpus: usize,
    most_memory_bytes: u64,
}

impl KvmFacts {
    /// Asks it.
    pub fn gather(device: &Path, kvm: &Kvm) -> Self {
        Self {
            device: device.display().to_string(),
            api_version: kvm.get_api_version(),
            capabilities: capabilities::list(kvm),
            most_vcpus: kvm.get_max_vcpus().min(MAX_VCPUS as usize),
            most_memory_bytes: most_memory(),
        }
    }
}

/// The result of an examination.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    schema: u32,
    paravane: &'static str,
    host: HostFacts,
    /// `None` when it could not be opened.
    pub kvm: Option<KvmFacts>,
    /// Which privileges work.
    pub privileges: Vec<Finding>,
    /// Which carriers work.
    pub carriers: Vec<Finding>,
    /// What each way costs.
    pub costs: Vec<Cost>,
    /// What `auto` takes.
    pub choice: Option<Choice>,
    /// That a guest booted.
    pub boot: Option<Boot>,
    /// Why no guest can run here.
    pub problem: Option<String>,
}

impl Diagnosis {
    /// A diagnosis of which only the host is known.
    pub fn new(host: HostFacts) -> Self {
        Self {
            schema: SCHEMA,
            paravane: env!("CARGO_PKG_VERSION"),
            host,
            kvm: None,
            privileges: Vec::new(),
            carriers: Vec::new(),
            costs: Vec::new(),
            choice: None,
            boot: None,
            problem: None,
        }
    }
}

/// Nanoseconds as microseconds.
struct Microseconds(u64);

impl fmt::Display for Microseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02} us", self.0 / 1000, self.0 % 1000 / 10);
        f.pad(&text)
    }
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_host(f)?;
        self.write_findings(f)?;
        self.write_costs(f)?;
        if let Some(choice) = &self.choice {
            let mode = choice.mode;
            let gate = gate_name(mode.gate);
            writeln!(
                f,
                "\nauto takes {}, {}, {gate}",
                mode.privilege, mode.carrier
            )?;
            for sentence in &choice.why {
                writeln!(f, "  {sentence}")?;
            }
        }
        writeln!(f)?;
        if let Some(boot) = &self.boot {
            let time = boot.first_console_byte_us as f64 / 1000.0;
            writeln!(
                f,
                "The built-in guest said its first word after {time:.2} ms."
            )?;
        }
        match &self.problem {
            None => writeln!(f, "Guests can run here."),
            Some(problem) => writeln!(f, "Guests cannot run here: {problem}."),
        }
    }
}

impl Diagnosis {
    fn write_host(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        writeln!(f, "paravane     {}", self.paravane)?;
        writeln!(f, "kernel       {}", host.kernel)?;
        writeln!(f, "CPU          {}, {}", host.cpu_vendor, host.cpu_model)?;
        let (vmx, svm) = (yes_or_no(host.vmx), yes_or_no(host.svm));
        writeln!(f, "hardware     VMX: {vmx}, SVM: {svm}")?;
        let modules = match host.kvm_modules.as_slice() {
            [] => "none is loaded (KVM may be part of the kernel)".to_string(),
            modules => modules.join(", "),
        };
        writeln!(f, "KVM module   {modules}")?;
        let Some(kvm) = &self.kvm else {
            return Ok(());
        };
        writeln!(
            f,
            "KVM device   {}, API version {}",
            kvm.device, kvm.api_version
        )?;
        let mib = kvm.most_memory_bytes >> 20;
        writeln!(f, "a VM's most  {} vCPUs, {mib} MiB", kvm.most_vcpus)?;
        writeln!(f, "\ncapabilities")?;
        for capability in &kvm.capabilities {
            let Capability {
                name,
                value,
                purpose,
            } = capability;
            writeln!(f, "  {name:<24} {value:>#7x}  {purpose}")?;
        }
        Ok(())
    }

    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, findings) in [
            ("privileges", &self.privileges),
            ("carriers", &self.carriers),
        ] {
            if !findings.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for finding in findings {
                let works = yes_or_no(finding.works);
                writeln!(
                    f,
                    "  {:<8} {works:<4} {}",
                    finding.name, finding.explanation
                )?;
            }
        }
        Ok(())
    }

    fn write_costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.costs.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:<40} {:>12} {:>12} {:>12} {:>8}",
            "cost, exit and entry included", "median", "min", "p99", "samples"
        )?;
        for cost in &self.costs {
            let way = match cost.automatic {
                true => format!("{}, auto", cost.way),
                false => cost.way.clone(),
            };
            if cost.samples == 0 {
                let problem = cost.problem.as_deref().unwrap_or("nothing was measured");
                writeln!(f, "  {way:<38} not measured: {problem}")?;
                continue;
            }
            writeln!(
                f,
                "  {way:<38} {:>12} {:>12} {:>12} {:>8}",
                Microseconds(cost.median_ns),
                Microseconds(cost.min_ns),
                Microseconds(cost.p99_ns),
                cost.samples
            )?;
            if let Some(problem) = &cost.problem {
                writeln!(f, "    then it stopped: {problem}")?;
            }
        }
        Ok(())
    }
}
