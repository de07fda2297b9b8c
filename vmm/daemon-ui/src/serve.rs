//! Answers with files.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use std::fmt::Write;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Assets;

/// What the page may load and do: only what comes from the daemon, and no script in the HTML. The
/// terminal makes style sheets of its own, which cannot be told from those in the HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    // Asked for again each time, so that a page is never older than its daemon; what has not
    // changed is answered without a body.
    (header::CACHE_CONTROL, "no-cache"),
];

/// The file at `path` in `assets/`; 304 where the request's headers say that the client has it,
/// 404 where there is none.
pub(crate) fn file(path: &str, request: &HeaderMap) -> Response {
    let mut response = match Assets::get(path) {
        None => (StatusCode::NOT_FOUND, "There is no such file.\n").into_response(),
        Some(file) => found(path, file, request),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn found(path: &str, file: EmbeddedFile, request: &HeaderMap) -> Response {
    let tag = tag(&file.metadata.sha256_hash());
    if has(request, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type(path).to_owned()),
        (header::ETAG, tag),
    ];
    (headers, Body::from(body)).into_response()
}

/// An entity tag (RFC 9110, 8.8.3) of a file with this SHA-256.
fn tag(hash: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in &hash[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Whether `If-None-Match` (RFC 9110, 13.1.2) names the tag.
fn has(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|each| each.trim().trim_start_matches("W/"));
    tags.any(|each| each == tag || each == "*")
}

/// The media type of a file by what its name ends with.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
