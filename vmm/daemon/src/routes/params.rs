//! Parameters that several routes have, for their descriptions. What they mean is in `query` and
//! `idempotency`, which read them.

#![expect(
    dead_code,
    reason = "the fields are there for what is derived from them"
)]

use utoipa::IntoParams;

/// Which page of a list is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// How many
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before
    cursor: Option<String>,
}

/// The header by which a request is known again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct KeyParam {
    /// A request that comes again with the same key is carried out once
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,128}$")]
    key: Option<String>,
}
