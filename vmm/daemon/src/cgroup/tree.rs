//! Groups: finding one's own, making those below, putting processes in and reading what they used.

use super::error::CgroupError;
use super::limits::Limits;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of a host that say where cgroups are. Tests have others.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// The group of this process.
    own: PathBuf,
    /// Controllers that cgroup v1 has.
    v1_controllers: BTreeSet<String>,
}

/// A group that this process has made.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

/// What the processes of a group have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: Duration,
    /// CPU time that the quota has held back; 0 where there is none.
    pub throttled: Duration,
    /// Memory in bytes, page cache included; `None` without the controller.
    pub memory: Option<u64>,
}

impl Hierarchy {
    /// Finds the group of this process.
    ///
    /// # Errors
    ///
    /// There is no cgroup v2.
    pub fn find() -> Result<Self, CgroupError> {
        Self::find_in(Path::new("/proc/self"))
    }

    /// As [`Hierarchy::find`], by the files `mountinfo` and `cgroup` of a process's folder in /proc.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn find_in(process: &Path) -> Result<Self, CgroupError> {
        let read = |name: &str| {
            let path = process.join(name);
            fs::read_to_string(&path).map_err(|source| CgroupError::File { path, source })
        };
        let (mounts, groups) = (read("mountinfo")?, read("cgroup")?);
        let (root, mount) = mounts
            .lines()
            .find_map(cgroup2_mount)
            .ok_or(CgroupError::NotMounted)?;
        let no_group = || CgroupError::NoGroup(process.join("cgroup"));
        let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
        // The mount may show a part of the tree only.
        let own = Path::new(own.ok_or_else(no_group)?);
        let below = own.strip_prefix(&root).map_err(|_| no_group())?;
        let v1_controllers = groups
            .lines()
            .filter_map(|line| line.split(':').nth(1))
            .flat_map(|names| names.split(','))
            .map(str::to_string)
            .collect();
        Ok(Self {
            own: mount.join(below),
            v1_controllers,
        })
    }

    /// The groups above, if the group of this process has this name: another process of the same
    /// manager has made it.
    pub fn above(mut self, name: &str) -> Self {
        if self.own.file_name().is_some_and(|own| own == name) {
            self.own.pop();
        }
        self
    }

    /// The group of this process when this was made.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Moves this process into a group of this name below its own, so that its own can pass
    /// controllers on.
    ///
    /// # Errors
    ///
    /// It is not delegated.
    pub fn move_self_into(&self, name: &str) -> Result<(), CgroupError> {
        let path = self.make(name)?;
        // 0 is who writes it.
        write(&path.join("cgroup.procs"), "0")
    }

    /// Makes a group for a VM, with limits. One that is there from before is used again.
    ///
    /// # Errors
    ///
    /// A controller is missing, or it is not delegated, or a limit is out of range; there is no new
    /// group then.
    pub fn create(&self, name: &str, limits: &Limits) -> Result<Cgroup, CgroupError> {
        let new = !self.own.join(check_name(name)?).exists();
        let path = self.make(name)?;
        let group = Cgroup { path };
        if let Err(error) = self.limit(&group, limits) {
            if new {
                // It has no process yet.
                let _ = fs::remove_dir(&group.path);
            }
            return Err(error);
        }
        Ok(group)
    }

    /// Limits what a group may use.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create). Some limits may be set then.
    pub fn limit(&self, group: &Cgroup, limits: &Limits) -> Result<(), CgroupError> {
        let settings = limits.settings()?;
        let controllers: BTreeSet<_> = settings.iter().map(|one| one.controller).collect();
        for controller in controllers {
            self.pass_on(controller)?;
        }
        for setting in &settings {
            write(&group.path.join(setting.file), &setting.value)?;
        }
        Ok(())
    }

    /// A group that was made before, by an earlier process for example.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open(&self, name: &str) -> Result<Cgroup, CgroupError> {
        let path = self.own.join(check_name(name)?);
        match fs::metadata(path.join("cgroup.procs")) {
            Ok(_) => Ok(Cgroup { path }),
            Err(source) => Err(CgroupError::File { path, source }),
        }
    }

    /// The groups below, and how long ago each was made or has got a group below it.
    pub fn names(&self) -> Vec<(String, Duration)> {
        let entries = fs::read_dir(&self.own).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
                let age = metadata.modified().ok()?.elapsed().unwrap_or_default();
                Some((entry.file_name().into_string().ok()?, age))
            })
            .collect()
    }

    fn make(&self, name: &str) -> Result<PathBuf, CgroupError> {
        let path = self.own.join(check_name(name)?);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(&path, error)),
            _ => Ok(path),
        }
    }

    /// Has the groups below have a controller.
    fn pass_on(&self, controller: &'static str) -> Result<(), CgroupError> {
        let has = |file: &str| {
            let path = self.own.join(file);
            let text = fs::read_to_string(&path);
            text.map(|text| text.split_whitespace().any(|word| word == controller))
                .map_err(|error| failed(&path, error))
        };
        if has("cgroup.subtree_control")? {
            return Ok(());
        }
        if !has("cgroup.controllers")? {
            return Err(CgroupError::Controller {
                controller,
                group: self.own.clone(),
                bound_to_v1: self.v1_controllers.contains(controller),
            });
        }
        let path = self.own.join("cgroup.subtree_control");
        match fs::write(&path, format!("+{controller}")) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                Err(CgroupError::Busy(self.own.clone()))
            }
            written => written.map_err(|error| failed(&path, error)),
        }
    }
}

