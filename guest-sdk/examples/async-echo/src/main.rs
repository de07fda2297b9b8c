//! Tasks that wait: an echo of the console's input, with a clock beside it.
//!
//! ```sh
//! cargo build --release
//! (echo hello; sleep 1; echo world) | paravane run target/release/async-echo
//! ```
//!
//! One vCPU runs three tasks. While all of them wait, it blocks: until the next timer is due, whose
//! time is in the vCPU page, or an event comes. Neither a timer nor its end costs a call of its own.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use futures_lite::future::or;
use paravane_sdk::exec::{self, AsyncConsole};
use paravane_sdk::time::{self, Instant};
use paravane_sdk::{Errno, entry, println, thread};

entry!(main, requires(thread::REQUIRED));

/// How long nobody has to type anything before the guest ends.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> i32 {
    match exec::block_on(serve()) {
        Ok(lines) => {
            println!("{lines} lines; good-bye");
            0
        }
        Err(error) => {
            println!("the console: {error}");
            1
        }
    }
}

async fn serve() -> Result<usize, Errno> {
    let console = AsyncConsole::new()?;
    let lines = Arc::new(AtomicUsize::new(0));
    // This one goes on by itself; it is cancelled when it is dropped, at the end of this function.
    let _clock = exec::spawn(show_uptime(Arc::clone(&lines)));
    let mut line = String::new();
    loop {
        // Whichever is ready first; the other one is dropped, and its timer with it.
        let byte = or(read_byte(&console), async {
            time::sleep(PATIENCE).await;
            Ok(None)
        });
        match byte.await? {
            Some(b'\n') => {
                println!("echo: {line}");
                line.clear();
                lines.fetch_add(1, Ordering::Relaxed);
            }
            Some(byte) => line.push(char::from(byte)),
            None => return Ok(lines.load(Ordering::Relaxed)),
        }
    }
}

/// The next byte, `None` at the end of the input.
async fn read_byte(console: &AsyncConsole) -> Result<Option<u8>, Errno> {
    let mut byte = [0];
    let read = console.read(&mut byte).await?;
    Ok((read == 1).then_some(byte[0]))
}

async fn show_uptime(lines: Arc<AtomicUsize>) {
    let start = Instant::now();
    let mut ticks = time::interval(Duration::from_millis(250));
    loop {
        let due = ticks.tick().await;
        let up = due - start;
        println!("up for {up:?}, {} lines", lines.load(Ordering::Relaxed));
    }
}
