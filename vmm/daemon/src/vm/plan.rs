//! What a VM's process is to run.

use super::Context;
use crate::config::Confinement as Confined;
use crate::store::VmRecord;
use paravane_api::VmSpec;
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
            spec: self.with_files(record.spec.clone())?,
            kvm: runtime.kvm.clone(),
            restore: None,
            confinement: confinement(&runtime.confinement, record.slot),
            log: runtime.log,
        })
    }

    /// Puts the paths of files in the place of digests.
    fn with_files(&self, mut spec: VmSpec) -> Result<VmSpec, String> {
        let stored = std::iter::once(&mut spec.image.0)
            .chain(&mut spec.initrd)
            .chain(spec.devices.disks.iter_mut().map(|disk| &mut disk.source));
        for name in stored {
            let path = self.images.file(name)?;
            *name = path
                .into_os_string()
                .into_string()
                .map_err(|path| format!("{} is not UTF-8", path.display()))?;
        }
        Ok(spec)
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
