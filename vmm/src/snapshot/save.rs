//! Saving a VM.

use super::files::SnapshotFiles;
use super::host::SavedHost;
use super::state::State;
use super::{SaveError, file, memory};
use crate::time::saved::SavedClock;
use crate::vm::VmControl;
use crate::vm::machine::Sizes;
use std::fs;
use std::path::{Path, PathBuf};

/// Saves a VM that runs, or is paused, into files that are open for writing. Meanwhile it is
/// paused; afterwards it goes on if it did before.
///
/// The files hold a snapshot when this has succeeded, and are of no use otherwise.
///
/// # Errors
///
/// The VM cannot be paused or saved, or the files cannot be written.
pub fn save(control: &VmControl, files: &SnapshotFiles) -> Result<(), SaveError> {
    let was_paused = control.is_paused();
    control.pause()?;
    let saved = save_paused(control, files);
    if !was_paused {
        control.resume();
    }
    saved
}

/// As [`save`], into a new folder, which is there when all of the snapshot is.
///
/// # Errors
///
/// As [`save`]; or there is such a folder.
pub fn save_to(control: &VmControl, folder: &Path) -> Result<(), SaveError> {
    let failed = |source| SaveError::Folder {
        path: folder.to_path_buf(),
        source,
    };
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = Partial(folder.with_file_name(name));
    fs::create_dir(&partial.0).map_err(failed)?;
    let files = SnapshotFiles::create(&partial.0).map_err(failed)?;
    save(control, &files)?;
    // Onto a folder that has something in it, this fails.
    fs::rename(&partial.0, folder).map_err(failed)?;
    Ok(())
}

/// A folder that is removed with what is in it, if it is still there.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn save_paused(control: &VmControl, files: &SnapshotFiles) -> Result<(), SaveError> {
    let services = &control.services;
    let spaces = services.spaces.save().map_err(|_| SaveError::Grants)?;
    let devices = services
        .devices
        .save()
        .map_err(|(id, why)| SaveError::Device { id, why })?;
    let vcpus = services.vcpus.save()?;
    let mut id = [0; 16];
    crate::entropy::fill(&mut id).map_err(|source| SaveError::Write {
        file: "state",
        source: std::io::Error::other(source),
    })?;
    let machine = &control.machine;
    let state = State {
        id,
        sizes: Sizes {
            ram_size: services.ram.size(),
            vcpus: services.vcpus.count(),
        },
        mode: services.mode,
        features: services.features.0,
        monitor: crate::monitor::code::checksum(services.mode),
        seat: services.grants.seat(),
        restored: control.restored,
        places: machine.places.clone(),
        sealed: services.ram.sealed(),
        host: SavedHost::this(machine.hardware, machine.hypercall_exits),
        clock: SavedClock {
            now: services.clock.now(),
            tsc_frequency: control.tsc_frequency,
        },
        vcpus,
        ports: services.events.save(),
        timers: services.timers.save(),
        spaces,
        devices,
    };
    memory::write(&files.memory, &id, &services.ram, &machine.private)?;
    file::write(&files.state, &state)
}
