//! A VM's process is started.

#![allow(unsafe_code)]

use super::Context;
use super::groups::Group;
use super::private::Private;
use super::process::Process;
use super::spares::Spare;
use crate::store::VmRecord;
use paravane_control::folder::Folder;
use paravane_control::plan::ProcessPlan;
use rustix::io::{FdFlags, fcntl_setfd};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Makes the VM's folder, writes its plan and has a process run it: one that waits for a VM, or else
/// a new one. The process has its own session, so that signals for the daemon's terminal do not
/// reach it, and no descriptor of the daemon's but the listening control socket: all others are
/// closed by exec.
///
/// # Errors
///
/// What could not be done, in a sentence.
pub fn spawn(context: &Context, record: &VmRecord) -> Result<Process, String> {
    let folder = context.folder(record.id);
    loop {
        let mut spare = context.spares.take();
        let ahead = spare.as_mut().and_then(Spare::take_group);
        let prepared = prepare(context, record, &folder, ahead);
        let listener = match prepared {
            Ok(listener) => listener,
            Err(error) => {
                if let Some(spare) = spare {
                    spare.end();
                }
                return Err(error);
            }
        };
        let Some(spare) = spare else {
            let program = &context.runtime.program;
            let processes = context.groups.entrance(record.id)?;
            return start(program, &folder, &listener, processes, &context.private);
        };
        match spare.hand_over(&folder, &listener) {
            Ok(child) => return watched(child),
            // Somebody may have killed it. Its group goes with it.
            Err(error) => {
                tracing::warn!("a spare process takes no VM: {error}");
                context.groups.remove(record.id);
            }
        }
    }
}

/// Gives the VM its group, and makes its folder, with its plan and its control socket.
fn prepare(
    context: &Context,
    record: &VmRecord,
    folder: &Folder,
    ahead: Option<Group>,
) -> Result<UnixListener, String> {
    let resources = &record.spec.resources;
    let group = context.groups.give(record.id, resources, ahead)?;
    let plan = context.plan(record, group.as_deref())?;
    prepare_folder(folder, &plan)
}

fn watched(child: Child) -> Result<Process, String> {
    Process::of_child(child).map_err(|error| format!("the VM's process cannot be watched: {error}"))
}

/// Makes the VM's folder, with its plan and its control socket.
fn prepare_folder(folder: &Folder, plan: &ProcessPlan) -> Result<UnixListener, String> {
    let failed = |what: &str, path: &Path| {
        let (what, path) = (what.to_string(), path.display().to_string());
        move |error: io::Error| format!("{path} cannot be {what}: {error}")
    };
    make_folder(folder.path()).map_err(failed("made", folder.path()))?;
    remove(&folder.exit()).map_err(failed("removed", &folder.exit()))?;
    write_plan(folder, plan).map_err(failed("written", &folder.plan()))?;
    let control = folder.control();
    remove(&control).map_err(failed("removed", &control))?;
    let listener = UnixListener::bind(&control).map_err(failed("listened at", &control))?;
    fs::set_permissions(&control, fs::Permissions::from_mode(0o600))
        .map_err(failed("made private", &control))?;
    if let Some((uid, gid)) = plan.confinement.user {
        for path in [folder.path(), &folder.plan(), &control] {
            chown(path, Some(uid), Some(gid)).map_err(failed("given to its user", path))?;
        }
    }
    Ok(listener)
}

/// The command that starts a process for a folder, to which nothing of the daemon's goes.
///
/// # Errors
///
/// There is no program.
pub fn command(program: &[OsString], folder: &Path) -> io::Result<Command> {
    let Some((first, arguments)) = program.split_first() else {
        return Err(io::Error::other("no program for VMs is set"));
    };
    let mut command = Command::new(first);
    command
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for variable in [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
    ] {
        command.env_remove(variable);
    }
    Ok(command)
}

/// Starts a process that runs the VM.
fn start(
    program: &[OsString],
    folder: &Folder,
    listener: &UnixListener,
    processes: Option<File>,
    private: &Private,
) -> Result<Process, String> {
    let mut command = command(program, folder.path()).map_err(|error| error.to_string())?;
    let fd = listener.as_raw_fd();
    command.arg("--control-fd").arg(fd.to_string());
    let private = private.clone();
    // SAFETY: between fork and exec only system calls are made, which need no lock and no memory.
    // The listener is open until the spawn has returned.
    unsafe {
        command.pre_exec(move || {
            private.close();
            rustix::process::setsid()?;
            let borrowed = BorrowedFd::borrow_raw(fd);
            fcntl_setfd(borrowed, FdFlags::empty())?;
            if let Some(processes) = &processes {
                // 0 is who writes it.
                rustix::io::write(processes, b"0")?;
            }
            Ok(())
        });
    }
    let child = command.spawn().map_err(|error| {
        let program = Path::new(command.get_program()).display();
        format!("{program} cannot be started: {error}")
    })?;
    watched(child)
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Removes what an earlier process left.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the plan. It is written anew by each start, so it need not survive the host.
fn write_plan(folder: &Folder, plan: &ProcessPlan) -> io::Result<()> {
    let path = folder.plan();
    // The last one may belong to the user of the VM.
    remove(&path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(&serde_json::to_vec(plan)?)
}
