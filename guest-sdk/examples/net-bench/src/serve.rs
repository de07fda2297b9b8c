//! The other side of the measurements.

use crate::{CHUNK, LARGE};
use alloc::vec;
use core::future::Future;
use paravane_sdk::net::{ConnectError, Network, Reset, TcpListener, TcpStream};
use paravane_sdk::{exec, println};

/// The port of the sink.
const SINK: u16 = 5001;
/// The port of the source.
const SOURCE: u16 = 5002;
/// The port of the echo.
const ECHO: u16 = 5003;

/// Serves for ever.
pub async fn serve(network: &Network) -> Result<(), ConnectError> {
    let sinks = exec::spawn(each(listen(network, SINK)?, sink));
    let sources = exec::spawn(each(listen(network, SOURCE)?, source));
    let echoes = exec::spawn(each(listen(network, ECHO)?, echo));
    println!("{{\"operation\":\"serve\",\"sink\":{SINK},\"source\":{SOURCE},\"echo\":{ECHO}}}");
    sinks.await?;
    sources.await?;
    echoes.await
}

fn listen(network: &Network, port: u16) -> Result<TcpListener, ConnectError> {
    TcpListener::bind(network, port, LARGE)
}

/// Serves each connection by a task of its own.
async fn each<F>(mut listener: TcpListener, serve: fn(TcpStream) -> F) -> Result<(), ConnectError>
where
    F: Future<Output = Result<(), Reset>> + Send + 'static,
{
    loop {
        exec::spawn(serve(listener.accept().await?)).detach();
    }
}

async fn sink(stream: TcpStream) -> Result<(), Reset> {
    let mut chunk = vec![0; CHUNK];
    while stream.read(&mut chunk).await? > 0 {}
    Ok(())
}

async fn source(stream: TcpStream) -> Result<(), Reset> {
    let chunk = vec![0x5a; CHUNK];
    loop {
        stream.write(&chunk).await?;
    }
}

async fn echo(stream: TcpStream) -> Result<(), Reset> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            size => stream.write_all(&chunk[..size]).await?,
        }
    }
}
