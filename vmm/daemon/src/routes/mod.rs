//! The routes of the API, a file for each resource.

mod archives;
mod carry_out;
mod console;
mod events;
mod extract;
mod images;
mod info;
mod logs;
mod metrics;
mod objects;
mod params;
mod query;
mod receive;
mod snapshots;
mod stats;
mod vms;
mod vms_actions;

pub use vms::command;

use crate::app::Shared;
use crate::problem::{Error, Kind};
use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The service, and its description.
pub fn api() -> (Router<Shared>, OpenApi) {
    OpenApiRouter::with_openapi(crate::openapi::base())
        .routes(routes!(info::healthz))
        .routes(routes!(info::readyz))
        .routes(routes!(info::info))
        .routes(routes!(vms::list, vms::create))
        .routes(routes!(vms::show, vms::update, vms::delete))
        .routes(routes!(vms_actions::start))
        .routes(routes!(vms_actions::stop))
        .routes(routes!(vms_actions::pause))
        .routes(routes!(vms_actions::resume))
        .routes(routes!(vms_actions::reset))
        .routes(routes!(vms_actions::wait))
        .routes(routes!(stats::one))
        .routes(routes!(stats::all))
        .routes(routes!(logs::logs))
        .routes(routes!(console::console))
        .routes(routes!(metrics::metrics))
        .routes(routes!(images::list, images::add))
        .routes(routes!(images::show, images::remove))
        .routes(routes!(snapshots::take))
        .routes(routes!(snapshots::list, archives::import))
        .routes(routes!(archives::export))
        .routes(routes!(snapshots::show, snapshots::remove))
        .routes(routes!(snapshots::restore))
        .routes(routes!(events::events))
        .split_for_parts()
}

/// All that is served.
pub fn router(app: Shared) -> Router {
    let (api, document) = api();
    let document = crate::openapi::finish(document);
    api.route(
        "/openapi.json",
        axum::routing::get(move || {
            let document = document.clone();
            async move { axum::Json(document) }
        }),
    )
    .merge(paravane_daemon_ui::router())
    .fallback(unknown)
    .method_not_allowed_fallback(wrong_method)
    .layer(middleware::from_fn_with_state(
        Arc::clone(&app),
        crate::metrics::observe,
    ))
    .with_state(app)
}

async fn unknown(uri: Uri) -> Error {
    let detail = format!(
        "there is no {}; /openapi.json says what there is",
        uri.path()
    );
    Error::new(Kind::NotFound, detail)
}

async fn wrong_method(method: Method, uri: Uri) -> Error {
    let detail = format!("{} cannot be used with the method {method}", uri.path());
    Error::new(Kind::MethodNotAllowed, detail)
}
