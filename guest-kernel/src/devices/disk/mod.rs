//! A disk, for tests and benchmarks on the host.
//!
//! `disk=info` prints what it is. `disk=write,...` writes a pattern and says after each flush what
//! is safe, `disk=verify,...` finds out whether that is there, and `disk=bench,...` measures. What
//! they print is described in [`info`], [`write`](write::run), [`verify`](verify::run) and
//! [`bench`].

mod bench;
mod options;
mod pattern;
mod verify;
mod write;

use super::EXIT_FAILED;
use crate::command_line::Misuse;
use alloc::format;
use options::Options;
use paravane_sdk::println;
use paravane_sdk::virtio::Error;
use paravane_sdk::virtio::block::Disk;

/// What may follow the verb.
pub const ARGUMENT: &str = "=info|write|verify|bench[,NAME=VALUE...]";

/// Does what the argument says.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let (what, options) = options::parse(argument.unwrap_or_default())?;
    let action = match what {
        "info" => info,
        "write" => write::run,
        "verify" => verify::run,
        "bench" => bench::run,
        other => {
            return Err(Misuse(format!(
                "\"{other}\" is nothing to do with a disk; use disk{ARGUMENT}"
            )));
        }
    };
    let result = Disk::open(options.id).and_then(|disk| action(disk, &options));
    match result {
        Ok(code) => Ok(code),
        Err(error) => {
            println!("disk failed: {error}");
            Ok(EXIT_FAILED)
        }
    }
}

/// Prints one line: `disk info sectors N block N queues N ro BOOL discard BOOL serial TEXT`.
fn info(disk: Disk, _: &Options<'_>) -> Result<i32, Error> {
    println!(
        "disk info sectors {} block {} queues {} ro {} discard {} serial {}",
        disk.capacity(),
        disk.block_size(),
        disk.queues(),
        disk.is_read_only(),
        disk.has_discard(),
        disk.blocking().serial()?,
    );
    Ok(0)
}
