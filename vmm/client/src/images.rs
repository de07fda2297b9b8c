//! The store of images.

use crate::operation::{ADD_IMAGE, DELETE_IMAGE, LIST_IMAGES, SHOW_IMAGE};
use crate::request::streamed;
use crate::{Client, ClientError};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use paravane_api::image::StoredImage;
use paravane_api::page::Page;
use tokio::io::AsyncRead;

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
        let octets = HeaderValue::from_static("application/octet-stream");
        let call = self
            .call(ADD_IMAGE, &[])
            .query_if("name", name)
            .header(CONTENT_TYPE, octets)
            .header(CONTENT_LENGTH, HeaderValue::from(size));
        call.answer_once(streamed(contents)).await
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
