//! An HTTP/1.1 server on the guest's network.
//!
//! ```sh
//! cargo build --release
//! paravane run --net user,hostfwd=tcp:8080-80 target/release/http-server &
//! curl http://localhost:8080/
//! oha -c 32 -z 10s http://localhost:8080/hello
//! ```
//!
//! | path | answer |
//! |---|---|
//! | `/` | what there is |
//! | `/hello` | a short text |
//! | `/stats` | what the server has done, as JSON |
//! | `/bytes/N` | N bytes, for throughput |
//!
//! Connections are kept (RFC 9112, 9.3), and requests that come before the answers to earlier ones
//! are answered in one go (pipelining). When the VM is asked to shut down, by SIGTERM, no connection is
//! taken any more, and those that there are end with their next answer. `--vcpus 2` shares the work
//! between vCPUs. With another network than `user`, the command line says which
//! address the guest has: `--cmdline ip=192.168.7.2/24,192.168.7.1` or `--cmdline ip=dhcp`.

#![no_std]
#![no_main]

extern crate alloc;

mod connection;
mod request;
mod response;
mod stats;

use alloc::sync::Arc;
use paravane_sdk::exec::Shutdown;
use paravane_sdk::net::{Config, Network, TcpListener, TcpOptions};
use paravane_sdk::{Features, entry, exec, println, start_info, thread};
use stats::Stats;

entry!(
    main,
    vcpus(1, 64),
    requires(thread::REQUIRED.union(Features::DEVICES)),
    wants(Features::VCPUS)
);

/// The port.
const PORT: u16 = 80;

/// A connection has small requests in one direction and answers in the other.
const OPTIONS: TcpOptions = TcpOptions {
    receive_buffer: 16 << 10,
    send_buffer: 128 << 10,
    backlog: 64,
    nagle: false,
    keep_alive: None,
};

fn main() -> i32 {
    let config = match Config::from_command_line(start_info::get().command_line()) {
        Ok(config) => config,
        Err(word) => {
            println!("{word:?} is not ip=ADDRESS/PREFIX,GATEWAY or ip=dhcp");
            return 2;
        }
    };
    match exec::run(serve(config)) {
        Ok(()) => 0,
        Err(error) => {
            println!("http-server: {error}");
            1
        }
    }
}

/// Serves until the VM is to shut down.
async fn serve(config: Config) -> Result<(), alloc::boxed::Box<dyn core::error::Error>> {
    let network = Network::start(None, &config)?;
    let lease = network.configured().await;
    let mut listener = TcpListener::bind(&network, PORT, OPTIONS)?;
    println!("http-server: http://{}:{PORT}/", lease.address.address());

    let stats = Arc::new(Stats::new());
    let shutdown = Arc::new(Shutdown::new()?);
    while let Some(stream) = shutdown.or(listener.accept()).await {
        let (stats, shutdown) = (Arc::clone(&stats), Arc::clone(&shutdown));
        exec::spawn(connection::serve(stream?, stats, shutdown)).detach();
    }
    drop(listener);
    stats.all_closed().await;
    println!("http-server: {} requests; good-bye", stats.requests());
    Ok(())
}
