//! The daemon itself.

use crate::app::Shared;
use crate::problem::{Error, Kind, Result};
use axum::Json;
use axum::extract::State;
use paravane_api::Problem;
use paravane_api::info::DaemonInfo;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Whether the daemon answers.
#[utoipa::path(get, path = "/healthz", tag = "daemon", operation_id = "healthz",
    responses((status = 200, body = String, content_type = "text/plain", description = "It does")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether all VMs that ran when the daemon started are managed again.
#[utoipa::path(get, path = "/readyz", tag = "daemon", operation_id = "readyz",
    responses(
        (status = 200, body = String, content_type = "text/plain", description = "They are"),
        (status = 503, body = Problem, content_type = "application/problem+json",
            description = "Not yet"),
    ))]
pub async fn readyz(State(app): State<Shared>) -> Result<&'static str> {
    if app.ready.load(Ordering::Relaxed) {
        Ok("ready\n")
    } else {
        Err(Error::new(
            Kind::Unavailable,
            "VMs that run are being taken up",
        ))
    }
}

/// What the daemon is.
#[utoipa::path(get, path = "/v1/info", tag = "daemon", operation_id = "info",
    responses(
        (status = 200, body = DaemonInfo, description = "What it is"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn info(State(app): State<Shared>) -> Result<Json<DaemonInfo>> {
    let mut vms = BTreeMap::new();
    for handle in app.registry.after(None) {
        *vms.entry(handle.now().vm.state.name().to_string())
            .or_default() += 1;
    }
    let (host, kvm) = (app.host.clone(), app.config.runtime.kvm.clone());
    let host = tokio::task::spawn_blocking(move || host.info(&kvm))
        .await
        .map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
    Ok(Json(DaemonInfo {
        version: env!("CARGO_PKG_VERSION").to_string(),
        api: "v1".to_string(),
        uptime_ms: app.started.elapsed().as_millis() as u64,
        pid: std::process::id(),
        host,
        vms,
    }))
}
