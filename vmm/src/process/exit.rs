//! How the process ended, for the daemon.

use paravane_control::folder::Folder;
use paravane_control::plan::Exit;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Says how the process ended. Whoever reads finds all of it or nothing.
///
/// # Errors
///
/// The folder takes no file.
pub fn write(folder: &Folder, exit: &Exit) -> io::Result<()> {
    let new = unfinished(folder);
    fs::write(&new, serde_json::to_vec(exit)?)?;
    fs::rename(new, folder.exit())
}

/// Takes away what the process before said.
pub fn clear(folder: &Folder) {
    // Mostly there is none. One that stays says which start it was.
    let _ = fs::remove_file(folder.exit());
    // It may be another user's.
    let _ = fs::remove_file(unfinished(folder));
}

fn unfinished(folder: &Folder) -> PathBuf {
    folder.exit().with_extension("json.new")
}
