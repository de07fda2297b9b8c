//! The web page of the Paravane daemon, served under `/ui`.
//!
//! The page is HTML, style sheets and ECMAScript modules in `assets/`, as they are written: there
//! is no build step. All of it is in the program, so it works with no network access; libraries of
//! others are in `assets/vendor/`. The files are part of the program's read-only data and are
//! served from there without a copy, so they take memory only when somebody asks for them. A debug
//! build reads them from the source tree instead, and shows a change when the page is reloaded.
//!
//! The files themselves say nothing about any VM and need no token; what the page shows, it asks
//! the API for.

mod serve;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Redirect;
use axum::routing::get;

/// The routes of the page: `/ui`, which leads to `/ui/`, and the files below that.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        // The page names its files relative to its own address.
        .route("/ui", get(async || Redirect::permanent("/ui/")))
        .route(
            "/ui/",
            get(async |headers: HeaderMap| serve::file("index.html", &headers)),
        )
        .route(
            "/ui/{*path}",
            get(async |Path(path): Path<String>, headers: HeaderMap| serve::file(&path, &headers)),
        )
}
