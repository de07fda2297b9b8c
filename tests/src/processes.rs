//! What processes use of the host.

use std::fs;
use std::io;
use std::time::Duration;

/// The processor time that all threads of these processes have had, by
/// `/proc/PID/task/TID/schedstat`.
///
/// # Errors
///
/// One of the processes is not there, or the kernel does not say.
pub fn processor_time(processes: &[u32]) -> io::Result<Duration> {
    let (mut total, mut threads) = (0, 0);
    for process in processes {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let first = text.split_whitespace().next();
            let time = first.and_then(|word| word.parse::<u64>().ok());
            total += time.ok_or_else(|| io::Error::other(format!("schedstat is {text:?}")))?;
            threads += 1;
        }
    }
    if threads == 0 {
        return Err(io::Error::other("no thread has a schedstat"));
    }
    Ok(Duration::from_nanos(total))
}
