//! A guest's network beside the host doing the same on its loopback interface.

use super::Spread;
use crate::guests;
use crate::program::{end, paravane};
use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are sent to measure throughput.
const BYTES: u64 = 1 << 30;
/// How much is written and read at once, by the guest too.
const CHUNK: usize = 256 << 10;
/// Connections of the load.
const CONNECTIONS: u32 = 32;
/// What a server answers to `GET /hello`; the guest's answers the same.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 21\r\n\r\nHello from the guest\n";

/// What was measured of the host and of a guest.
#[derive(Clone, Debug)]
pub struct Figure {
    name: &'static str,
    unit: &'static str,
    host: Spread,
    guest: Spread,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |spread: &Spread| {
            format!(
                "{:.0} {} ({:.0} to {:.0}, n = {})",
                spread.median(),
                self.unit,
                spread.quantile(0.0),
                spread.quantile(1.0),
                spread.len()
            )
        };
        write!(
            f,
            "{}: host {}, guest {}: {:.0} %",
            self.name,
            range(&self.host),
            range(&self.guest),
            100.0 * self.guest.median() / self.host.median()
        )
    }
}

/// Measures throughput to a sink of the host, and requests per second of an HTTP server under the load of
/// `wrk`, host and guest in turns.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(runs: usize, progress: &mut dyn FnMut(&str)) -> Result<Vec<Figure>, String> {
    let (mut host, mut guest) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        progress("throughput");
        host.push(throughput(&send_natively)?);
        guest.push(throughput(&send_from_guest)?);
    }
    let sent = Figure {
        name: "TCP to the host",
        unit: "MB/s",
        host: Spread::new(host),
        guest: Spread::new(guest),
    };
    let (mut host, mut guest) = (Vec::new(), Vec::new());
    let native = serve_natively().map_err(|error| error.to_string())?;
    let server = GuestServer::start()?;
    for _ in 0..runs {
        progress("requests");
        host.push(load(native)?);
        guest.push(load(server.port)?);
    }
    let answered = Figure {
        name: "HTTP requests, 32 connections",
        unit: "requests/s",
        host: Spread::new(host),
        guest: Spread::new(guest),
    };
    Ok(vec![sent, answered])
}

/// MB/s from `send` to a sink.
fn throughput(send: &dyn Fn(u16) -> Result<(), String>) -> Result<f64, String> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let sink = thread::spawn(move || -> std::io::Result<f64> {
        let (mut stream, _) = listener.accept()?;
        let mut bytes = vec![0; CHUNK];
        let mut total = 0;
        // From the first bytes on: a guest takes a moment to start.
        let mut begun = None;
        loop {
            let count = stream.read(&mut bytes)?;
            let begun = begun.get_or_insert_with(Instant::now);
            if count == 0 {
                return Ok(total as f64 / 1e6 / begun.elapsed().as_secs_f64());
            }
            total += count as u64;
        }
    });
    send(port)?;
    let rate = sink.join().map_err(|_| "the sink panicked")?;
    rate.map_err(|error| error.to_string())
}

fn send_natively(port: u16) -> Result<(), String> {
    let send = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let bytes = vec![0; CHUNK];
        for _ in 0..BYTES / CHUNK as u64 {
            stream.write_all(&bytes)?;
        }
        Ok(())
    };
    send().map_err(|error| error.to_string())
}

fn send_from_guest(port: u16) -> Result<(), String> {
    let what = format!("send 10.0.2.2 {port} bytes={BYTES}");
    let mut command = paravane(["run", "--net", "user", "--cmdline", &what]);
    let ended = end(command.arg(guests::example("net-bench")));
    match ended.code {
        0 => Ok(()),
        _ => Err(format!("{}{}", ended.stdout, ended.stderr)),
    }
}

/// Serves HTTP with a thread for each connection; the port.
fn serve_natively() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&bytes[..count]);
        while let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            request.drain(..end + 4);
            stream.write_all(ANSWER)?;
        }
    }
}

/// A guest that serves HTTP.
struct GuestServer {
    child: Child,
    port: u16,
}

impl GuestServer {
    fn start() -> Result<Self, String> {
        // One that was free a moment ago.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|one| one.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        let network = format!("user,hostfwd=tcp:{port}-80");
        let child = paravane(["run", "--net", &network])
            .arg(guests::example("http-server"))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let server = Self { child, port };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            let mut answer = [0; 12];
            let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| {
                stream.write_all(b"GET /hello HTTP/1.1\r\nHost: guest\r\n\r\n")?;
                stream.read_exact(&mut answer)
            });
            if asked.is_ok() {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("the guest's server does not answer".to_string())
    }
}

impl Drop for GuestServer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests per second that a server on this port answers to `wrk`.
fn load(port: u16) -> Result<f64, String> {
    let url = format!("http://127.0.0.1:{port}/hello");
    let connections = format!("-c{CONNECTIONS}");
    let output = Command::new(Path::new("wrk"))
        .args(["-t1", &connections, "-d3s", &url])
        .output()
        .map_err(|error| format!("wrk makes the load, and cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    line.and_then(|rate| rate.trim().parse().ok())
        .ok_or_else(|| format!("wrk: {text}"))
}
