//! A key-value store that keeps its data on a disk, for clients that speak Redis' protocol.
//!
//! ```sh
//! cargo build --release
//! truncate -s 256M data.img
//! paravane run --mem 256M --disk path=data.img --net user,hostfwd=tcp:6379-6379 \
//!     target/release/key-value &
//! redis-cli set colour green
//! redis-cli get colour
//! ```
//!
//! Without a network device it listens on port 6379 of its socket device (`--vsock
//! cid=3,uds=kv.sock`; a client of the host connects to `kv.sock` and says `CONNECT 6379`).
//!
//! PING, ECHO, GET, SET, DEL, EXISTS, SCAN, DBSIZE, INFO and QUIT are there. A client has its answer
//! to SET and DEL when they are on the disk: kill the VMM with SIGKILL at any time, start it again,
//! and everything that was acknowledged is there. Commands of several clients, and those that one
//! client sends without waiting, share a write and a flush (group commit).
//!
//! The disk has two areas. One has the log: batches of changes, each with a checksum, one behind the
//! other. When it is full, what is not outdated is written to the other area, and a superblock says
//! from then on that that one counts (compaction). An empty disk is taken; a disk with something else
//! on it is refused. All data is in memory too.

#![no_std]
#![no_main]

extern crate alloc;

mod area;
mod batch;
mod client;
mod commit;
mod data;
mod log;
mod resp;
mod superblock;

use alloc::boxed::Box;
use alloc::sync::Arc;
use commit::Store;
use core::error::Error;
use log::Log;
use paravane_sdk::exec::{self, Shutdown};
use paravane_sdk::net::{Config, Network, TcpListener, TcpOptions};
use paravane_sdk::virtio::block::Disk;
use paravane_sdk::virtio::vsock::{Vsock, VsockListener};
use paravane_sdk::virtio::{self, kind};
use paravane_sdk::{Features, entry, println, start_info, thread};

entry!(
    main,
    vcpus(1, 64),
    requires(thread::REQUIRED.union(Features::DEVICES)),
    wants(Features::VCPUS)
);

/// The port, of TCP or of the socket device.
const PORT: u16 = 6379;

fn main() -> i32 {
    match exec::run(run()) {
        Ok(()) => 0,
        Err(error) => {
            println!("key-value: {error}");
            1
        }
    }
}

/// Serves until the VM is to shut down.
async fn run() -> Result<(), Box<dyn Error>> {
    let shutdown = Shutdown::new()?;
    let (log, data) = Log::open(Disk::open(None)?).await?;
    println!("key-value: {} keys, {}", data.len(), log);
    let store = Arc::new(Store::new(data, log.room()));
    let writer = exec::spawn(commit::write(Arc::clone(&store), log));
    let served = match virtio::find(kind::NETWORK, None) {
        Some(_) => shutdown.or(serve_tcp(&store)).await,
        None => shutdown.or(serve_vsock(&store)).await,
    };
    // What was begun is brought to its end.
    store.close();
    writer.await;
    println!("key-value: good-bye");
    served.unwrap_or(Ok(()))
}

async fn serve_tcp(store: &Arc<Store>) -> Result<(), Box<dyn Error>> {
    let config = Config::from_command_line(start_info::get().command_line())?;
    let network = Network::start(None, &config)?;
    let lease = network.configured().await;
    let mut listener = TcpListener::bind(&network, PORT, TcpOptions::default())?;
    println!("key-value: {}:{PORT}", lease.address.address());
    loop {
        let stream = listener.accept().await?;
        exec::spawn(client::serve(stream, Arc::clone(store))).detach();
    }
}

async fn serve_vsock(store: &Arc<Store>) -> Result<(), Box<dyn Error>> {
    let vsock = Vsock::start(None)?;
    let mut listener = VsockListener::bind(&vsock, PORT.into())?;
    println!("key-value: port {PORT} of CID {}", vsock.cid());
    loop {
        let stream = listener.accept().await;
        exec::spawn(client::serve(stream, Arc::clone(store))).detach();
    }
}
