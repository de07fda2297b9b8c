//! The console device (virtio 1.2, 5.3): named ports for streams of bytes, beside the console
//! that the ABI has.
//!
//! All `--console` of a guest are ports of one device. The host's end of a port is a Unix socket
//! ([`socket_port`]) or a file ([`file_port`]).

pub mod control;
pub mod file_port;
pub mod link;
pub mod options;
pub mod socket_port;
#[cfg(test)]
mod tests;

use super::DeviceError;
use super::backend::{Active, Backend, Work};
use super::saved::{NoteBytes, Notes};
use super::unix_socket::ListeningSocket;
use control::{Control, Ports};
use file_port::FilePort;
use link::Link;
use socket_port::SocketPort;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// VIRTIO_ID_CONSOLE.
pub const DEVICE_TYPE: u32 = 3;

/// VIRTIO_CONSOLE_F_MULTIPORT.
pub const FEATURE_MULTIPORT: u64 = 1 << 1;

/// The most ports: two queues for each, and two for control.
pub const PORTS_MAX: usize = 15;

const QUEUE_SIZE: u16 = 64;

/// Queues of control messages.
const CONTROL_TO_GUEST: usize = 2;
const CONTROL_FROM_GUEST: usize = 3;

/// The queues of a port, to the guest and from the guest. Those of control are behind port 0.
const fn queues_of(port: usize) -> (usize, usize) {
    match port {
        0 => (0, 1),
        port => (2 * port + 2, 2 * port + 3),
    }
}

/// The host's end of a port.
#[derive(Debug)]
pub enum HostEnd {
    /// Clients connect to a socket.
    Socket(ListeningSocket),
    /// Output is appended to a file; there is no input.
    File(File, PathBuf),
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// By which the guest finds it.
    pub name: String,
    /// Where its bytes go.
    pub end: HostEnd,
}

/// The device.
#[derive(Debug)]
pub struct ConsoleDevice {
    ports: Vec<Port>,
    notes: NoteBytes,
}

impl ConsoleDevice {
    /// With these ports, at least one and at most [`PORTS_MAX`].
    pub fn new(ports: Vec<Port>) -> Self {
        Self {
            notes: NoteBytes::new(ports.len()),
            ports,
        }
    }
}

impl Backend for ConsoleDevice {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn notes(&self) -> Arc<dyn Notes> {
        Arc::new(self.notes.clone())
    }

    fn go_on_with(&mut self, notes: &[u8]) -> Result<(), String> {
        self.notes.take_over(notes)
    }

    fn features(&self) -> u64 {
        FEATURE_MULTIPORT
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 2 * self.ports.len() + 2]
    }

    /// `struct virtio_console_config`: columns, rows, ports, and a register that is not offered.
    fn config(&self) -> Vec<u8> {
        let ports = self.ports.len() as u32;
        [0, ports, 0].map(u32::to_le_bytes).concat()
    }

    fn run(&mut self, mut active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(async move {
            let changed = Rc::new(Notify::new());
            let links: Vec<_> = self
                .ports
                .iter()
                .map(|port| Rc::new(Link::new(port.name.clone(), &changed)))
                .collect();
            let mut tasks = JoinSet::new();
            for (index, (port, link)) in self.ports.iter().zip(&links).enumerate() {
                serve(index, port, link, &mut active, &mut tasks)?;
            }
            if active.features & FEATURE_MULTIPORT == 0 {
                // The driver knows port 0 alone, and that it is always open.
                links.iter().for_each(|link| link.set_guest_open(true));
                return first(&mut tasks).await;
            }
            let mut control = Control {
                ports: Ports::new(&links, &self.notes),
                to_guest: active.take_queue(CONTROL_TO_GUEST)?,
                from_guest: active.take_queue(CONTROL_FROM_GUEST)?,
                changed,
            };
            tokio::select! {
                ended = control.serve() => ended,
                ended = first(&mut tasks) => ended,
            }
        })
    }

    fn forget(&mut self) {
        self.notes.clear();
    }
}

/// Begins to serve a port, if the driver has set up its queues.
fn serve(
    index: usize,
    port: &Port,
    link: &Rc<Link>,
    active: &mut Active,
    tasks: &mut JoinSet<Result<(), DeviceError>>,
) -> Result<(), DeviceError> {
    let (to_guest, from_guest) = queues_of(index);
    let (Ok(to_guest), Ok(from_guest)) =
        (active.take_queue(to_guest), active.take_queue(from_guest))
    else {
        return Ok(());
    };
    let stats = Arc::clone(&active.stats);
    match &port.end {
        HostEnd::Socket(socket) => {
            let listener = socket.listen();
            let port = SocketPort {
                link: Rc::clone(link),
                listener: listener.map_err(DeviceError::host("listening to a socket"))?,
                to_guest,
                from_guest,
                stats,
            };
            tasks.spawn_local(port.serve());
        }
        HostEnd::File(file, path) => {
            let port = FilePort {
                file: file
                    .try_clone()
                    .map_err(DeviceError::host("using a file"))?,
                path: path.clone(),
                from_guest,
                stats,
            };
            link.set_host_open(true);
            tasks.spawn_local(port.serve());
        }
    }
    Ok(())
}

/// Waits until a port needs a reset.
async fn first(tasks: &mut JoinSet<Result<(), DeviceError>>) -> Result<(), DeviceError> {
    match tasks.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(error)) => Err(DeviceError::Protocol(format!(
            "a port has stopped: {error}"
        ))),
        // No port is in use.
        None => std::future::pending().await,
    }
}
