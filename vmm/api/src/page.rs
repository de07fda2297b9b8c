//! Lists that come in pages.

use serde::{Deserialize, Serialize};

/// How many things a page has when the client does not say.
pub const DEFAULT_LIMIT: u32 = 100;
/// How many things a page has at most.
pub const MAX_LIMIT: u32 = 1000;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The things, in the order of their creation.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; not there on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
