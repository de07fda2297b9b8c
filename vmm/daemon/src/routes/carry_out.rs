//! Requests that change something are carried out once, and to their end.

use crate::app::Shared;
use crate::idempotency::{RequestKey, Turn, Verdict};
use crate::problem::{Error, Kind, Result};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use std::sync::Arc;

/// Carries out a request in a task of its own: a client that goes away does not end it halfway.
pub async fn carry_out<F>(
    app: Shared,
    key: RequestKey,
    work: impl FnOnce(Shared, Arc<Turn>) -> F + Send + 'static,
) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>>> + Send,
{
    let task = tokio::spawn(async move {
        let store = &app.context.store;
        match app.idempotency.begin(store, key).await {
            Err(error) => error.into_response(),
            Ok(Verdict::Again(response)) => response,
            Ok(Verdict::Do(turn)) => {
                let turn = Arc::new(turn);
                let result = work(Arc::clone(&app), Arc::clone(&turn)).await;
                turn.finish(store, result).await
            }
        }
    });
    task.await
        .unwrap_or_else(|error| Error::new(Kind::Internal, error.to_string()).into_response())
}

/// An answer in JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>> {
    let body =
        serde_json::to_vec(value).map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
    let mut response = (status, body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// An answer about a thing that was made and is found at `location`.
pub fn created(location: &str, value: &impl Serialize) -> Result<Response<Body>> {
    let mut response = json(StatusCode::CREATED, value)?;
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
