//! The store of images.

use crate::operation::{ADD_IMAGE, DELETE_IMAGE, LIST_IMAGES, SHOW_IMAGE};
use crate::{Client, ClientError};
use futures_util::TryStreamExt;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use paravane_api::image::StoredImage;
use paravane_api::page::Page;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// How much of an image is read at a time, in bytes.
const CHUNK: usize = 128 << 10;

impl Client {
    /// Adds an image to the store under a name, or under none but its digest. It is streamed and
    /// so not repeated when the connection is lost.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn add_image(
        &self,
        name: Option<&str>,
        size: u64,
        contents: impl AsyncRead + Send + 'static,
    ) -> Result<StoredImage, ClientError> {
        let chunks = ReaderStream::with_capacity(contents, CHUNK).map_ok(Frame::data);
        let body = UnsyncBoxBody::new(StreamBody::new(chunks));
        let octets = HeaderValue::from_static("application/octet-stream");
        let call = self
            .call(ADD_IMAGE, &[])
            .query_if("name", name)
            .header(CONTENT_TYPE, octets)
            .header(CONTENT_LENGTH, HeaderValue::from(size));
        call.answer_once(body).await
    }

    /// All images.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn all_images(&self) -> Result<Vec<StoredImage>, ClientError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let call = self.call(LIST_IMAGES, &[]);
            let call = call.query_if("cursor", cursor.as_deref());
            let page: Page<StoredImage> = call.answer().await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// An image, by its digest or a name.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn show_image(&self, image: &str) -> Result<StoredImage, ClientError> {
        self.call(SHOW_IMAGE, &[image]).answer().await
    }

    /// Deletes an image, or a name of one.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn delete_image(&self, image: &str) -> Result<(), ClientError> {
        self.call(DELETE_IMAGE, &[image]).delete().await
    }
}
