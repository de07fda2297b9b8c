//! The muxer with real Unix sockets, and a guest that is made of packets.

mod credit;
mod device;
mod ends;
mod fuzz;
mod hostile;
mod random;
mod stream;

use super::credit::BUFFER_SIZE;
use super::muxer::Muxer;
use super::packet::{HOST_CID, Header, Op, TYPE_STREAM};
use crate::device::stats::DeviceStats;
use crate::device::unix_socket::{ListeningSocket, PATH_MAX};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const CID: u32 = 3;
const GUEST_PORT: u32 = 1000;
const HOST_PORT: u32 = 52;

/// A guest that has told of a buffer of `buf_alloc` bytes.
struct Guest {
    muxer: Muxer,
    stats: Arc<DeviceStats>,
    _socket: ListeningSocket,
    folder: TempDir,
    buf_alloc: u32,
    fwd_cnt: u32,
}

impl Guest {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = ListeningSocket::bind(&folder.path().join("vsock"), PATH_MAX).unwrap();
        let (path, listener) = (socket.path().to_path_buf(), socket.listen().unwrap());
        let stats = Arc::new(DeviceStats::new(0));
        let muxer = Muxer::new(CID, path, listener, Arc::clone(&stats));
        Self {
            muxer,
            stats,
            _socket: socket,
            folder,
            buf_alloc: 1 << 20,
            fwd_cnt: 0,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vsock")
    }

    /// A host program that listens for a port.
    fn listen(&self, port: u32) -> UnixListener {
        UnixListener::bind(self.folder.path().join(format!("vsock_{port}"))).unwrap()
    }

    fn header(&self, op: Op, host_port: u32) -> Header {
        Header {
            src_cid: u64::from(CID).into(),
            dst_cid: HOST_CID.into(),
            src_port: GUEST_PORT.into(),
            dst_port: host_port.into(),
            kind: TYPE_STREAM.into(),
            op: (op as u16).into(),
            buf_alloc: self.buf_alloc.into(),
            fwd_cnt: self.fwd_cnt.into(),
            ..Header::default()
        }
    }

    fn send(&mut self, op: Op, host_port: u32) {
        let header = self.header(op, host_port);
        self.muxer.receive(&header, &[]);
    }

    fn write(&mut self, host_port: u32, bytes: &[u8]) {
        let mut header = self.header(Op::ReadWrite, host_port);
        header.len = u32::try_from(bytes.len()).unwrap().into();
        self.muxer.receive(&header, bytes);
    }

    fn shut_down(&mut self, host_port: u32, flags: u32) {
        let mut header = self.header(Op::Shutdown, host_port);
        header.flags = flags.into();
        self.muxer.receive(&header, &[]);
    }

    /// Has the muxer work while `other` does, and says what came of that.
    async fn during<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(tokio::time::timeout(Duration::from_secs(60), other));
        loop {
            tokio::select! {
                result = &mut other => return result.expect("it takes too long"),
                () = self.muxer.output() => {}
            }
        }
    }

    /// The next packet and its payload.
    async fn next(&mut self) -> (Header, Vec<u8>) {
        let mut payload = vec![0; 64 << 10];
        loop {
            if let Some(header) = self.muxer.transmit(&mut payload) {
                payload.truncate(header.len.get() as usize);
                assert_eq!(header.dst_cid.get(), u64::from(CID));
                return (header, payload);
            }
            tokio::time::timeout(Duration::from_secs(60), self.muxer.output())
                .await
                .expect("no packet comes");
        }
    }

    /// The next packet, with its operation.
    async fn expect(&mut self) -> (Op, Header, Vec<u8>) {
        let (header, payload) = self.next().await;
        (header.op().unwrap(), header, payload)
    }

    /// The next packet, which is of an operation.
    async fn expect_op(&mut self, op: Op) -> Header {
        let (found, header, _) = self.expect().await;
        assert_eq!(found, op);
        header
    }

    /// There is nothing for the guest, whatever the sockets do now.
    async fn expect_nothing(&mut self) {
        self.during(async { tokio::task::yield_now().await }).await;
        let mut payload = [0; 64];
        assert_eq!(self.muxer.transmit(&mut payload), None);
    }

    /// Connects the guest to a host program.
    async fn connect(&mut self) -> UnixStream {
        let listener = self.listen(HOST_PORT);
        self.send(Op::Request, HOST_PORT);
        let (stream, _) = listener.accept().await.unwrap();
        self.expect_op(Op::Response).await;
        stream
    }

    /// Connects a host program to the guest: its stream and its port.
    async fn connect_host(&mut self, line: &str) -> (UnixStream, u32) {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        let request = self.expect_op(Op::Request).await;
        assert_eq!(request.dst_port.get(), GUEST_PORT);
        (stream, request.src_port.get())
    }
}

async fn read_exact(stream: &mut UnixStream, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn read_to_end(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Bytes that show when some are lost, doubled or in another order.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}
