//! Where an image comes from: a file, or this program.

use super::built_in;
use super::exit_code::{self, Failure};
use paravane::image::{Image, ImageError, ImageFile};
use paravane::vm::VmError;
use std::fmt;
use std::path::PathBuf;

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// The guest kernel that is built in.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// An image that is open.
#[derive(Debug)]
pub struct OpenImage {
    source: ImageSource,
    /// The built-in one has none.
    file: Option<ImageFile>,
}

impl OpenImage {
    /// Reads and checks the image.
    pub fn load(self) -> Result<Image, Failure> {
        let image = match self.file {
            None => Image::parse(built_in::guest_kernel()),
            Some(file) => file.read(),
        };
        image.map_err(|error| self.source.failure(error.into()))
    }
}

impl From<Option<PathBuf>> for ImageSource {
    fn from(path: Option<PathBuf>) -> Self {
        path.map_or(Self::BuiltIn, Self::File)
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("the built-in guest kernel"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl ImageSource {
    /// Reads and checks the image. The built-in one is used where it is.
    pub fn load(&self) -> Result<Image, Failure> {
        self.open()?.load()
    }

    /// Opens the image, to be read when it is needed.
    pub fn open(&self) -> Result<OpenImage, Failure> {
        let file = match self {
            Self::BuiltIn => Ok(None),
            Self::File(path) => ImageFile::open(path).map(Some),
        };
        Ok(OpenImage {
            file: file.map_err(|error| self.failure(error.into()))?,
            source: self.clone(),
        })
    }

    /// The guest's memory has what it needs of the image now.
    pub fn let_go(&self) {
        if matches!(self, Self::BuiltIn) {
            built_in::let_go();
        }
    }

    /// What went wrong with a VM of this image; the message names the image where it is the
    /// image's fault.
    pub fn failure(&self, error: VmError) -> Failure {
        match error {
            VmError::Image(error) if !names_file(&error) => {
                Failure::new(exit_code::of_image(&error), format!("{self}: {error}"))
            }
            error => error.into(),
        }
    }
}

/// Whether the error's message has the path already.
fn names_file(error: &ImageError) -> bool {
    matches!(
        error,
        ImageError::NotFound { .. }
            | ImageError::PermissionDenied { .. }
            | ImageError::NotRegular { .. }
            | ImageError::TooLarge { .. }
            | ImageError::Unreadable { .. }
    )
}
