//! A connection: what has come, who may send how much, and how it ends.

use super::packet::{Credit, Ends, Header, NO_RECEIVE, NO_SEND, Operation};
use crate::virtio::received;
use alloc::collections::VecDeque;
use core::task::Waker;

/// Size of the buffer for what has come, in bytes.
pub(super) const BUFFER: u32 = 256 << 10;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The peer has not answered.
    Connecting,
    /// Data may go.
    Open,
    /// It is over: nothing may be sent.
    Over,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub ends: Ends,
    pub phase: Phase,
    /// What has come and was not read.
    received: VecDeque<u8>,
    /// Nothing comes any more, and that is how the peer wanted it.
    pub ended: bool,
    /// The peer takes nothing any more.
    deaf: bool,
    /// Nothing is sent any more: by this end's wish.
    pub shut_down: bool,
    /// No stream has it any more.
    pub abandoned: bool,
    /// Bytes that were read, ever.
    taken: u32,
    /// `taken` as the peer knows it.
    told: u32,
    /// Bytes that were sent, ever.
    sent: u32,
    peer: Credit,
    /// The peer was asked for credit, and has not answered.
    asked: bool,
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

impl Connection {
    pub fn new(ends: Ends, phase: Phase) -> Self {
        Self {
            ends,
            phase,
            received: VecDeque::new(),
            ended: false,
            deaf: false,
            shut_down: false,
            abandoned: false,
            taken: 0,
            told: 0,
            sent: 0,
            peer: Credit::default(),
            asked: false,
            reader: None,
            writer: None,
        }
    }

    /// The header of a packet to the peer, which tells it of the room there is.
    pub fn header(&mut self, operation: Operation, flags: u32, size: u32) -> Header {
        self.told = self.taken;
        Header {
            ends: self.ends,
            operation,
            flags,
            size,
            credit: Credit {
                size: BUFFER,
                taken: self.taken,
            },
        }
    }

    /// The header of a packet with so many bytes, which were found to be allowed.
    pub fn data_header(&mut self, size: u32) -> Header {
        self.sent = self.sent.wrapping_add(size);
        self.header(Operation::Data, 0, size)
    }

    /// How many bytes the peer has room for.
    pub fn allowed(&self) -> u32 {
        let under_way = self.sent.wrapping_sub(self.peer.taken);
        self.peer.size.saturating_sub(under_way)
    }

    /// The header of a question for credit, unless there is one under way.
    pub fn ask(&mut self) -> Option<Header> {
        let ask = !core::mem::replace(&mut self.asked, true);
        ask.then(|| self.header(Operation::CreditRequest, 0, 0))
    }

    /// Notes what a packet of the peer says of its buffer.
    pub fn note_credit(&mut self, credit: Credit) {
        self.peer = credit;
        self.asked = false;
        if self.allowed() > 0 {
            wake(&mut self.writer);
        }
    }

    /// Takes data; `false` when it is more than there is room for.
    pub fn receive(&mut self, data: &[u8]) -> bool {
        if self.received.len() + data.len() > BUFFER as usize {
            return false;
        }
        if !self.abandoned {
            self.received.extend(data);
            wake(&mut self.reader);
        }
        true
    }

    /// Whether something can be read.
    pub fn can_read(&self) -> bool {
        !self.received.is_empty()
    }

    /// Reads what has come: how much, and what the peer is to be told.
    pub fn read(&mut self, buffer: &mut [u8]) -> (usize, Option<Header>) {
        let size = received::take(&mut self.received, buffer);
        self.taken = self.taken.wrapping_add(size as u32);
        let untold = self.taken.wrapping_sub(self.told);
        let tell = untold >= BUFFER / 4 && self.phase == Phase::Open && !self.ended;
        let header = tell.then(|| self.header(Operation::CreditUpdate, 0, 0));
        (size, header)
    }

    /// Whether this end may send.
    pub fn can_send(&self) -> bool {
        self.phase == Phase::Open && !self.shut_down && !self.deaf
    }

    /// The peer ends one direction or both: whether that ends the connection.
    pub fn peer_shuts_down(&mut self, flags: u32) -> bool {
        self.ended |= flags & NO_SEND != 0;
        self.deaf |= flags & NO_RECEIVE != 0;
        let over = self.ended && self.deaf;
        if over {
            self.phase = Phase::Over;
        }
        self.wake_all();
        over
    }

    /// The connection is over.
    pub fn end(&mut self) {
        self.phase = Phase::Over;
        self.wake_all();
    }

    pub fn wake_all(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
