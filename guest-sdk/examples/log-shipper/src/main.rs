//! A log shipper: lines of the guest's tasks, in batches, to a socket of the host.
//!
//! ```sh
//! cargo build --release
//! ./receiver.py /tmp/guest.sock_5000 /tmp/guest.log &
//! paravane run --vsock cid=3,uds=/tmp/guest.sock target/release/log-shipper
//! ```
//!
//! A connection of the guest to port 5000 of the host is one to the Unix socket
//! `/tmp/guest.sock_5000`. Each line has a sequence number, from 1 on. The receiver says first which
//! line it has kept last, and the shipper goes on behind that:
//!
//! ```text
//! receiver: ACK 0
//! shipper:  BATCH 1 2
//! shipper:  task 0: line 1
//! shipper:  task 1: line 1
//! receiver: ACK 2
//! ```
//!
//! So the receiver may be stopped and started again at any time: until it is there, the shipper
//! keeps the lines that are not acknowledged, tries again ever more seldom, and tasks that have too
//! much to say wait. No line is lost, and none that was acknowledged comes again.
//!
//! The command line may say how many lines each task has (`lines=1000`), how many tasks there are
//! (`tasks=4`), how long a task rests after each line in microseconds (`rest=1000`), and the port
//! (`port=5000`).

#![no_std]
#![no_main]

extern crate alloc;

mod backlog;
mod options;
mod ship;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use backlog::Backlog;
use core::time::Duration;
use options::Options;
use paravane_sdk::virtio::vsock::Vsock;
use paravane_sdk::{Features, entry, exec, println, start_info, thread, time};

entry!(main, requires(thread::REQUIRED.union(Features::DEVICES)));

fn main() -> i32 {
    let options = match Options::parse(start_info::get().command_line()) {
        Ok(options) => options,
        Err(word) => {
            println!("log-shipper: {word:?} is not lines=, tasks=, rest= or port= and a number");
            return 2;
        }
    };
    let vsock = match Vsock::start(None) {
        Ok(vsock) => vsock,
        Err(error) => {
            println!("log-shipper: {error}; paravane run --vsock cid=3,uds=PATH adds a device");
            return 1;
        }
    };
    let report = exec::block_on(run(vsock, options));
    println!("log-shipper: {report}");
    0
}

/// Has tasks log, and ships it, until all is acknowledged.
async fn run(vsock: Vsock, options: Options) -> ship::Report {
    let backlog = Arc::new(Backlog::new());
    let tasks: Vec<_> = (0..options.tasks)
        .map(|task| exec::spawn(log(Arc::clone(&backlog), task, options)))
        .collect();
    let end = Arc::clone(&backlog);
    exec::spawn(async move {
        for task in tasks {
            task.await;
        }
        end.close();
    })
    .detach();
    ship::ship(&vsock, options.port, &backlog).await
}

/// A task that has something to say.
async fn log(backlog: Arc<Backlog>, task: u32, options: Options) {
    for line in 1..=options.lines {
        backlog.push(format!("task {task}: line {line}")).await;
        if options.rest > 0 {
            time::sleep(Duration::from_micros(options.rest)).await;
        } else {
            exec::yield_now().await;
        }
    }
}
