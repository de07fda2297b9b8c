//! The control groups of VMs.

use crate::cgroup::{Cgroup, CgroupError, Hierarchy, Limits};
use paravane_api::check;
use paravane_api::problem::FieldError;
use paravane_api::spec::Resources;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The group of the daemon itself, beside those of VMs: a group that passes controllers on has
/// no processes of its own.
const OWN: &str = "daemon";

/// Where VMs have their groups.
///
/// Each start has one of its own, with a name that no other has: that of a process that waits for a VM is
/// made before it is known for which. Which is whose is in the VMs' plans.
#[derive(Debug)]
pub struct Groups {
    hierarchy: Result<Hierarchy, String>,
    /// Why no limits are set.
    no_limits: Option<&'static str>,
    /// The groups of VMs that have one.
    of_vms: Mutex<BTreeMap<Uuid, Cgroup>>,
}

/// How often, and with what pause, it is tried to remove a group whose process has ended: the kernel
/// takes its threads out a moment after that.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// How old a group without processes is that is taken for one that somebody has left: a new one may
/// be about to get its process.
pub const LEFT: Duration = Duration::from_secs(10);

/// How the name of a VM's group begins.
const PREFIX: &str = "vm-";

/// A group that has no VM, and is to be somebody's.
#[derive(Debug)]
pub struct Group(Cgroup);

impl Groups {
    /// Groups below that of this process, which moves into one of its own. Where that cannot be,
    /// VMs run without groups as long as nobody asks for limits.
    pub fn new(wanted: bool) -> Self {
        if !wanted {
            let why = "confinement.cgroups is false in the daemon's configuration";
            return Self {
                hierarchy: Err(why.to_string()),
                no_limits: None,
                of_vms: Mutex::default(),
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
            of_vms: Mutex::default(),
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

    /// Makes a group, without limits, before it is known for which VM. None where there are none.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn make_ahead(&self) -> Result<Option<Group>, CgroupError> {
        let Ok(hierarchy) = &self.hierarchy else {
            return Ok(None);
        };
        let group = hierarchy.create(&new_name(), &Limits::default())?;
        Ok(Some(Group(group)))
    }

    /// Gives a VM that is being started its group: the one that was made ahead, or a new one. Says
    /// where it is; nowhere if there are no groups and no limits are asked for.
    ///
    /// # Errors
    ///
    /// A limit cannot be had.
    pub fn give(
        &self,
        id: Uuid,
        asked: &Resources,
        ahead: Option<Group>,
    ) -> Result<Option<PathBuf>, String> {
        let mut all = Limits::default();
        for (_, limits) in each(asked) {
            all.cpu_weight = all.cpu_weight.or(limits.cpu_weight);
            all.cpu_quota_percent = all.cpu_quota_percent.or(limits.cpu_quota_percent);
            all.cpus = all.cpus.or(limits.cpus);
            all.memory = all.memory.or(limits.memory);
        }
        let place = self.place(&all);
        let (group, limited) = match (ahead, place) {
            (Some(Group(group)), place) => {
                let limited = place.and_then(|place| place.limit(&group, &all).map_err(text));
                (group, limited)
            }
            (None, Ok(place)) => (place.create(&new_name(), &all).map_err(text)?, Ok(())),
            (None, Err(_)) if all == Limits::default() => return Ok(None),
            (None, Err(why)) => return Err(why),
        };
        let path = group.path().to_path_buf();
        // Whatever comes of it, it is the VM's now, and goes with it.
        self.of_vms().insert(id, group);
        limited.map(|()| Some(path))
    }

    /// A daemon before this one gave a VM this group.
    pub fn know(&self, id: Uuid, path: &Path) {
        let Ok(hierarchy) = &self.hierarchy else {
            return;
        };
        // A VM's process may have written that.
        let name = path.file_name().and_then(OsStr::to_str);
        let name = name.filter(|name| name.starts_with(PREFIX));
        if let Some(group) = name.and_then(|name| hierarchy.open(name).ok())
            && group.path() == path
        {
            self.of_vms().insert(id, group);
        }
    }

    /// The file by which a process gets into the group of a VM, which is opened before fork(2).
    /// Nothing where it has no group.
    ///
    /// # Errors
    ///
    /// The group is gone.
    pub fn entrance(&self, id: Uuid) -> Result<Option<File>, String> {
        let of_vms = self.of_vms();
        let entrance = of_vms.get(&id).map(Cgroup::processes_file);
        entrance.transpose().map_err(text)
    }

    /// Removes the group of a VM that has no process.
    pub fn remove(&self, id: Uuid) {
        let Some(group) = self.of_vms().remove(&id) else {
            return;
        };
        if !removed(&group) {
            tokio::spawn(async move {
                for _ in 0..TRIES {
                    tokio::time::sleep(PAUSE).await;
                    if removed(&group) {
                        return;
                    }
                }
                let path = group.path().display();
                tracing::warn!(vm = %id, "the control group {path} still has processes, and stays");
            });
        }
    }

    /// Removes groups that have no process and no VM: those of a daemon that was killed.
    pub fn remove_left(&self) {
        let Ok(hierarchy) = &self.hierarchy else {
            return;
        };
        let ours: BTreeSet<_> = self
            .of_vms()
            .values()
            .map(|group| group.name().to_string())
            .collect();
        for (name, age) in hierarchy.names() {
            if name.starts_with(PREFIX)
                && age >= LEFT
                && !ours.contains(&name)
                && let Ok(group) = hierarchy.open(&name)
            {
                // It fails where there are processes.
                let _ = group.remove();
            }
        }
    }

    fn of_vms(&self) -> MutexGuard<'_, BTreeMap<Uuid, Cgroup>> {
        self.of_vms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    /// Puts a process into it.
    ///
    /// # Errors
    ///
    /// There is no such process.
    pub fn add(&self, process: u32) -> Result<(), CgroupError> {
        self.0.add(process)
    }

    /// Removes it, as nobody needs it. Its process was waited for.
    pub fn discard(self) {
        for _ in 0..TRIES {
            if removed(&self.0) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Removes a group that is to go. Whether there is nothing more to be done about it.
fn removed(group: &Cgroup) -> bool {
    match group.remove() {
        Err(CgroupError::Busy(_)) => false,
        Err(error) => {
            tracing::warn!("a control group is not removed: {error}");
            true
        }
        Ok(()) => true,
    }
}

fn new_name() -> String {
    format!("{PREFIX}{}", Uuid::now_v7())
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
            of_vms: Mutex::default(),
        };
        let limited = Resources {
            cpu_weight: Some(50),
            ..Resources::default()
        };
        let errors = groups.check(&limited, "/spec");
        assert_eq!(errors[0].detail, "no restart");
        let give = |asked: &Resources| groups.give(Uuid::nil(), asked, None);
        assert!(give(&limited).is_err());
        assert!(give(&Resources::default()).unwrap().is_none());
    }
}
