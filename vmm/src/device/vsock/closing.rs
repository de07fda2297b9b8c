//! Which directions of a connection are over, as either end has said (virtio 1.2, 5.10.6.6).

use super::packet::{SHUTDOWN_BOTH, SHUTDOWN_RECEIVE, SHUTDOWN_SEND};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::UnixStream;

/// What each end does no more, and what the guest has been told, as `SHUTDOWN_*`.
#[derive(Debug, Default)]
pub struct Closing {
    guest: u32,
    host: u32,
    told: u32,
}

impl Closing {
    /// The guest has said what it does no more; whether the host's end learns by this that
    /// nobody receives what it sends.
    pub fn guest_closes(&mut self, flags: u32) -> bool {
        self.guest |= flags & SHUTDOWN_BOTH;
        let is_news = flags & SHUTDOWN_RECEIVE != 0 && self.host_sends();
        if is_news {
            // The guest knows.
            self.host |= SHUTDOWN_SEND;
            self.told |= SHUTDOWN_SEND;
        }
        is_news
    }

    /// The stream of the host program has ended: it sends no more, and if it has closed its
    /// socket, it does not read either.
    pub fn host_ends(&mut self, stream: &UnixStream) {
        let mut polled = [PollFd::new(stream, PollFlags::empty())];
        let is_polled = poll(&mut polled, Some(&Timespec::default())).is_ok();
        if is_polled && polled[0].revents().contains(PollFlags::HUP) {
            self.host_is_gone();
        } else {
            self.host |= SHUTDOWN_SEND;
        }
    }

    /// The host program reads no more.
    pub fn host_reads_no_more(&mut self) {
        self.host |= SHUTDOWN_RECEIVE;
    }

    /// The host program is gone.
    pub fn host_is_gone(&mut self) {
        self.host = SHUTDOWN_BOTH;
    }

    /// Whether the guest may still send.
    pub fn guest_sends(&self) -> bool {
        self.guest & SHUTDOWN_SEND == 0
    }

    /// Whether the guest has closed both directions.
    pub fn guest_is_done(&self) -> bool {
        self.guest == SHUTDOWN_BOTH
    }

    /// Whether the host program may still read.
    pub fn host_reads(&self) -> bool {
        self.host & SHUTDOWN_RECEIVE == 0
    }

    /// Whether the host program may still send, and the guest receives it.
    pub fn host_sends(&self) -> bool {
        self.host & SHUTDOWN_SEND == 0
    }

    /// Whether the host program has closed both directions.
    pub fn host_is_done(&self) -> bool {
        self.host == SHUTDOWN_BOTH
    }

    /// Whether there is something that the guest has not been told.
    pub fn has_news(&self) -> bool {
        self.host & !self.told != 0
    }

    /// The flags to tell the guest, if it does not know.
    pub fn tell(&mut self) -> Option<u32> {
        let has_news = self.has_news();
        self.told = self.host;
        has_news.then_some(self.host)
    }
}
