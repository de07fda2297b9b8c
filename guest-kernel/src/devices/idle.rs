//! Drivers that have nothing to do.

use super::EXIT_FAILED;
use super::ports::end_of_input;
use alloc::boxed::Box;
use core::error::Error;
use paravane_sdk::virtio::block::{Disk, SECTOR};
use paravane_sdk::virtio::console::Console;
use paravane_sdk::virtio::entropy::Entropy;
use paravane_sdk::virtio::share::Share;
use paravane_sdk::virtio::vsock::{Vsock, VsockListener};
use paravane_sdk::virtio::{self, Buffer};
use paravane_sdk::{exec, println};

/// The console's port that is opened.
const PORT: &str = "idle";

/// Starts a driver for a disk, a source of random bytes, a console, a socket device and a share,
/// has each do something where that can be, says "idle", and ends with the console's input.
pub fn run() -> i32 {
    match exec::block_on(drive()) {
        Ok(()) => 0,
        Err(error) => {
            println!("idle failed: {error}");
            EXIT_FAILED
        }
    }
}

async fn drive() -> Result<(), Box<dyn Error>> {
    let disk = Disk::open(None)?;
    let buffer = Buffer::new(SECTOR).ok_or(virtio::Error::NoMemory)?;
    disk.read(0, buffer).await.1?;
    let source = Entropy::open(None)?;
    source.fill(&mut [0; 16]).await?;
    let share = Share::mount(None).await?;
    share.list("/").await?;
    let vsock = Vsock::start(None)?;
    let _listener = VsockListener::bind(&vsock, 1)?;
    let console = Console::start(None)?;
    let _port = console.port(PORT).await?;
    println!("idle");
    end_of_input().await
}
