//! Running an emulator so that nothing of it is left behind.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::verdict;

/// A process in a process group of its own. The group is killed when this value is dropped, and
/// the process also when the thread that spawned it ends, however that comes about.
pub(super) struct ProcessGroup {
    leader: Child,
    output: PathBuf,
}

impl ProcessGroup {
    /// Starts `command` with no input, and with its output in a new file at `output`.
    pub(super) fn spawn(command: &mut Command, output: &Path) -> Result<ProcessGroup, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = File::create(output)
            .map_err(|error| format!("cannot create {}: {error}", output.display()))?;
        let log_too = log
            .try_clone()
            .map_err(|error| format!("cannot duplicate a file descriptor: {error}"))?;
        command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            .process_group(0);
        die_with_parent(command);
        let leader = command
            .spawn()
            .map_err(|error| format!("cannot run {name}: {error}"))?;
        Ok(ProcessGroup {
            leader,
            output: output.to_owned(),
        })
    }

    /// Whether the process has ended. Others of its group may not have.
    pub(super) fn has_ended(&self) -> Result<bool, String> {
        has_ended(&self.leader).map_err(|error| format!("cannot wait for the emulator: {error}"))
    }

    /// The last `count` lines of what the process has written.
    pub(super) fn output_tail(&self, count: usize) -> String {
        let written = fs::read(&self.output).unwrap_or_default();
        verdict::last_lines(&String::from_utf8_lossy(&written), count)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        kill_group(&self.leader);
        // Collects the exit status, so that no zombie stays. There is nothing to do about an error.
        let _ = self.leader.wait();
    }
}

/// Whether `child` has ended. Its exit status is left to be waited for, so that its number, which
/// is its group's too, remains its own.
#[expect(unsafe_code, reason = "the standard library can only wait for good")]
fn has_ended(child: &Child) -> io::Result<bool> {
    // SAFETY: siginfo_t is a plain C structure, for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid writes to `info` and to no other memory.
    if unsafe { libc::waitid(libc::P_PID, child.id(), &mut info, options) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: after a successful waitid the field is valid: the child's number, or 0 if it runs.
    Ok(unsafe { info.si_pid() } != 0)
}

/// Kills every process in the group that `leader` was made the leader of. `leader` must not have
/// been waited for.
#[expect(
    unsafe_code,
    reason = "the standard library can kill a process, but not a group"
)]
fn kill_group(leader: &Child) {
    let group = leader.id().cast_signed();
    // SAFETY: kill touches no memory of this process. The group is the leader's own, by
    // process_group(0), and nobody else's: a number is not given away before it was waited for.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Has the kernel kill what `command` starts when the thread that starts it ends: Ctrl-C at the
/// terminal does not reach another process group.
#[expect(
    unsafe_code,
    reason = "the standard library cannot set the parent-death signal"
)]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let set_signal = move || {
        // SAFETY: prctl with PR_SET_PDEATHSIG takes one integer and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have ended before the signal was set, and then none will come.
        if std::os::unix::process::parent_id() != parent {
            return Err(io::Error::from_raw_os_error(libc::ECHILD));
        }
        Ok(())
    };
    // SAFETY: between fork and exec, set_signal makes two system calls and constructs errors from
    // integers: it allocates nothing, takes no lock, and so is async-signal-safe.
    unsafe { command.pre_exec(set_signal) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_group_takes_its_grandchildren_along() {
        let directory = tempfile::tempdir().expect("a directory");
        let output = directory.path().join("output");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]);
        let group = ProcessGroup::spawn(&mut command, &output).expect("sh starts");
        let grandchild = loop {
            let said = group.output_tail(1);
            if let Ok(pid) = said.trim().parse::<u32>() {
                break pid;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(!group.has_ended().expect("a status"));
        drop(group);
        // The grandchild is init's to collect now: it may be a zombie for a moment, but not alive.
        let alive = || {
            fs::read_to_string(format!("/proc/{grandchild}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        for _ in 0..400 {
            if !alive() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("process {grandchild} outlived its group");
    }
}
