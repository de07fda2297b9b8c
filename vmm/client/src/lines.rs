//! Answers that are streams of lines.

use crate::{ClientError, Endpoint};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::BodyDataStream;
use hyper::Response;
use hyper::body::Incoming;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// The longest line in bytes.
const MAX_LINE: usize = 4 << 20;

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The lines of an answer.
pub struct Lines {
    lines: FramedRead<StreamReader<Chunks, Bytes>, LinesCodec>,
    endpoint: Arc<Endpoint>,
}

impl Lines {
    pub fn new(response: Response<Incoming>, endpoint: Arc<Endpoint>) -> Self {
        let chunks = BodyDataStream::new(response.into_body()).map_err(io::Error::other);
        let chunks: Chunks = Box::pin(chunks);
        let codec = LinesCodec::new_with_max_length(MAX_LINE);
        Self {
            lines: FramedRead::new(StreamReader::new(chunks), codec),
            endpoint,
        }
    }

    /// The next line, without its end; `None` at the end of the answer.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        let line = self.lines.next().await.transpose();
        line.map_err(|error| ClientError::Lost {
            endpoint: Endpoint::clone(&self.endpoint),
            why: error.to_string(),
        })
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}
