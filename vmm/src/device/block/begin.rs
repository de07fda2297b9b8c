//! From a chain of buffers to an operation on the image.

use super::engine::{Operation, Transfer};
use super::in_flight::Pending;
use super::request::{Header, Request, Segment, Status};
use super::server::Server;
use crate::device::DeviceError;
use crate::device::chain::Chain;

impl Server<'_> {
    /// Begins a request; one that is wrong, or easy, ends at once.
    pub(super) fn begin(&mut self, queue: usize, mut chain: Chain) -> Result<(), DeviceError> {
        let header: Header = chain.read_struct()?;
        let Some(room) = chain.writable().checked_sub(1) else {
            let reason = "a request of the block device has no room for its status";
            return Err(DeviceError::Protocol(reason.into()));
        };
        let mut data = 0;
        let bytes = chain.bytes();
        let request = self.disk.request(&header, chain.readable(), room);
        let operation = match request {
            Err(status) => return self.finish(queue, chain, status, 0),
            Ok(Request::GetId) => {
                let serial = self.disk.serial;
                let size = serial.len().min(room as usize);
                let written = chain.write(serial.get(..size).unwrap_or_default())?;
                return self.finish(queue, chain, Status::Ok, written as u32);
            }
            Ok(Request::Read { length: 0, .. } | Request::Write { length: 0, .. }) => {
                return self.finish(queue, chain, Status::Ok, 0);
            }
            Ok(Request::Read { offset, length }) => {
                data = length;
                let dma = chain.dma_to_guest(length)?;
                Operation::Read(Transfer::new(offset, Box::new(dma)))
            }
            Ok(Request::Write { offset, length }) => {
                let dma = chain.dma_from_guest(length)?;
                Operation::Write {
                    transfer: Transfer::new(offset, Box::new(dma)),
                    durable: self.write_through,
                }
            }
            Ok(Request::Flush) if self.flush_failed => {
                return self.finish(queue, chain, Status::IoError, 0);
            }
            Ok(Request::Flush) => Operation::Flush,
            Ok(Request::Discard(count)) => match self.discard(&mut chain, count)? {
                Ok(operation) => operation,
                Err(status) => return self.finish(queue, chain, status, 0),
            },
            Ok(Request::WriteZeroes) => match self.disk.zeroes_range(&chain.read_struct()?) {
                Ok((range, may_unmap)) => Operation::WriteZeroes {
                    range,
                    may_unmap,
                    durable: self.write_through,
                },
                Err(status) => return self.finish(queue, chain, status, 0),
            },
        };
        let flush = matches!(operation, Operation::Flush);
        let pending = Pending {
            queue,
            chain,
            data,
            flush,
        };
        if let Some(token) = self.in_flight.add(pending, bytes) {
            self.engine.start(token, operation);
        }
        Ok(())
    }

    fn discard(
        &self,
        chain: &mut Chain,
        count: u32,
    ) -> Result<Result<Operation, Status>, DeviceError> {
        let mut ranges = Vec::new();
        for _ in 0..count {
            let segment: Segment = chain.read_struct()?;
            match self.disk.discard_range(&segment) {
                Ok(range) => ranges.push(range),
                Err(status) => return Ok(Err(status)),
            }
        }
        // Nothing to be done, which fallocate would not take.
        ranges.retain(|range| !range.is_empty());
        Ok(Ok(Operation::Discard(ranges)))
    }
}
