//! How much the process counts for the host's scheduler.

use paravane::process::log::Log;
use paravane_api::log::{LogLevel, LogSource};
use std::fs;
use std::path::Path;

/// The nice value of this process's session among others (sched(7), the autogroup feature): where there
/// is that, each process's own value counts only in its session.
const AUTOGROUP: &str = "/proc/self/autogroup";

/// Has this thread, and those that it starts, stand back for others when processors are short. Where the
/// host does not let it, the VM runs all the same.
pub fn stand_back(nice: u8, log: &Log) {
    if nice == 0 {
        return;
    }
    let of_session = match Path::new(AUTOGROUP).exists() {
        true => fs::write(AUTOGROUP, nice.to_string()),
        false => Ok(()),
    };
    let of_thread = rustix::process::nice(i32::from(nice)).map(|_| ());
    if let Err(error) = of_session.and(of_thread.map_err(Into::into)) {
        let message = format!("the nice value is not {nice}: {error}");
        log.write(LogSource::Vmm, LogLevel::Warn, &message);
    }
}
