//! The control groups of VMs.

use crate::cgroup::{Cgroup, CgroupError, Hierarchy, Limits};
use paravane_api::check;
use paravane_api::problem::FieldError;
use paravane_api::spec::Resources;
use std::fs::File;
use std::path::PathBuf;
use uuid::Uuid;

/// The group of the daemon itself, beside those of VMs: a group that passes controllers on has
/// no processes of its own.
const OWN: &str = "daemon";

/// Where VMs have their groups.
#[derive(Debug)]
pub struct Groups(Result<Hierarchy, String>);

/// The group of a VM that is being started.
#[derive(Debug)]
pub struct Group {
    /// Where it is.
    pub path: PathBuf,
    /// Where the process writes 0 to be in it.
    pub processes: File,
}

impl Groups {
    /// Groups below that of this process, which moves into one of its own. Where that cannot be,
    /// VMs run without groups as long as nobody asks for limits.
    pub fn new(wanted: bool) -> Self {
        if !wanted {
            let why = "confinement.cgroups is false in the daemon's configuration";
            return Self(Err(why.to_string()));
        }
        let found = Hierarchy::find().and_then(|found| {
            // A daemon that is started again in the place of another may be in its group.
            let found = found.above(OWN);
            found.move_self_into(OWN)?;
            Ok(found)
        });
        if let Err(error) = &found {
            tracing::info!("VMs have no control groups: {error}");
        }
        Self(found.map_err(|error| error.to_string()))
    }

    /// Which of the limits that are asked for cannot be had. `at` is where they are.
    pub fn check(&self, asked: &Resources, at: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (field, limits) in each(asked) {
            if let Err(detail) = self.try_out(&limits) {
                errors.push(FieldError {
                    field: format!("{at}/{field}"),
                    detail,
                });
            }
        }
        errors
    }

    fn try_out(&self, limits: &Limits) -> Result<(), String> {
        let hierarchy = self.0.as_ref().map_err(Clone::clone)?;
        let name = format!("try-{}", Uuid::now_v7());
        let group = hierarchy.create(&name, limits).map_err(text)?;
        group.remove().map_err(text)
    }

    /// Makes the group of a VM. None where there are no groups and no limits are asked for.
    ///
    /// # Errors
    ///
    /// A limit cannot be had.
    pub fn make(&self, id: Uuid, asked: &Resources) -> Result<Option<Group>, String> {
        let mut all = Limits::default();
        for (_, limits) in each(asked) {
            all.cpu_weight = all.cpu_weight.or(limits.cpu_weight);
            all.cpu_quota_percent = all.cpu_quota_percent.or(limits.cpu_quota_percent);
            all.cpus = all.cpus.or(limits.cpus);
            all.memory = all.memory.or(limits.memory);
        }
        let hierarchy = match &self.0 {
            Ok(hierarchy) => hierarchy,
            Err(_) if all == Limits::default() => return Ok(None),
            Err(why) => return Err(why.clone()),
        };
        let group = hierarchy.create(&name(id), &all).map_err(text)?;
        Ok(Some(Group {
            processes: group.processes_file().map_err(text)?,
            path: group.path().to_path_buf(),
        }))
    }

    /// Removes the group of a VM that has no process.
    pub fn remove(&self, id: Uuid) {
        let Ok(hierarchy) = &self.0 else { return };
        let removed = hierarchy
            .open(&name(id))
            .and_then(|group: Cgroup| group.remove());
        // None was made, or its process is not waited for yet; the next start uses it again.
        if let Err(error @ CgroupError::NotDelegated(_)) = removed {
            tracing::warn!(vm = %id, "the control group is not removed: {error}");
        }
    }
}

fn name(id: Uuid) -> String {
    format!("vm-{id}")
}

fn text(error: CgroupError) -> String {
    error.to_string()
}

/// What is asked for, each by itself, and the field that asks for it.
fn each(asked: &Resources) -> Vec<(&'static str, Limits)> {
    let none = Limits::default;
    let mut all = Vec::new();
    if let Some(weight) = asked.cpu_weight {
        let cpu_weight = Some(weight);
        all.push((
            "cpu_weight",
            Limits {
                cpu_weight,
                ..none()
            },
        ));
    }
    if let Some(quota) = asked.cpu_quota {
        let cpu_quota_percent = Some(quota);
        all.push((
            "cpu_quota",
            Limits {
                cpu_quota_percent,
                ..none()
            },
        ));
    }
    if let Some(cpus) = asked.cpus.as_deref().and_then(check::processors) {
        let cpus = Some(cpus);
        all.push(("cpus", Limits { cpus, ..none() }));
    }
    if let Some(overhead) = asked.memory_overhead {
        let memory = Some(asked.memory.saturating_add(overhead));
        all.push(("memory_overhead", Limits { memory, ..none() }));
    }
    all
}
