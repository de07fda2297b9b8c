//! Bodies that come in parts, and what still comes of one when the answer is known.

use crate::problem::{Error, Kind, Result};
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;

/// How long a client may take to send the next part of a body.
pub const PART_LIMIT: Duration = Duration::from_secs(30);

/// For how long the rest is read. A client that sends until then does not get to see the answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads the rest of a body, and forgets it: a client that has not sent all of it would find its
/// connection closed, in place of the answer.
pub async fn discard(body: &mut Body) {
    // That it does not end is the client's own fault.
    let _ = tokio::time::timeout(LIMIT, async {
        while let Some(Ok(_)) = body.frame().await {}
    })
    .await;
}

/// As [`discard`], when the body led to an error: unless nothing of it comes.
pub async fn discard_after(error: &Error, body: &mut Body) {
    if error.status() != StatusCode::REQUEST_TIMEOUT {
        discard(body).await;
    }
}

/// The next part of a body; `None` behind the last.
///
/// # Errors
///
/// The client does not send it.
pub async fn next_part(body: &mut Body) -> Result<Option<Bytes>> {
    loop {
        let part = tokio::time::timeout(PART_LIMIT, body.frame()).await;
        let part = part.map_err(|_| {
            let detail = format!("nothing of the body came for {} s", PART_LIMIT.as_secs());
            Error::new(Kind::TimedOut, detail)
        })?;
        let Some(part) = part else { return Ok(None) };
        let part = part.map_err(|error| {
            Error::new(Kind::BadRequest, format!("the body did not come: {error}"))
        })?;
        // What is no data are trailers, which say nothing here.
        if let Ok(bytes) = part.into_data() {
            return Ok(Some(bytes));
        }
    }
}
