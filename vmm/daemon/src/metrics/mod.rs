//! Figures in the text format of Prometheus (version 0.0.4).

mod daemon;
mod requests;
mod text;
mod vms;

pub use daemon::daemon;
pub use requests::{RequestFigures, observe};
pub use text::Text;
pub use vms::vms;

/// The media type.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
