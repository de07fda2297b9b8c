//! Figures for Prometheus.

use crate::app::Shared;
use crate::metrics::{MEDIA_TYPE, Text, daemon, vms};
use crate::stats;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

/// Figures in the text format of Prometheus. VMs that do not say what they do within a second
/// have only a state.
#[utoipa::path(get, path = "/metrics", tag = "stats", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Figures")))]
pub async fn metrics(State(app): State<Shared>) -> impl IntoResponse {
    let entries = stats::of_all(app.registry.after(None)).await;
    let mut text = Text::default();
    daemon(&app, &mut text);
    vms(&entries, &mut text);
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], text.finish())
}
