//! VMs: made, found, changed, deleted.

use super::carry_out::{carry_out, created};
use super::extract::Body;
use super::params::{KeyParam, PageParams};
use super::query::Query;
use crate::app::{App, Shared};
use crate::await_state;
use crate::idempotency::Turn;
use crate::problem::{Error, Kind, Result};
use crate::store::{Change, VmRecord};
use crate::time;
use crate::vm::{self, Command, Handle, Origin, Update};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use paravane_api::check;
use paravane_api::page::Page;
use paravane_api::vm::{CreateVm, UpdateVm, Vm, VmState};
use paravane_api::{Problem, VmSpec};
use std::sync::Arc;
use tokio::sync::oneshot;
use uuid::Uuid;

/// All VMs, or those that are asked for, in the order of their creation.
#[utoipa::path(get, path = "/v1/vms", tag = "vms", operation_id = "list_vms",
    params(
        ("name" = Option<String>, Query, description = "Of this name"),
        ("state" = Option<Vec<VmState>>, Query, style = Form, explode = true,
            description = "In one of these states; several are separated by commas"),
        ("label" = Option<Vec<String>>, Query, style = Form, explode = true,
            description = "With these labels, each `KEY=VALUE` or `KEY`"),
        PageParams,
    ),
    responses(
        (status = 200, body = Page<Vm>, description = "A page of VMs"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn list(State(app): State<Shared>, mut query: Query) -> Result<Json<Page<Arc<Vm>>>> {
    let limit = query.limit()?;
    let cursor = query.cursor()?;
    let filter = Filter::of(&mut query)?;
    query.finish()?;
    let mut items = Vec::new();
    let mut next_cursor = None;
    for handle in app.registry.after(cursor) {
        let vm = handle.now().vm;
        if !filter.fits(&vm) {
            continue;
        }
        if items.len() == limit {
            next_cursor = items.last().map(|vm: &Arc<Vm>| vm.id.clone());
            break;
        }
        items.push(vm);
    }
    Ok(Json(Page { items, next_cursor }))
}

struct Filter {
    name: Option<String>,
    states: Vec<VmState>,
    labels: Vec<(String, Option<String>)>,
}

impl Filter {
    fn of(query: &mut Query) -> Result<Self> {
        let mut states = Vec::new();
        for text in query.all("state") {
            states.extend(await_state::parse_states(&text)?);
        }
        let labels = query.all("label").into_iter();
        Ok(Self {
            name: query.text("name")?,
            states,
            labels: labels
                .map(|label| match label.split_once('=') {
                    Some((key, value)) => (key.to_string(), Some(value.to_string())),
                    None => (label, None),
                })
                .collect(),
        })
    }

    fn fits(&self, vm: &Vm) -> bool {
        let label = |(key, value): &(String, Option<String>)| {
            let given = vm.spec.labels.get(key);
            given.is_some() && (value.is_none() || given == value.as_ref())
        };
        self.name.as_ref().is_none_or(|name| *name == vm.name)
            && (self.states.is_empty() || self.states.contains(&vm.state))
            && self.labels.iter().all(label)
    }
}

/// Creates a VM, and starts it if that is asked for. With `start`, the answer comes when the
/// guest runs. A VM that could not be started stays, so that its log can be read.
#[utoipa::path(post, path = "/v1/vms", tag = "vms", operation_id = "create_vm",
    params(KeyParam),
    request_body = CreateVm,
    responses(
        (status = 201, body = Vm, description = "The VM",
            headers(("Location" = String, description = "Where it is"))),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn create(State(app): State<Shared>, body: Body<CreateVm>) -> Response<axum::body::Body> {
    let CreateVm { spec, start } = body.value;
    carry_out(app, body.key, move |app, turn| async move {
        let handle = match turn.made().first() {
            Some(id) => app.registry.find(id)?,
            None => make(&app, spec, start, &turn).await?,
        };
        let vm = if start {
            await_state::started(&handle, 1).await.map_err(|error| {
                let detail = format!(
                    "the VM {} was created and could not be started: {}",
                    handle.now().vm.name,
                    error.problem().detail
                );
                Error::new(Kind::StartFailed, detail)
            })?
        } else {
            handle.now().vm
        };
        created(&format!("/v1/vms/{}", vm.id), &vm)
    })
    .await
}

/// Checks what is asked for, and makes it. When this returns the VM is in the store.
async fn make(app: &App, mut spec: VmSpec, start: bool, turn: &Turn) -> Result<Arc<Handle>> {
    let _kept = app.context.images.in_use().await;
    checked(app, &mut spec, "/spec")?;
    let id = Uuid::now_v7();
    let name = spec.name.clone().unwrap_or_else(|| default_name("vm", id));
    app.registry
        .reserve(&name, id, app.config.runtime.limits.vms)?;
    let mut record = vm::new_record(id, app.registry.slot(id), name, spec);
    if start {
        record.state = VmState::Starting;
        record.starts = 1;
        record.started_ms = Some(time::now_ms());
    }
    match keep(app, &record, turn).await {
        Ok(()) => Ok(begin(app, record)),
        Err(error) => {
            app.registry.remove(id);
            Err(error)
        }
    }
}

async fn keep(app: &App, record: &VmRecord, turn: &Turn) -> Result<()> {
    let mut changes = vec![Change::vm(record)?];
    changes.extend(turn.claim(&[record.id.to_string()])?);
    Ok(app.context.store.commit(changes).await?)
}

/// Starts the task of a VM that is in the store.
pub fn begin(app: &App, record: VmRecord) -> Arc<Handle> {
    let (id, name) = (record.id, record.name.clone());
    let kind = paravane_api::event::EventKind::Created;
    let events = &app.context.events;
    events.tell(kind, id, &name, VmState::Stopped, None);
    let handle = vm::start(Arc::clone(&app.context), record, Origin::New);
    app.registry.insert(Arc::clone(&handle));
    handle
}

/// The name of a thing that was given none. The last digits of its id are random.
pub fn default_name(kind: &str, id: Uuid) -> String {
    let digits = id.simple().to_string();
    let (_, last) = digits.split_at(digits.len() - 10);
    format!("{kind}-{last}")
}

/// Checks a spec and puts digests in the place of the names of its images.
fn checked(app: &App, spec: &mut VmSpec, at: &str) -> Result<()> {
    let mut errors = check::spec(spec, at);
    app.config.runtime.limits.check_spec(spec, at, &mut errors);
    if errors.is_empty() {
        let at = format!("{at}/resources");
        errors = app.context.groups.check(&spec.resources, &at);
    }
    if !errors.is_empty() {
        return Err(Error::invalid(errors));
    }
    app.context.images.resolve(spec, at)
}

/// A VM.
#[utoipa::path(get, path = "/v1/vms/{vm}", tag = "vms", operation_id = "show_vm",
    params(("vm" = String, Path, description = "Its id or name")),
    responses(
        (status = 200, body = Vm, description = "The VM"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn show(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    query: Query,
) -> Result<Json<Arc<Vm>>> {
    query.finish()?;
    Ok(Json(app.registry.find(&vm)?.now().vm))
}

/// Changes a VM. What is asked for under `spec` takes effect with its next start.
#[utoipa::path(patch, path = "/v1/vms/{vm}", tag = "vms", operation_id = "update_vm",
    params(("vm" = String, Path, description = "Its id or name")),
    request_body = UpdateVm,
    responses(
        (status = 200, body = Vm, description = "The VM"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn update(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    query: Query,
    body: Body<UpdateVm>,
) -> Result<Json<Arc<Vm>>> {
    query.finish()?;
    let handle = app.registry.find(&vm)?;
    let UpdateVm {
        labels,
        restart,
        spec,
    } = body.value;
    let mut errors = Vec::new();
    if let Some(labels) = &labels {
        errors.extend(check::labels(labels, "/labels"));
    }
    if let Some(restart) = &restart {
        errors.extend(check::restart(restart, "/restart"));
    }
    if !errors.is_empty() {
        return Err(Error::invalid(errors));
    }
    let _kept = app.context.images.in_use().await;
    let mut update = Update {
        labels,
        restart,
        ..Update::default()
    };
    let old = handle.now().vm.name.clone();
    if let Some(mut spec) = spec {
        checked(&app, &mut spec, "/spec")?;
        update.name = spec.name.clone().filter(|name| *name != old);
        update.spec = Some(spec);
    }
    let name = update.name.clone();
    if let Some(name) = &name {
        app.registry.reserve(name, handle.id, u32::MAX)?;
    }
    let result = command(&handle, |answer| Command::Update(Box::new(update), answer)).await;
    if let Some(name) = name {
        let unused = if result.is_ok() { &old } else { &name };
        app.registry.release(unused, handle.id);
    }
    result?;
    Ok(Json(handle.now().vm))
}

/// Deletes a VM, its folder and its log.
#[utoipa::path(delete, path = "/v1/vms/{vm}", tag = "vms", operation_id = "delete_vm",
    params(
        ("vm" = String, Path, description = "Its id or name"),
        ("force" = Option<bool>, Query, description = "Also if it has a process"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn delete(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    mut query: Query,
) -> Result<StatusCode> {
    let force = query.flag("force")?;
    query.finish()?;
    let handle = app.registry.find(&vm)?;
    command(&handle, |answer| Command::Delete { force, answer }).await?;
    await_state::gone(&handle).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a VM's task do something.
pub async fn command<T>(
    handle: &Handle,
    command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let gone = || Error::new(Kind::NotFound, format!("the VM {} was deleted", handle.id));
    handle
        .commands
        .send(command(answer))
        .await
        .map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}
