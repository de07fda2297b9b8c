//! What still comes of a body when the answer is known.

use axum::body::Body;
use http_body_util::BodyExt;
use std::time::Duration;

/// For how long it is read. A client that sends until then does not get to see the answer.
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
