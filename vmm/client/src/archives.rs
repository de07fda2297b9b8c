//! Snapshots as archives, for other hosts.

use crate::operation::{EXPORT_SNAPSHOT, IMPORT_SNAPSHOT};
use crate::request::streamed;
use crate::{Client, ClientError};
use futures_util::TryStreamExt;
use http_body_util::BodyStream;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use paravane_api::snapshot::Snapshot;
use std::io;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

impl Client {
    /// Reads a snapshot as an archive. That it comes to its end is that it is whole.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; those of the reader are that the connection was lost.
    pub async fn export_snapshot(
        &self,
        snapshot: &str,
    ) -> Result<impl AsyncRead + Send + use<>, ClientError> {
        let response = self.call(EXPORT_SNAPSHOT, &[snapshot]).send().await?;
        let frames = BodyStream::new(response.into_body()).map_err(io::Error::other);
        let parts = frames.try_filter_map(async |frame| Ok(frame.into_data().ok()));
        Ok(StreamReader::new(Box::pin(parts)))
    }

    /// Gives the daemon an archive, under the snapshot's name or another one. It is streamed and so not
    /// repeated when the connection is lost.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn import_snapshot(
        &self,
        name: Option<&str>,
        archive: impl AsyncRead + Send + 'static,
    ) -> Result<Snapshot, ClientError> {
        let octets = HeaderValue::from_static("application/octet-stream");
        let call = self
            .call(IMPORT_SNAPSHOT, &[])
            .query_if("name", name)
            .header(CONTENT_TYPE, octets);
        call.answer_once(streamed(archive)).await
    }
}
