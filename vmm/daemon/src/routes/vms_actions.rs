//! What a VM is told to do.

use super::carry_out::{carry_out, json};
use super::extract::OptionalBody;
use super::params::KeyParam;
use super::query::Query;
use super::vms::command;
use crate::app::Shared;
use crate::await_state;
use crate::idempotency::Turn;
use crate::problem::{Error, Kind, Result};
use crate::vm::Command;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use paravane_api::vm::{StopVm, Vm, VmState};
use paravane_api::{Problem, check};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may wait for a state, in milliseconds.
const MAX_WAIT_MS: u64 = 3_600_000;

/// A body that says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

macro_rules! action {
    ($(#[doc = $doc:literal])+ $name:ident, $path:literal, $id:literal, $done:literal, $work:expr) => {
        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "vms", operation_id = $id,
            params(
                ("vm" = String, Path, description = "Its id or name"),
                KeyParam,
            ),
            responses(
                (status = 200, body = Vm, description = $done),
                (status = "default", body = Problem, content_type = "application/problem+json",
                    description = "What is wrong"),
            ))]
        pub async fn $name(
            State(app): State<Shared>,
            Path(vm): Path<String>,
            query: Query,
            OptionalBody(body): OptionalBody<Nothing>,
        ) -> Result<Response<Body>> {
            query.finish()?;
            Ok(carry_out(app, body.key, move |app, turn| async move {
                let handle = app.registry.find(&vm)?;
                let work = $work;
                let vm: Arc<Vm> = work(handle, turn).await?;
                json(StatusCode::OK, &vm)
            })
            .await)
        }
    };
}

type Found = Arc<crate::vm::Handle>;

/// The number of the start that this request, or the same one before, has brought about.
fn accepted(turn: &Turn) -> Option<u64> {
    turn.made().first()?.parse().ok()
}

action! {
    /// Starts a VM; the answer comes when the guest runs. One that runs is left alone.
    start, "/v1/vms/{vm}/start", "start_vm", "The guest runs",
    async |handle: Found, turn: Arc<Turn>| {
        let start = match accepted(&turn) {
            Some(start) => start,
            None => command(&handle, |answer| Command::Start { turn, answer }).await?,
        };
        await_state::started(&handle, start).await
    }
}

action! {
    /// Pauses a VM; the answer comes when the guest does not run.
    pause, "/v1/vms/{vm}/pause", "pause_vm", "The guest does not run",
    async |handle: Found, _| {
        command(&handle, Command::Pause).await?;
        Ok::<_, Error>(handle.now().vm)
    }
}

action! {
    /// Resumes a VM that was paused.
    resume, "/v1/vms/{vm}/resume", "resume_vm", "The guest runs",
    async |handle: Found, _| {
        command(&handle, Command::Resume).await?;
        Ok::<_, Error>(handle.now().vm)
    }
}

action! {
    /// Starts a VM anew without asking its guest; the answer comes when the guest runs.
    reset, "/v1/vms/{vm}/reset", "reset_vm", "The guest runs",
    async |handle: Found, turn: Arc<Turn>| {
        let start = match accepted(&turn) {
            Some(start) => start,
            None => command(&handle, |answer| Command::Reset { turn, answer }).await?,
        };
        await_state::reached(&handle, start).await?;
        await_state::started(&handle, start).await
    }
}

/// Stops a VM: the guest is asked to shut down, and what does not end in time is forced to. The
/// answer comes when it has ended. A body is not needed.
#[utoipa::path(post, path = "/v1/vms/{vm}/stop", tag = "vms", operation_id = "stop_vm",
    params(
        ("vm" = String, Path, description = "Its id or name"),
        KeyParam,
    ),
    request_body = Option<StopVm>,
    responses(
        (status = 200, body = Vm, description = "It has ended"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn stop(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    query: Query,
    OptionalBody(body): OptionalBody<StopVm>,
) -> Result<Response<Body>> {
    query.finish()?;
    let StopVm { force, grace_ms } = body.value;
    if let Some(wrong) = grace_ms.and_then(check::grace) {
        return Err(Error::field("/grace_ms", wrong));
    }
    Ok(carry_out(app, body.key, move |app, _| async move {
        let handle = app.registry.find(&vm)?;
        command(&handle, |answer| Command::Stop {
            force,
            grace_ms,
            answer,
        })
        .await?;
        json(StatusCode::OK, &await_state::stopped(&handle).await?)
    })
    .await)
}

/// Waits until a VM is in one of the given states.
#[utoipa::path(get, path = "/v1/vms/{vm}/wait", tag = "vms", operation_id = "wait_vm",
    params(
        ("vm" = String, Path, description = "Its id or name"),
        ("state" = Vec<VmState>, Query, style = Form, explode = false,
            description = "The states, separated by commas"),
        ("timeout_ms" = Option<u64>, Query, maximum = 3_600_000,
            description = "How long, in milliseconds; a minute without it"),
    ),
    responses(
        (status = 200, body = Vm, description = "It is in one of the states"),
        (status = 408, body = Problem, content_type = "application/problem+json",
            description = "It is not"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn wait(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    mut query: Query,
) -> Result<Json<Arc<Vm>>> {
    let text = query.text("state")?;
    let limit = query.value::<u64>("timeout_ms", "a number of milliseconds")?;
    query.finish()?;
    let text = text.ok_or_else(|| Error::parameter("state", "it is missing"))?;
    let states = await_state::parse_states(&text)?;
    let limit = limit.unwrap_or(60_000);
    if limit > MAX_WAIT_MS {
        let detail = format!("{limit} is too long: at most {MAX_WAIT_MS}");
        return Err(Error::parameter("timeout_ms", detail));
    }
    let handle = app.registry.find(&vm)?;
    let found = await_state::in_one_of(&handle, &states);
    tokio::select! {
        found = tokio::time::timeout(Duration::from_millis(limit), found) => match found {
            Ok(vm) => Ok(Json(vm?)),
            Err(_) => {
                let vm = handle.now().vm;
                let detail = format!(
                    "after {limit} ms the VM {} is {} and not {text}",
                    vm.name,
                    vm.state.name()
                );
                Err(Error::new(Kind::TimedOut, detail))
            }
        },
        () = app.ends() => Err(Error::new(Kind::Unavailable, "the daemon ends")),
    }
}