impl Cgroup {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub fn name(&self) -> &str {
        // It was made, or opened, by one.
        self.path
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or_default()
    }

    /// The group as a descriptor, for clone3(2) with CLONE_INTO_CGROUP: a process that is in it from
    /// its first moment.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn descriptor(&self) -> Result<OwnedFd, CgroupError> {
        let file = fs::File::open(&self.path);
        file.map(OwnedFd::from)
            .map_err(|error| failed(&self.path, error))
    }

    /// The file to which a process that is about to execve(2) writes 0 to be in the group. It is opened
    /// before fork(2): a child may not allocate.
    ///
    /// # Errors
    ///
    /// It is gone, or not delegated.
    pub fn processes_file(&self) -> Result<fs::File, CgroupError> {
        let path = self.path.join("cgroup.procs");
        let file = fs::File::options().write(true).open(&path);
        file.map_err(|error| failed(&path, error))
    }

    /// Moves a process into the group, with what it has used of memory so far left where it was.
    ///
    /// # Errors
    ///
    /// There is no such process, or it is not this user's.
    pub fn add(&self, process: u32) -> Result<(), CgroupError> {
        write(&self.path.join("cgroup.procs"), &process.to_string())
    }

    /// What its processes have used.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        let path = self.path.join("cpu.stat");
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
        let microseconds = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.strip_prefix(' ')?.parse().ok());
            number.map(Duration::from_micros)
        };
        let Some(cpu) = microseconds("usage_usec") else {
            return Err(CgroupError::Form { path, text });
        };
        Ok(Usage {
            cpu,
            throttled: microseconds("throttled_usec").unwrap_or_default(),
            memory: self.memory()?,
        })
    }

    fn memory(&self) -> Result<Option<u64>, CgroupError> {
        let path = self.path.join("memory.current");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error)),
        };
        match text.trim().parse() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(CgroupError::Form { path, text }),
        }
    }

    /// Kills all its processes, by SIGKILL. They end a moment later.
    ///
    /// # Errors
    ///
    /// The kernel has no cgroup.kill before Linux 5.14.
    pub fn kill(&self) -> Result<(), CgroupError> {
        write(&self.path.join("cgroup.kill"), "1")
    }

    /// Removes it. Its processes have ended.
    ///
    /// # Errors
    ///
    /// It still has processes: [`CgroupError::Busy`].
    pub fn remove(&self) -> Result<(), CgroupError> {
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                Err(CgroupError::Busy(self.path.clone()))
            }
            removed => removed.map_err(|error| failed(&self.path, error)),
        }
    }
}

/// The root of what is mounted, and where, if this line of mountinfo is about cgroup v2 (proc(5)).
fn cgroup2_mount(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    if filesystem.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut words = mount.split(' ').skip(3);
    Some((unescape(words.next()?), unescape(words.next()?)))
}

/// Blanks and a few others are three octal digits after a backslash.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let code = part.get(..3).map(|digits| u8::from_str_radix(digits, 8));
        match code {
            Some(Ok(code)) => {
                path.push(code.into());
                path.push_str(part.get(3..).unwrap_or_default());
            }
            _ => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    path.into()
}

fn check_name(name: &str) -> Result<&str, CgroupError> {
    let is_possible = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = (1..=255).contains(&name.len()) && name.bytes().all(is_possible);
    // Names with a dot first are folders' own, or the kernel's files.
    if !is_name || name.starts_with('.') {
        return Err(CgroupError::Name(name.to_string()));
    }
    Ok(name)
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    // It is never made: a file that is not there is a controller's that is missing.
    let file = fs::File::options().write(true).open(path);
    let written = file.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|error| failed(path, error))
}

fn failed(path: &Path, source: io::Error) -> CgroupError {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            CgroupError::NotDelegated(path)
        }
        _ => CgroupError::File { path, source },
    }
}

#[cfg(test)]
mod tests;
