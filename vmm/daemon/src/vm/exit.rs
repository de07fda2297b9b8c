//! How a VM's process ended.

use paravane_api::vm::{EndKind, Ended};
use paravane_control::folder::Folder;
use paravane_control::plan::Exit;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{self, Read};

/// The exit code of what went wrong in the VMM, as `paravane run` has it.
pub const INTERNAL: u8 = 125;

/// The longest file that a process may leave, in bytes.
const MAX_EXIT: u64 = 1 << 20;

/// How start `start` of a VM ended, by the file that its process left. None if it left none.
pub fn left(folder: &Folder, start: u64) -> Option<Ended> {
    let text = match read(folder) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(failed(format!("how it ended cannot be read: {error}"))),
    };
    match serde_json::from_slice::<Exit>(&text) {
        Ok(exit) if exit.start == start => Some(exit.ended),
        Ok(_) => None,
        Err(error) => Some(failed(format!(
            "what its process left of its end cannot be understood: {error}"
        ))),
    }
}

/// The file belongs to the VM's user, who may have put anything in its place.
fn read(folder: &Folder) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(folder.exit(), flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = Vec::new();
    file.take(MAX_EXIT).read_to_end(&mut text)?;
    Ok(text)
}

/// An end by an error.
pub fn failed(message: impl Into<String>) -> Ended {
    end(EndKind::Error, INTERNAL, message)
}

/// An end without a word of the process.
pub fn killed(signal: Option<i32>) -> Ended {
    let message = match signal {
        Some(signal) => format!("its process was killed by signal {signal}"),
        None => "its process ended without saying why".to_string(),
    };
    let code = signal.and_then(|signal| u8::try_from(128 + signal).ok());
    end(EndKind::Killed, code.unwrap_or(INTERNAL), message)
}

/// An end, now.
pub fn end(kind: EndKind, exit_code: u8, message: impl Into<String>) -> Ended {
    Ended {
        at: crate::time::now(),
        kind,
        exit_code,
        message: Some(message.into()),
        crash: None,
    }
}
