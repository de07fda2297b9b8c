//! The file system device (virtio 1.2, 5.11): a folder of the host, which the guest reads by the
//! FUSE protocol and cannot change.
//!
//! The server is our own and small, because what it must guarantee is what a general one does
//! not: nothing outside of the folder is reached ([`folder`]), nothing is written, and what a guest
//! makes the host keep has an end ([`tables`]).

pub mod abi;
pub mod folder;
mod going_on;
pub mod listing;
pub mod options;
mod place;
pub mod reply;
pub mod saved;
pub mod server;
pub mod tables;
#[cfg(test)]
mod tests;

use super::DeviceError;
use super::backend::{Active, Backend, Work};
use super::queue::DeviceQueue;
use super::saved::Notes;
use crate::sync::lock;
use abi::InHeader;
use options::TAG_MAX;
use reply::Reply;
use server::Server;
use std::sync::{Arc, Mutex};

/// VIRTIO_ID_FS.
pub const DEVICE_TYPE: u32 = 26;

/// The queues: one for FORGET and INTERRUPT, one for everything else.
const QUEUE_SIZES: [u16; 2] = [64; 2];

/// How much of a request is looked at. A name has 255 bytes; what is to be written is not read.
const BODY_MAX: usize = 4096;

/// The most requests of a queue before the other has its turn.
const ROUND: usize = 16;

/// The device.
#[derive(Debug)]
pub struct ShareDevice {
    tag: String,
    /// Its thread's, and read by others while that is held.
    server: Arc<Mutex<Server>>,
}

impl ShareDevice {
    /// A folder that the guest finds by `tag`, of at most [`TAG_MAX`] bytes.
    pub fn new(tag: String, server: Server) -> Self {
        Self {
            tag,
            server: Arc::new(Mutex::new(server)),
        }
    }
}

impl Notes for Mutex<Server> {
    fn bytes(&self) -> Result<Vec<u8>, &'static str> {
        let saved = lock(self).save()?;
        saved
            .encode()
            .map_err(|_| "what its guest knows cannot be written")
    }
}

impl Backend for ShareDevice {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn notes(&self) -> Arc<dyn Notes> {
        Arc::<Mutex<Server>>::clone(&self.server)
    }

    fn go_on_with(&mut self, notes: &[u8]) -> Result<(), String> {
        lock(&self.server).go_on_with(notes)
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> Vec<u16> {
        QUEUE_SIZES.to_vec()
    }

    /// `struct virtio_fs_config`: the tag and the number of request queues.
    fn config(&self) -> Vec<u8> {
        let mut config = self.tag.clone().into_bytes();
        config.resize(TAG_MAX, 0);
        config.extend(1u32.to_le_bytes());
        config
    }

    fn run(&mut self, mut active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(async move {
            while !lock(&self.server).begin() {
                tokio::task::yield_now().await;
            }
            let mut urgent = active.take_queue(0)?;
            let mut requests = active.take_queue(1)?;
            let mut scratch = Scratch {
                body: vec![0; BODY_MAX],
                reply: Reply::default(),
            };
            loop {
                serve(&self.server, &mut urgent, &mut scratch)?;
                serve(&self.server, &mut requests, &mut scratch)?;
                tokio::select! {
                    ready = urgent.ready() => ready?,
                    ready = requests.ready() => ready?,
                }
                tokio::task::yield_now().await;
            }
        })
    }

    fn forget(&mut self) {
        lock(&self.server).end();
    }
}

/// What requests are copied into and answers are made in.
#[derive(Debug)]
struct Scratch {
    body: Vec<u8>,
    reply: Reply,
}

/// Carries out requests of a queue.
fn serve(
    server: &Mutex<Server>,
    queue: &mut DeviceQueue,
    scratch: &mut Scratch,
) -> Result<(), DeviceError> {
    let mut count = 0;
    while count < ROUND
        && let Some(mut chain) = queue.pop()?
    {
        let header: InHeader = chain.read_struct()?;
        let size = (header.len as usize).saturating_sub(size_of::<InHeader>());
        let size = size.min(BODY_MAX).min(chain.readable() as usize);
        let body = scratch.body.get_mut(..size).unwrap_or_default();
        chain.read_exact(body)?;
        let room = chain.writable() as usize;
        let answer = lock(server).handle(&header, body, room, &mut scratch.reply);
        chain.write_all(answer)?;
        queue.push(chain, answer.len() as u32)?;
        count += 1;
    }
    if count > 0 {
        queue.notify()?;
    }
    Ok(())
}
