//! What a VM's process is to run.

use super::Context;
use crate::config::Confinement as Confined;
use crate::store::VmRecord;
use paravane_control::plan::{Confinement, ProcessPlan};
use std::path::{Path, PathBuf};

impl Context {
    /// The plan of the present start of a VM.
    ///
    /// # Errors
    ///
    /// What cannot be had, in a sentence.
    pub(super) fn plan(
        &self,
        record: &VmRecord,
        cgroup: Option<&Path>,
    ) -> Result<ProcessPlan, String> {
        let runtime = &self.runtime;
        Ok(ProcessPlan {
            id: record.id.to_string(),
            name: record.name.clone(),
            start: record.starts,
            spec: self.images.with_files(record.spec.clone())?,
            kvm: runtime.kvm.clone(),
            restore: self.restore(record)?,
            confinement: Confinement {
                cgroup: cgroup.map(|path| path.display().to_string()),
                ..confinement(&runtime.confinement, record.slot)
            },
            nice: runtime.limits.nice,
            log: runtime.log,
        })
    }

    /// The snapshot from which a VM goes on. Only its first start does: what it does after that
    /// is not in the snapshot.
    fn restore(&self, record: &VmRecord) -> Result<Option<PathBuf>, String> {
        match &record.from_snapshot {
            Some(id) if record.starts == 1 => {
                let snapshot = self.snapshots.find(id).map_err(|error| error.to_string())?;
                Ok(Some(self.snapshots.path(&snapshot.id)))
            }
            _ => Ok(None),
        }
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
