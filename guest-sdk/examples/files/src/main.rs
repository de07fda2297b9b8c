//! Files on a disk: shows those of the first partition, and adds a line to one.
//!
//! ```sh
//! truncate -s 64M files.img
//! echo 'start=2048, type=c' | sfdisk files.img
//! mkfs.fat --offset 2048 files.img
//! cargo build --release
//! paravane run --disk files.img target/release/files
//! ```

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use paravane_sdk::fs::{self, Mode, VolumeIdx};
use paravane_sdk::virtio::block::Disk;
use paravane_sdk::{entry, println};

entry!(main);

fn main() -> i32 {
    match visit() {
        Ok(()) => 0,
        Err(error) => {
            println!("{error}");
            1
        }
    }
}

fn visit() -> Result<(), String> {
    let disk = Disk::open(None).map_err(|error| format!("the disk: {error}"))?;
    let broken = |error: fs::Error| format!("the file system: {error:?}");
    let files = fs::open(&disk);
    let volume = files.open_volume(VolumeIdx(0)).map_err(broken)?;
    let root = volume.open_root_dir().map_err(broken)?;

    let visits = root
        .open_file_in_dir("VISITS.TXT", Mode::ReadWriteCreateOrAppend)
        .map_err(broken)?;
    visits.write(b"a guest was here\n").map_err(broken)?;
    visits.close().map_err(broken)?;
    root.iterate_dir(|entry| {
        println!("{} {} {}", entry.name, entry.size, entry.mtime);
        core::ops::ControlFlow::Continue(())
    })
    .map_err(broken)?;
    // The file system has written; whether that is on the disk is another matter.
    disk.blocking().flush().map_err(|error| format!("{error}"))
}
