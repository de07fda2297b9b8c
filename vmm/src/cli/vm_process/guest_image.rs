//! The VM's image, by which a crash is explained.

use crate::cli::exit_code::Failure;
use crate::cli::image_source::OpenImage;
use paravane::image::Image;
use std::sync::Arc;

/// The VM's image.
#[derive(Debug)]
pub enum GuestImage {
    /// It was booted.
    Read(Arc<Image>),
    /// The guest goes on from a snapshot, which takes no image. So it is no loss yet if there is
    /// none any more.
    Open(Result<OpenImage, Failure>),
}

impl GuestImage {
    /// The image, read now if it was not before.
    pub fn get(self) -> Result<Arc<Image>, Failure> {
        match self {
            Self::Read(image) => Ok(image),
            Self::Open(open) => open?.load().map(Arc::new),
        }
    }
}
