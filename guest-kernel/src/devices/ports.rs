//! Named ports of the console device, which are echoes.

use super::EXIT_FAILED;
use crate::command_line::Misuse;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::error::Error;
use futures_lite::future::or;
use paravane_sdk::exec::{self, AsyncConsole, Task};
use paravane_sdk::println;
use paravane_sdk::virtio::console::{Console, ConsolePort, PortError};

/// What may follow the verb.
pub const ARGUMENT: &str = "=NAME[,NAME...]";

/// Greets whoever opens the host's end of one of these ports, by `this is NAME` and a line feed, and
/// sends back what comes. Prints `ports NAME NAME ...` when all are there, and ends with the
/// console's input.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let names: Vec<_> = argument.unwrap_or_default().split(',').collect();
    if names.contains(&"") {
        return Err(Misuse(format!("which ports? Use ports{ARGUMENT}")));
    }
    match exec::block_on(serve(&names)) {
        Ok(()) => Ok(0),
        Err(error) => {
            println!("ports failed: {error}");
            Ok(EXIT_FAILED)
        }
    }
}

async fn serve(names: &[&str]) -> Result<(), Box<dyn Error>> {
    let console = Console::start(None)?;
    let mut ports = Vec::new();
    for name in names {
        ports.push((format!("this is {name}\n"), console.port(name).await?));
    }
    println!("ports {}", console.names().join(" "));
    let mut echoes: Vec<Task<PortError>> = ports
        .into_iter()
        .map(|(greeting, port)| exec::spawn(async move { echo(&greeting, &port).await }))
        .collect();
    // One ends only when the device has stopped, and then all do.
    let stopped = async { Err(Box::from((&mut echoes[0]).await)) };
    or(stopped, end_of_input()).await
}

/// Serves one after the other.
async fn echo(greeting: &str, port: &ConsolePort) -> PortError {
    loop {
        if let Err(error) = echo_to_one(greeting, port).await {
            return error;
        }
    }
}

/// Serves whoever is next, to the end.
async fn echo_to_one(greeting: &str, port: &ConsolePort) -> Result<(), PortError> {
    port.connected().await?;
    port.write_all(greeting.as_bytes()).await?;
    let mut buffer = [0; 512];
    loop {
        match port.read(&mut buffer).await? {
            0 => return Ok(()),
            size => port.write_all(&buffer[..size]).await?,
        }
    }
}

/// Waits until the console's input ends.
pub(super) async fn end_of_input() -> Result<(), Box<dyn Error>> {
    let console = AsyncConsole::new()?;
    let mut buffer = [0; 64];
    while console.read(&mut buffer).await? > 0 {}
    Ok(())
}
