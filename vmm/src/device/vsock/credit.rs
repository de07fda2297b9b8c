//! Credit: how much each end may send (virtio 1.2, 5.10.6.3).
//!
//! Counters are free-running, modulo 2^32, so differences are taken by wrapping arithmetic.

/// The size of the buffer of one connection for what the host program has not read yet, in bytes.
/// It is what the guest is told, so a guest that keeps to it never finds the buffer full.
pub const BUFFER_SIZE: u32 = 128 << 10;

/// The guest is told of room once this much was taken out of the buffer since it was last told.
const UPDATE_AFTER: u32 = BUFFER_SIZE / 2;

/// What the guest said of itself that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditError;

/// The credit of both ends of one connection.
#[derive(Debug)]
pub struct Credit {
    // From the host to the guest.
    sent: u32,
    peer_size: u32,
    peer_forwarded: u32,
    // From the guest to the host.
    received: u32,
    forwarded: u32,
    told: u32,
}

impl Credit {
    /// At the start of a connection; the guest's buffer has `peer_size` bytes.
    pub fn new(peer_size: u32) -> Self {
        Self {
            sent: 0,
            peer_size,
            peer_forwarded: 0,
            received: 0,
            forwarded: 0,
            told: 0,
        }
    }

    /// How many bytes may be sent to the guest now.
    pub fn to_send(&self) -> u32 {
        let in_flight = self.sent.wrapping_sub(self.peer_forwarded);
        self.peer_size.saturating_sub(in_flight)
    }

    /// Bytes go to the guest, at most [`Self::to_send`].
    pub fn sent(&mut self, size: u32) {
        self.sent = self.sent.wrapping_add(size);
    }

    /// A packet of the guest says `buf_alloc` and `fwd_cnt`.
    ///
    /// Packets of two CPUs may be in another order than they were made, so a count that is older
    /// than the newest is not believed and not wrong.
    ///
    /// # Errors
    ///
    /// It took out more than it was sent.
    pub fn peer(&mut self, buf_alloc: u32, fwd_cnt: u32) -> Result<(), CreditError> {
        let in_flight = self.sent.wrapping_sub(self.peer_forwarded);
        let moved = fwd_cnt.wrapping_sub(self.peer_forwarded);
        self.peer_size = buf_alloc;
        if moved <= in_flight {
            self.peer_forwarded = fwd_cnt;
            return Ok(());
        }
        let is_older = moved > u32::MAX / 2;
        is_older.then_some(()).ok_or(CreditError)
    }

    /// Bytes come from the guest.
    ///
    /// # Errors
    ///
    /// They are more than there is room for.
    pub fn receive(&mut self, size: u32) -> Result<(), CreditError> {
        let waiting = self.received.wrapping_sub(self.forwarded);
        if size > BUFFER_SIZE.saturating_sub(waiting) {
            return Err(CreditError);
        }
        self.received = self.received.wrapping_add(size);
        Ok(())
    }

    /// Bytes that came from the guest have been taken out of the buffer.
    pub fn forward(&mut self, size: u32) {
        self.forwarded = self.forwarded.wrapping_add(size);
    }

    /// Whether the guest should be told of room, because it may believe that there is little.
    pub fn is_update_due(&self) -> bool {
        self.forwarded.wrapping_sub(self.told) >= UPDATE_AFTER
    }

    /// `buf_alloc` and `fwd_cnt` of a packet that goes out now.
    pub fn tell(&mut self) -> (u32, u32) {
        self.told = self.forwarded;
        (BUFFER_SIZE, self.forwarded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_sent_than_the_guest_has_room_for() {
        let mut credit = Credit::new(100);
        assert_eq!(credit.to_send(), 100);
        credit.sent(70);
        assert_eq!(credit.to_send(), 30);
        credit.peer(100, 50).unwrap();
        assert_eq!(credit.to_send(), 80);
        // The guest made its buffer smaller than what is in it.
        credit.peer(10, 50).unwrap();
        assert_eq!(credit.to_send(), 0);
    }

    #[test]
    fn counts_wrap() {
        let mut credit = Credit::new(u32::MAX);
        credit.sent(u32::MAX);
        credit.peer(u32::MAX, u32::MAX).unwrap();
        credit.sent(5);
        assert_eq!(credit.to_send(), u32::MAX - 5);
        credit.peer(10, 4).unwrap();
        assert_eq!(credit.to_send(), 10);
    }

    #[test]
    fn a_guest_cannot_have_read_what_was_not_sent() {
        let mut credit = Credit::new(100);
        credit.sent(10);
        assert_eq!(credit.peer(100, 11), Err(CreditError));
        assert_eq!(credit.peer(100, 10), Ok(()));
    }

    #[test]
    fn an_older_count_changes_nothing() {
        let mut credit = Credit::new(100);
        credit.sent(50);
        credit.peer(100, 40).unwrap();
        assert_eq!(credit.peer(100, 20), Ok(()));
        assert_eq!(credit.to_send(), 90);
    }

    #[test]
    fn more_than_the_buffer_is_refused() {
        let mut credit = Credit::new(0);
        assert_eq!(credit.receive(BUFFER_SIZE + 1), Err(CreditError));
        credit.receive(BUFFER_SIZE).unwrap();
        assert_eq!(credit.receive(1), Err(CreditError));
        credit.forward(1);
        credit.receive(1).unwrap();
    }

    #[test]
    fn the_guest_is_told_when_half_of_the_buffer_was_read() {
        let mut credit = Credit::new(0);
        credit.receive(BUFFER_SIZE).unwrap();
        credit.forward(UPDATE_AFTER - 1);
        assert!(!credit.is_update_due());
        credit.forward(1);
        assert!(credit.is_update_due());
        assert_eq!(credit.tell(), (BUFFER_SIZE, UPDATE_AFTER));
        assert!(!credit.is_update_due());
    }
}
