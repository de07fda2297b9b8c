//! Lines of JSON on a connection.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// The longest line in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// Why there is no next line.
#[derive(Debug, Error)]
pub enum LineError {
    /// The connection failed.
    #[error("the control connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The line is too long, or the connection ended within it.
    #[error("a line of the control connection has no end within {MAX_LINE} bytes")]
    NoEnd,
    /// The line is not what was expected.
    #[error("a line of the control connection cannot be understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Reads a line; `None` at the end of the connection. Not to be dropped before it is done if the
/// connection is to be used further.
///
/// # Errors
///
/// The connection fails, or what comes is no such line.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<T>, LineError> {
    let mut line = Vec::new();
    loop {
        let ready = from.fill_buf().await?;
        if ready.is_empty() {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(LineError::NoEnd)
            };
        }
        let end = ready.iter().position(|&byte| byte == b'\n');
        let (part, _) = ready.split_at(end.unwrap_or(ready.len()));
        if line.len() + part.len() > MAX_LINE {
            return Err(LineError::NoEnd);
        }
        line.extend_from_slice(part);
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            return Ok(Some(serde_json::from_slice(&line)?));
        }
    }
}

/// Writes a line.
///
/// # Errors
///
/// The connection fails.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    value: &T,
) -> Result<(), LineError> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(to.write_all(&line).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Answer, Message, Refusal, Request};
    use tokio::io::BufReader;

    #[tokio::test]
    async fn lines_come_as_they_were_sent() {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let sent = [
            Request::Status,
            Request::Stop { grace_ms: 7 },
            Request::Console {
                write: true,
                steal: false,
            },
        ];
        for request in &sent {
            write(&mut near, request).await.unwrap();
        }
        drop(near);
        let mut far = BufReader::with_capacity(3, far);
        for request in &sent {
            assert_eq!(read(&mut far).await.unwrap().as_ref(), Some(request));
        }
        assert_eq!(read::<Request>(&mut far).await.unwrap(), None);
    }

    #[tokio::test]
    async fn replies_keep_what_they_say() {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let sent = [
            Message::Reply(Ok(Answer::Done)),
            Message::Reply(Err(Refusal::Busy("another one types".to_string()))),
        ];
        for message in &sent {
            write(&mut near, message).await.unwrap();
        }
        let mut far = BufReader::new(far);
        for message in &sent {
            assert_eq!(read(&mut far).await.unwrap().as_ref(), Some(message));
        }
    }

    #[tokio::test]
    async fn what_is_no_line_is_told() {
        let endless = vec![b' '; MAX_LINE + 1];
        assert!(matches!(
            read::<Request>(&mut &*endless).await,
            Err(LineError::NoEnd)
        ));
        assert!(matches!(
            read::<Request>(&mut &b"\"status\""[..]).await,
            Err(LineError::NoEnd)
        ));
        let unknown = read::<Request>(&mut &b"\"dance\"\n"[..]).await;
        assert!(matches!(unknown, Err(LineError::Malformed(_))));
    }
}
