//! The last of what a guest wrote, for any number of readers at once.
//!
//! The vCPU's thread copies into memory of fixed size and waits for nobody. A reader that is so
//! slow that bytes are overwritten before it has read them loses them, and learns how many.

use crate::sync::lock;
use std::sync::Mutex;
use tokio::sync::Notify;

/// How many bytes are kept.
pub const RING_CAPACITY: usize = 64 << 10;

/// Where a guest's output is kept.
#[derive(Debug)]
pub struct Ring {
    state: Mutex<State>,
    // Wakes readers without a system call when none of them waits.
    changed: Notify,
    // Wakes those who wait for the end alone, which is not at each write.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    // Byte number n is at n % RING_CAPACITY.
    bytes: Box<[u8]>,
    /// How many bytes were written in all.
    written: u64,
    ended: bool,
}

/// A place in what a guest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes were overwritten; those after them are still there.
    Lost(u64),
    /// So many bytes, which were copied.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The guest has ended, and all of it was read.
    End,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                bytes: vec![0; RING_CAPACITY].into(),
                written: 0,
                ended: false,
            }),
            changed: Notify::new(),
            ended: Notify::new(),
        }
    }
}

impl State {
    /// The first byte that is still there.
    fn first(&self) -> u64 {
        self.written.saturating_sub(RING_CAPACITY as u64)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.written = self.written.wrapping_add(bytes.len() as u64);
        // Those before them would be overwritten at once.
        let kept = bytes.len().saturating_sub(RING_CAPACITY);
        let kept = bytes.get(kept..).unwrap_or_default();
        let at = (self.written.wrapping_sub(kept.len() as u64) % RING_CAPACITY as u64) as usize;
        let (before, after) = self.bytes.split_at_mut(at);
        let (to_end, wrapped) = kept.split_at(kept.len().min(after.len()));
        copy(after, to_end);
        copy(before, wrapped);
    }

    fn read(&self, from: u64, to: &mut [u8]) -> usize {
        let available = self.written.saturating_sub(from).min(to.len() as u64) as usize;
        let (to, _) = to.split_at_mut(available);
        let at = (from % RING_CAPACITY as u64) as usize;
        let (before, after) = self.bytes.split_at(at);
        let (first, second) = to.split_at_mut(available.min(after.len()));
        copy(first, after);
        copy(second, before);
        available
    }
}

/// Copies as much as there is on both sides.
fn copy(to: &mut [u8], from: &[u8]) {
    let size = to.len().min(from.len());
    let (to, _) = to.split_at_mut(size);
    to.copy_from_slice(from.split_at(size).0);
}

impl Ring {
    /// Writes all of it.
    pub fn write(&self, bytes: &[u8]) {
        lock(&self.state).write(bytes);
        self.changed.notify_waiters();
    }

    /// Nothing more will be written.
    pub fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_waiters();
        self.ended.notify_waiters();
    }

    /// The place of the oldest byte that is kept.
    pub fn oldest(&self) -> Cursor {
        Cursor(lock(&self.state).first())
    }

    /// Reads what there is at the cursor, and moves it on.
    pub fn read(&self, cursor: &mut Cursor, bytes: &mut [u8]) -> Found {
        let state = lock(&self.state);
        let first = state.first();
        if cursor.0 < first {
            let lost = first - cursor.0;
            cursor.0 = first;
            return Found::Lost(lost);
        }
        let count = state.read(cursor.0, bytes);
        cursor.0 = cursor.0.wrapping_add(count as u64);
        match count {
            0 if state.ended => Found::End,
            0 => Found::Nothing,
            count => Found::Bytes(count),
        }
    }

    /// Whether there is something behind the cursor.
    pub fn has_more(&self, cursor: Cursor) -> bool {
        cursor.0 < lock(&self.state).written
    }

    /// As [`Ring::read`], waiting until there is something. It can be dropped while it waits.
    pub async fn next(&self, cursor: &mut Cursor, bytes: &mut [u8]) -> Found {
        loop {
            // Before looking, so that nothing written after it is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.read(cursor, bytes) {
                Found::Nothing => changed.await,
                found => return found,
            }
        }
    }

    /// Waits until nothing more will be written.
    pub async fn ended(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        // Before looking, as in `next`.
        ended.as_mut().enable();
        if !lock(&self.state).ended {
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn read_all(ring: &Ring, cursor: &mut Cursor) -> (Vec<u8>, u64) {
        let (mut all, mut lost) = (Vec::new(), 0);
        let mut bytes = [0; 1000];
        loop {
            match ring.read(cursor, &mut bytes) {
                Found::Bytes(count) => all.extend_from_slice(&bytes[..count]),
                Found::Lost(count) => lost += count,
                Found::Nothing | Found::End => return (all, lost),
            }
        }
    }

    #[test]
    fn each_reader_has_its_own_place() {
        let ring = Ring::default();
        let mut early = ring.oldest();
        ring.write(b"one ");
        assert_eq!(read_all(&ring, &mut early), (b"one ".to_vec(), 0));
        ring.write(b"two");
        let mut late = ring.oldest();
        assert_eq!(read_all(&ring, &mut early), (b"two".to_vec(), 0));
        assert_eq!(read_all(&ring, &mut late), (b"one two".to_vec(), 0));
        assert_eq!(ring.read(&mut late, &mut [0; 4]), Found::Nothing);
        ring.end();
        assert_eq!(ring.read(&mut late, &mut [0; 4]), Found::End);
    }

    #[test]
    fn what_is_written_at_once_and_too_long_leaves_its_end() {
        let ring = Ring::default();
        let mut cursor = ring.oldest();
        let long: Vec<u8> = (0..RING_CAPACITY * 2 + 5).map(|n| n as u8).collect();
        ring.write(&long);
        let (read, lost) = read_all(&ring, &mut cursor);
        assert_eq!(lost, RING_CAPACITY as u64 + 5);
        assert!(read == long[RING_CAPACITY + 5..]);
    }

    proptest! {
        #[test]
        fn what_is_not_lost_is_as_it_was_written(
            steps in proptest::collection::vec((1..40_000usize, any::<bool>()), 1..20),
        ) {
            let ring = Ring::default();
            let mut cursor = ring.oldest();
            let mut written = Vec::new();
            let mut place = 0;
            for (size, read) in steps {
                let piece: Vec<u8> = (0..size).map(|n| (n * 7 + size) as u8).collect();
                ring.write(&piece);
                written.extend_from_slice(&piece);
                if read {
                    let (bytes, lost) = read_all(&ring, &mut cursor);
                    place += lost as usize;
                    prop_assert!(bytes == written[place..]);
                    place = written.len();
                }
            }
        }
    }

    #[tokio::test]
    async fn readers_are_woken_by_another_thread() {
        let ring = Arc::new(Ring::default());
        let mut cursor = ring.oldest();
        let writer = Arc::clone(&ring);
        let reader = async {
            let mut all = Vec::new();
            let mut bytes = [0; 16];
            while let Found::Bytes(count) = ring.next(&mut cursor, &mut bytes).await {
                all.extend_from_slice(&bytes[..count]);
            }
            all
        };
        let thread = std::thread::spawn(move || {
            writer.write(b"from ");
            writer.write(b"there");
            writer.end();
        });
        assert_eq!(reader.await, b"from there");
        ring.ended().await;
        thread.join().unwrap();
    }
}
