//! What processes use of the host.

use std::fs;
use std::io;
use std::time::Duration;

/// The processor time that all threads of these processes have had, by
/// `/proc/PID/task/TID/schedstat`.
///
/// # Errors
///
/// One of the processes is not there.
pub fn processor_time(processes: &[u32]) -> io::Result<Duration> {
    let mut total = 0;
    for process in processes {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may end meanwhile.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let first = text.split_whitespace().next();
            total += first.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(total))
}
