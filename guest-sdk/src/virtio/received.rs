//! Bytes that have come and nobody has read yet.

use alloc::collections::VecDeque;

/// Moves as many of them into `buffer` as there are and it has room for: how many.
pub(super) fn take(received: &mut VecDeque<u8>, buffer: &mut [u8]) -> usize {
    let mut size = 0;
    while size < buffer.len() {
        let (front, _) = received.as_slices();
        let part = front.len().min(buffer.len() - size);
        if part == 0 {
            break;
        }
        buffer[size..size + part].copy_from_slice(&front[..part]);
        received.drain(..part);
        size += part;
    }
    size
}
