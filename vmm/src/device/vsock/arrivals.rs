//! Host programs that connect: from accept(2) to the port that they want.

use super::handshake::Handshake;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

/// After a failed accept (no file descriptors), the next is tried after this.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Those who have connected and not said yet what they want.
#[derive(Debug)]
pub struct Arrivals {
    listener: UnixListener,
    accept_again: Option<Instant>,
    handshakes: Vec<Handshake>,
}

impl Arrivals {
    /// Of a socket.
    pub fn new(listener: UnixListener) -> Self {
        Self {
            listener,
            accept_again: None,
            handshakes: Vec::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.handshakes.len()
    }

    /// When something has to be done though nobody does anything.
    pub fn deadline(&self) -> Option<Instant> {
        let handshakes = self.handshakes.iter().map(|one| one.deadline);
        handshakes.chain(self.accept_again).min()
    }

    /// Accepts while there is room for `most`, and gives those who have said which port they want.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
        most: usize,
    ) -> Vec<(UnixStream, u32)> {
        let mut ready = Vec::new();
        self.hear(context, now, &mut ready);
        if self.accept(context, now, most.saturating_sub(ready.len())) {
            self.hear(context, now, &mut ready);
        }
        ready
    }

    /// Reads what they say.
    fn hear(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
        ready: &mut Vec<(UnixStream, u32)>,
    ) {
        for mut handshake in std::mem::take(&mut self.handshakes) {
            match handshake.poll(context, now) {
                Poll::Pending => self.handshakes.push(handshake),
                Poll::Ready(Some(port)) => ready.push((handshake.into_stream(), port)),
                Poll::Ready(None) => {}
            }
        }
    }

    /// Accepts up to `most` in all; whether there are new ones.
    fn accept(&mut self, context: &mut Context<'_>, now: Instant, most: usize) -> bool {
        if self.accept_again.is_some_and(|again| now < again) {
            return false;
        }
        self.accept_again = None;
        let had = self.handshakes.len();
        while self.handshakes.len() < most {
            match self.listener.poll_accept(context) {
                Poll::Ready(Ok((stream, _))) => self.handshakes.push(Handshake::new(stream, now)),
                Poll::Ready(Err(_)) => {
                    self.accept_again = Some(now + ACCEPT_AGAIN);
                    break;
                }
                Poll::Pending => break,
            }
        }
        self.handshakes.len() > had
    }
}
