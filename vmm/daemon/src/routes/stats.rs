//! What VMs do and use.

use super::params::PageParams;
use super::query::Query;
use crate::app::{App, Shared};
use crate::problem::{Error, Kind, Result};
use crate::stats;
use axum::Json;
use axum::extract::{Path, State};
use paravane_api::Problem;
use paravane_api::page::Page;
use paravane_api::stats::{VmStats, VmStatsEntry};
use std::time::Duration;

/// How long a VM's process may take to say what it does.
const ONE: Duration = Duration::from_secs(5);

/// What a VM does and uses. It has to have a process.
#[utoipa::path(get, path = "/v1/vms/{vm}/stats", tag = "stats", operation_id = "vm_stats",
    params(("vm" = String, Path, description = "Its id or name")),
    responses(
        (status = 200, body = VmStats, description = "Its figures"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn one(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    query: Query,
) -> Result<Json<Box<VmStats>>> {
    query.finish()?;
    let view = app.registry.find(&vm)?.now();
    let Some(connection) = view.connection else {
        let detail = format!(
            "the VM {} is {} and has no process that could say what it does",
            view.vm.name,
            view.vm.state.name()
        );
        return Err(Error::new(Kind::WrongState, detail));
    };
    Ok(Json(stats::ask(&connection, ONE).await?))
}

/// What all VMs do and use, in the order of their creation. Those that do not say so within a
/// second have no figures.
#[utoipa::path(get, path = "/v1/stats", tag = "stats", operation_id = "stats",
    params(PageParams),
    responses(
        (status = 200, body = Page<VmStatsEntry>, description = "A page of figures"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn all(State(app): State<Shared>, mut query: Query) -> Result<Json<Page<VmStatsEntry>>> {
    let limit = query.limit()?;
    let cursor = query.cursor()?;
    query.finish()?;
    Ok(Json(page(&app, limit, cursor).await))
}

async fn page(app: &App, limit: usize, cursor: Option<uuid::Uuid>) -> Page<VmStatsEntry> {
    let mut handles = app.registry.after(cursor);
    let more = handles.len() > limit;
    handles.truncate(limit);
    let last = handles.last().filter(|_| more);
    let next_cursor = last.map(|last| last.id.to_string());
    let items = stats::of_all(handles).await;
    Page { items, next_cursor }
}
