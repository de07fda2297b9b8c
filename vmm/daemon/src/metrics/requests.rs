//! Requests: counted, timed, and told of in the daemon's log.

use super::text::{Kind, Text, count};
use crate::app::Shared;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use paravane_api::stats::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// The header by which a request is found in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What was counted of requests, by method, route and status.
#[derive(Debug, Default)]
pub struct RequestFigures(Mutex<BTreeMap<(String, String, u16), Histogram>>);

impl RequestFigures {
    fn count(&self, method: &str, route: &str, status: u16, ns: u64) {
        // Routes, methods that they have and the daemon's statuses are few.
        let key = (method.to_string(), route.to_string(), status);
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count(figures.entry(key).or_default(), ns);
    }

    /// The figures.
    pub fn write(&self, text: &mut Text) {
        text.family(
            "paravane_http_request_seconds",
            Kind::Histogram,
            "Requests, and the time until their answers began",
        );
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((method, route, status), histogram) in &*figures {
            let status = status.to_string();
            let labels = [
                ("method", method.as_str()),
                ("route", route),
                ("status", &status),
            ];
            text.histogram(&labels, histogram);
        }
    }
}

/// Carries out a request, and tells of it.
pub async fn observe(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = Uuid::now_v7();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>();
    // What is no route and no method of HTTP has one name, so that clients cannot make more.
    let route = route.map_or("other", MatchedPath::as_str).to_string();
    let label = if route == "other" {
        "OTHER"
    } else {
        method.as_str()
    };
    let path = request.uri().path().to_string();
    let span = tracing::info_span!("request", %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let ns = began.elapsed().as_nanos() as u64;
    let status = response.status();
    app.requests.count(label, &route, status.as_u16(), ns);
    span.in_scope(|| {
        // Who is told to wait is no defect.
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::warn!(%method, path, %status, us = ns / 1000);
        } else {
            tracing::info!(%method, path, %status, us = ns / 1000);
        }
    });
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
