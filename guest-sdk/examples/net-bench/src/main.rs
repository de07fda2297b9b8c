//! Measures the guest's network: throughput, and requests per second, over TCP.
//!
//! ```sh
//! cargo build --release
//! paravane run --net user --cmdline "send 10.0.2.2 5001 bytes=1000000000" target/release/net-bench
//! paravane run --net user,hostfwd=tcp:5001-5001 --cmdline "serve" target/release/net-bench
//! ```
//!
//! The command line is a verb with its arguments; several verbs are separated by `;`.
//!
//! | verb | what it does |
//! |---|---|
//! | `send ADDRESS PORT bytes=N` | sends so many bytes to a sink |
//! | `receive ADDRESS PORT bytes=N` | reads so many bytes, or to the end |
//! | `request ADDRESS PORT count=N connections=N size=N` | sends `size` bytes and waits for as many, `count` times |
//! | `serve` | a sink on port 5001, a source on 5002, an echo on 5003, until the VM ends |
//!
//! Each measurement is one line of JSON.

#![no_std]
#![no_main]

extern crate alloc;

mod options;
mod serve;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::error::Error;
use options::{Options, Target, Verb};
use paravane_sdk::net::{Config, Network, TcpOptions, TcpStream};
use paravane_sdk::time::Instant;
use paravane_sdk::{Features, entry, exec, println, start_info, thread};

entry!(
    main,
    vcpus(1, 64),
    requires(thread::REQUIRED.union(Features::DEVICES)),
    wants(Features::VCPUS)
);

/// Buffers for throughput.
const LARGE: TcpOptions = TcpOptions {
    receive_buffer: 1 << 20,
    send_buffer: 1 << 20,
    backlog: 4,
    nagle: false,
    keep_alive: None,
};
/// How much is written and read at once.
const CHUNK: usize = 256 << 10;

fn main() -> i32 {
    let command_line = start_info::get().command_line();
    let options = match Options::parse(command_line) {
        Ok(options) => options,
        Err(word) => {
            println!("net-bench: what does {word:?} mean?");
            return 2;
        }
    };
    match exec::run(run(options)) {
        Ok(()) => 0,
        Err(error) => {
            println!("net-bench: {error}");
            1
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let config = Config::from_command_line(start_info::get().command_line())?;
    let network = Network::start(None, &config)?;
    network.configured().await;
    for verb in options.verbs {
        match verb {
            Verb::Send(target, bytes) => send(&network, target, bytes).await?,
            Verb::Receive(target, bytes) => receive(&network, target, bytes).await?,
            Verb::Request {
                target,
                count,
                connections,
                size,
            } => request(&network, target, (count, connections), size).await?,
            Verb::Serve => serve::serve(&network).await?,
        }
    }
    Ok(())
}

async fn send(network: &Network, target: Target, bytes: u64) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(network, target, LARGE).await?;
    let chunk = vec![0x5a; CHUNK];
    let start = Instant::now();
    let mut rest = bytes;
    while rest > 0 {
        let part = usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK);
        rest -= stream.write(&chunk[..part]).await? as u64;
    }
    stream.shutdown();
    stream.acknowledged().await?;
    throughput("send", bytes, start);
    Ok(())
}

async fn receive(network: &Network, target: Target, bytes: u64) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(network, target, LARGE).await?;
    let mut chunk = vec![0; CHUNK];
    let start = Instant::now();
    let mut read = 0;
    while read < bytes {
        match stream.read(&mut chunk).await? {
            0 => break,
            size => read += size as u64,
        }
    }
    throughput("receive", read, start);
    Ok(())
}

async fn request(
    network: &Network,
    target: Target,
    (count, connections): (u64, u64),
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let connections = connections.max(1);
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(TcpStream::connect(network, target, TcpOptions::default()).await?);
    }
    let each = count / connections;
    let start = Instant::now();
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|stream| exec::spawn(ask(stream, each, size)))
        .collect();
    for task in tasks {
        task.await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let requests = each * connections;
    println!(
        "{{\"operation\":\"request\",\"requests\":{requests},\"connections\":{connections},\
         \"size\":{size},\"seconds\":{seconds:.6},\"requests_per_second\":{:.1}}}",
        requests as f64 / seconds
    );
    Ok(())
}

async fn ask(stream: TcpStream, count: u64, size: usize) -> Result<(), paravane_sdk::net::Reset> {
    let question = vec![b'q'; size];
    let mut answer = vec![0; size];
    for _ in 0..count {
        stream.write_all(&question).await?;
        let mut filled = 0;
        while filled < size {
            match stream.read(&mut answer[filled..]).await? {
                0 => return Err(paravane_sdk::net::Reset),
                read => filled += read,
            }
        }
    }
    Ok(())
}

fn throughput(operation: &str, bytes: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{{\"operation\":\"{operation}\",\"bytes\":{bytes},\"seconds\":{seconds:.6},\
         \"bytes_per_second\":{:.0}}}",
        bytes as f64 / seconds
    );
}
