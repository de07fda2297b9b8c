//! Renders the definitions of the ABI as `docs/abi.md` and `include/paravane.h`.
//!
//! Everything that is a definition, and what is said about it, comes from this crate's
//! source (`source.rs`, `definitions.rs`); the renderers add only what no single definition
//! can say, such as the state at entry.

mod c_header;
mod definitions;
mod markdown;
mod source;
mod text;

use definitions::Definitions;
use std::string::String;

/// The command that writes the generated files.
pub const COMMAND: &str = "cargo run -p pv-abi --features render --example generate";

/// The generated files: their paths from the root of the repository, and their contents.
///
/// # Panics
///
/// When a definition has a form that the renderers do not know; the message says where
/// it is and what to do.
pub fn files() -> [(&'static str, String); 2] {
    let definitions = Definitions::load();
    [
        ("docs/abi.md", markdown::render(&definitions)),
        ("include/paravane.h", c_header::render(&definitions)),
    ]
}
