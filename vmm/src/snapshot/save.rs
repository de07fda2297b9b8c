//! Saving a VM.

use super::files::SnapshotFiles;
use super::host::SavedHost;
use super::state::State;
use super::{SaveError, file, memory};
use crate::time::saved::SavedClock;
use crate::vm::VmControl;
use crate::vm::machine::Sizes;
use std::fs;
use std::path::Path;

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
    let resumes = control.resumes();
    control.pause()?;
    let saved = save_paused(control, files);
    // Somebody else may have had it go on meanwhile, or has ended it.
    let stayed = control.is_paused() && control.resumes() == resumes;
    let stayed = stayed && !control.services.vcpus.stopping();
    if !was_paused {
        control.resume();
    }
    match stayed {
        true => saved,
        false => saved.and(Err(SaveError::Disturbed)),
    }
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
    let partial = folder.with_file_name(name);
    save_into(control, &partial)?;
    // Onto a folder that has something in it, this fails.
    let renamed = fs::rename(&partial, folder).map_err(failed);
    if renamed.is_err() {
        remove(&partial);
    }
    renamed
}

/// As [`save`], into a new folder, whose files are of no use before this has succeeded. It is
/// removed when it fails.
///
/// # Errors
///
/// As [`save_to`].
pub fn save_into(control: &VmControl, folder: &Path) -> Result<(), SaveError> {
    let failed = |source| SaveError::Folder {
        path: folder.to_path_buf(),
        source,
    };
    fs::create_dir(folder).map_err(failed)?;
    let files = SnapshotFiles::create(folder).map_err(failed);
    let saved = files.and_then(|files| save(control, &files));
    if saved.is_err() {
        remove(folder);
    }
    saved
}

fn remove(folder: &Path) {
    // The error before is what is told.
    let _ = fs::remove_dir_all(folder);
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
    let pagemap = machine.pagemap.as_ref();
    memory::write(&files.memory, &id, &services.ram, &machine.private, pagemap)?;
    file::write(&files.state, &state)
}
