//! What a VM's process is to run.

use super::Context;
use crate::config::Confinement as Confined;
use crate::store::VmRecord;
use paravane_control::plan::{Confinement, ProcessPlan};

impl Context {
    /// The plan of the present start of a VM.
    ///
    /// # Errors
    ///
    /// What cannot be had, in a sentence.
    pub(super) fn plan(&self, record: &VmRecord) -> Result<ProcessPlan, String> {
        let runtime = &self.runtime;
        Ok(ProcessPlan {
            id: record.id.to_string(),
            name: record.name.clone(),
            start: record.starts,
            spec: self.images.with_files(record.spec.clone())?,
            kvm: runtime.kvm.clone(),
            restore: None,
            confinement: confinement(&runtime.confinement, record.slot),
            log: runtime.log,
        })
    }
}

fn confinement(config: &Confined, slot: u32) -> Confinement {
    let root = rustix::process::geteuid().is_root();
    let user = config.uid_base.checked_add(slot);
    Confinement {
        enabled: config.enabled,
        strict: config.strict,
        user: user
            .filter(|_| root && config.enabled && slot < config.uid_count)
            .map(|id| (id, id)),
        cgroup: None,
    }
}
