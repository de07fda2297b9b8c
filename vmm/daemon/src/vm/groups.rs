//! The control groups of VMs.

use crate::cgroup::{Cgroup, CgroupError, Hierarchy, Limits};
use paravane_api::check;
use paravane_api::problem::FieldError;
use paravane_api::spec::Resources;
use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The group of the daemon itself, beside those of VMs: a group that passes controllers on has
/// no processes of its own.
const OWN: &str = "daemon";

/// Where VMs have their groups.
#[derive(Debug)]
pub struct Groups {
    hierarchy: Result<Hierarchy, String>,
    /// Why no limits are set.
    no_limits: Option<&'static str>,
    /// VMs whose groups are to go and have not gone yet.
    leaving: Arc<Mutex<BTreeSet<Uuid>>>,
}

/// How often, and with what pause, it is tried to remove a group whose process has ended: the kernel
/// takes its threads out a moment after that.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

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
            return Self {
                hierarchy: Err(why.to_string()),
                no_limits: None,
                leaving: Arc::default(),
            };
        }
        let by_service_manager = env::var_os("NOTIFY_SOCKET").is_some();
        let mut no_limits = None;
        let hierarchy = Hierarchy::find().and_then(|found| {
            no_limits = hinders_restart(found.own(), by_service_manager);
            // A daemon that is started again in the place of another may be in its group.
            let found = found.above(OWN);
            found.move_self_into(OWN)?;
            Ok(found)
        });
        if let Err(error) = &hierarchy {
            tracing::info!("VMs have no control groups: {error}");
        }
        Self {
            hierarchy: hierarchy.map_err(|error| error.to_string()),
            no_limits,
            leaving: Arc::default(),
        }
    }

    /// Where a group with these limits is made.
    fn place(&self, limits: &Limits) -> Result<&Hierarchy, String> {
        match self.no_limits {
            Some(why) if *limits != Limits::default() => Err(why.to_string()),
            _ => self.hierarchy.as_ref().map_err(Clone::clone),
        }
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
        let hierarchy = self.place(limits)?;
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
        let hierarchy = match self.place(&all) {
            Ok(hierarchy) => hierarchy,
            Err(_) if all == Limits::default() => return Ok(None),
            Err(why) => return Err(why),
        };
        // From here on it stays, and is used again if it is still there.
        lock(&self.leaving).remove(&id);
        let group = hierarchy.create(&name(id), &all).map_err(text)?;
        Ok(Some(Group {
            processes: group.processes_file().map_err(text)?,
            path: group.path().to_path_buf(),
        }))
    }

    /// Removes the group of a VM that has no process.
    pub fn remove(&self, id: Uuid) {
        let Ok(hierarchy) = &self.hierarchy else {
            return;
        };
        // Where none was made there is nothing to remove.
        let Ok(group) = hierarchy.open(&name(id)) else {
            return;
        };
        let leaving = Arc::clone(&self.leaving);
        lock(&leaving).insert(id);
        if !removed(&group, &leaving, id) {
            tokio::spawn(async move {
                for _ in 0..TRIES {
                    tokio::time::sleep(PAUSE).await;
                    if removed(&group, &leaving, id) {
                        return;
                    }
                }
                let path = group.path().display();
                tracing::warn!(vm = %id, "the control group {path} still has processes, and stays");
            });
        }
    }
}

/// Removes a group that is to go. Whether there is nothing more to be done about it.
fn removed(group: &Cgroup, leaving: &Mutex<BTreeSet<Uuid>>, id: Uuid) -> bool {
    // Held meanwhile, so that no start finds the group there that is just being removed.
    let mut leaving = lock(leaving);
    if !leaving.contains(&id) {
        return true;
    }
    match group.remove() {
        Err(CgroupError::Busy(_)) => return false,
        Err(error) => tracing::warn!(vm = %id, "the control group is not removed: {error}"),
        Ok(()) => {}
    }
    leaving.remove(&id);
    true
}

fn lock(leaving: &Mutex<BTreeSet<Uuid>>) -> MutexGuard<'_, BTreeSet<Uuid>> {
    leaving.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why limits would keep a service manager from starting the daemon again: it puts the daemon
/// into the service's own group `own`, and into one that passes controllers on no process can go.
fn hinders_restart(own: &Path, by_service_manager: bool) -> Option<&'static str> {
    let hinders = by_service_manager && !own.ends_with(OWN);
    hinders.then_some(
        "with limits the daemon could not be restarted as long as VMs run: its systemd unit needs \
         DelegateSubgroup=daemon, which systemd knows since version 254",
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_not_set_where_they_would_hinder_a_restart() {
        let service = Path::new("/sys/fs/cgroup/system.slice/paravane.service");
        assert!(hinders_restart(service, true).is_some());
        assert!(hinders_restart(&service.join(OWN), true).is_none());
        assert!(hinders_restart(service, false).is_none());
        let groups = Groups {
            hierarchy: Err("no group".to_string()),
            no_limits: Some("no restart"),
            leaving: Arc::default(),
        };
        let limited = Resources {
            cpu_weight: Some(50),
            ..Resources::default()
        };
        let errors = groups.check(&limited, "/spec");
        assert_eq!(errors[0].detail, "no restart");
        assert!(groups.make(Uuid::nil(), &limited).is_err());
        assert!(
            groups
                .make(Uuid::nil(), &Resources::default())
                .unwrap()
                .is_none()
        );
    }
}
