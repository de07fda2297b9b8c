//! Frames of a console connection: a type, a length of 4 bytes (little-endian), and the payload.
//!
//! The process ends the connection when the VM has ended and all that it wrote was sent, when another
//! connection has taken the right to type, and when its client sends no more.

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest payload in bytes.
pub const MAX_PAYLOAD: usize = 64 << 10;

const DATA: u8 = 0;
const LOST: u8 = 1;
const HEADER: usize = 5;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// What the guest wrote, or what was typed.
    Data(Vec<u8>),
    /// So many bytes of the guest's were lost because this reader was slow.
    Lost(u64),
}

/// Why there is no next frame.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The connection failed or ended within a frame.
    #[error("the console connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// What came is no frame.
    #[error(
        "a console frame of type {kind} has {length} bytes; a data frame has at most {MAX_PAYLOAD}"
    )]
    Malformed {
        /// The type.
        kind: u8,
        /// The length.
        length: usize,
    },
}

impl Frame {
    /// Reads a frame; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// The connection fails, or what comes is no frame.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let kind = match from.read_u8().await {
            Ok(kind) => kind,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = from.read_u32_le().await? as usize;
        match kind {
            DATA if length <= MAX_PAYLOAD => {
                let mut payload = vec![0; length];
                from.read_exact(&mut payload).await?;
                Ok(Some(Self::Data(payload)))
            }
            LOST if length == size_of::<u64>() => Ok(Some(Self::Lost(from.read_u64_le().await?))),
            kind => Err(FrameError::Malformed { kind, length }),
        }
    }

    /// Writes the frame. Data of more than [`MAX_PAYLOAD`] bytes becomes several.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        match self {
            Self::Data(data) => {
                for part in data.chunks(MAX_PAYLOAD) {
                    write_frame(to, DATA, part).await?;
                }
                Ok(())
            }
            Self::Lost(bytes) => write_frame(to, LOST, &bytes.to_le_bytes()).await,
        }
    }
}

async fn write_frame(
    to: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.push(kind);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(payload);
    to.write_all(&frame).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_as_they_were_sent() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let long = vec![7; MAX_PAYLOAD + 1];
        for frame in [
            Frame::Data(long),
            Frame::Lost(1 << 40),
            Frame::Data(Vec::new()),
        ] {
            frame.write(&mut near).await.unwrap();
        }
        drop(near);
        let mut sizes = Vec::new();
        while let Some(frame) = Frame::read(&mut far).await.unwrap() {
            sizes.push(match frame {
                Frame::Data(data) => data.len(),
                Frame::Lost(bytes) => bytes as usize,
            });
        }
        assert_eq!(sizes, [MAX_PAYLOAD, 1, 1 << 40]);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_told() {
        for bad in [
            &[9, 0, 0, 0, 0][..],
            &[DATA, 1, 0, 1, 0],
            &[LOST, 4, 0, 0, 0],
        ] {
            let error = Frame::read(&mut &*bad).await.unwrap_err();
            assert!(matches!(error, FrameError::Malformed { .. }), "{error}");
        }
        let cut = Frame::read(&mut &[DATA, 3, 0, 0, 0, 1][..]).await;
        assert!(matches!(cut, Err(FrameError::Io(_))), "{cut:?}");
    }
}
