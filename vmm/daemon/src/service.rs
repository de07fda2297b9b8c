//! The daemon from its start to its end.

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::events::Events;
use crate::host::Host;
use crate::idempotency::{self, Idempotency};
use crate::images::Images;
use crate::listen::{self, ListenError};
use crate::logs::Watches;
use crate::metrics::RequestFigures;
use crate::registry::Registry;
use crate::snapshots::Snapshots;
use crate::state_dir::StateDir;
use crate::store::{self, Change, Contents, StoreError, VmRecord};
use crate::vm::{self, Context, Groups, LEFT, Origin, Private, Spares, Starts};
use crate::{routes, serve, time};
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

/// How long requests may take to end when the daemon ends.
const DRAIN: Duration = Duration::from_secs(5);

/// How often keys that are too old are looked for.
const KEY_SWEEP: Duration = Duration::from_secs(3600);

/// Why the daemon cannot run.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file or folder.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Logs cannot be followed.
    #[error("no inotify descriptor is to be had: {0}")]
    Watch(#[source] io::Error),
    /// Another daemon uses the state folder.
    #[error("another daemon uses the state folder {0}; give this one another --state-dir")]
    Locked(PathBuf),
}

/// Checks the database of a state folder, as `--check` does. Says how many VMs it knows.
///
/// # Errors
///
/// Another daemon uses it, or it is damaged.
pub fn check(config: &Config) -> Result<usize, ServiceError> {
    let state = StateDir::take(&config.state_dir)?;
    Ok(store::check(&state.database())?.vms.len())
}

/// Runs the daemon until `end` is done.
///
/// # Errors
///
/// It cannot begin.
pub async fn run(
    config: Config,
    host: Arc<dyn Host>,
    end: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    let state = StateDir::take(&config.state_dir)?;
    if config.runtime.confinement.gives_users() {
        state.warn_if_closed();
    }
    let listeners = listen::open(&config).await?;
    let descriptors = listeners.descriptors().chain([state.as_fd()]);
    let private = Private::of(descriptors);
    let private =
        private.map_err(|error| ServiceError::File(config.state_dir.join("lock"), error))?;
    let (store, contents) = store::open(&state.database())?;
    let watches = Watches::new().map_err(ServiceError::Watch)?;
    let (ends, ending) = watch::channel(false);
    let (end_tasks, tasks_end) = watch::channel(false);
    let (tasks, mut no_task) = mpsc::channel(1);
    let registry = Arc::new(Registry::default());
    let folder = config.state_dir.join("images");
    let images = Images::open(folder.clone(), store.clone(), contents.images.clone());
    let snapshot_folder = config.state_dir.join("snapshots");
    let snapshots = Snapshots::open(
        snapshot_folder.clone(),
        store.clone(),
        contents.snapshots.clone(),
    );
    let folders = config.state_dir.join("vms");
    let runtime = config.runtime.clone();
    let confinement = &config.runtime.confinement;
    let groups = Arc::new(Groups::new(confinement.cgroups && confinement.enabled));
    let spare_processes = runtime.limits.spare_processes;
    let context = Arc::new(Context {
        snapshots: snapshots.map_err(|error| ServiceError::File(snapshot_folder, error))?,
        events: Events::new(store.clone(), contents.next_event),
        store,
        images: images.map_err(|error| ServiceError::File(folder, error))?,
        private,
        spares: Spares::new(&runtime.program, &folders, &groups, spare_processes),
        groups,
        starts: Starts::new(),
        runtime,
        folders,
        registry: Arc::downgrade(&registry),
        tasks_end,
        tasks: tasks.downgrade(),
    });
    let app = Arc::new(App {
        config,
        registry,
        context,
        idempotency: Idempotency::default(),
        host,
        watches,
        requests: RequestFigures::default(),
        started: Instant::now(),
        ready: AtomicBool::new(false),
        ending,
    });
    take_up(&app, contents).await?;
    let sweep = tokio::spawn(sweep_keys(Arc::clone(&app)));
    let groups = tokio::spawn(remove_left_groups(Arc::clone(&app)));
    let served = serve::start(routes::router(Arc::clone(&app)), listeners, &app);
    listen::tell_ready();
    end.await;
    listen::tell_stopping();
    // Nobody may be listening.
    let _ = ends.send(true);
    let context = Arc::clone(&app.context);
    // They end with this process, whatever comes of it.
    let _ = tokio::task::spawn_blocking(move || context.spares.end()).await;
    served.drain(DRAIN).await;
    sweep.abort();
    groups.abort();
    if app.config.stop_vms {
        stop_all(&app).await;
    }
    end_tasks.send_replace(true);
    drop(tasks);
    // None comes: it ends when the last task has.
    let _ = no_task.recv().await;
    app.context.store.close().await;
    drop(state);
    Ok(())
}

/// Takes up the VMs that the store knows. Their tasks look for their processes, all at once.
async fn take_up(app: &Arc<App>, contents: Contents) -> Result<(), ServiceError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let boot = std::fs::read_to_string(path)
        .map_err(|error| ServiceError::File(path.to_path_buf(), error))?;
    let boot = boot.trim().to_string();
    let host_was_down = contents.boot.as_ref().is_some_and(|known| *known != boot);
    let origin = Origin::Known { host_was_down };
    let mut handles = Vec::new();
    for record in contents.vms {
        handles.push(know(app, record, origin));
    }
    let change = Change::meta("boot", &boot)?;
    let app = Arc::clone(app);
    tokio::spawn(async move {
        for handle in handles {
            let mut taken_up = handle.taken_up.clone();
            // A VM that is gone is taken up too.
            let _ = taken_up.wait_for(|done| *done).await;
        }
        // Only now: had the daemon ended before, the next one would have to know that the host
        // was down.
        app.context.store.commit_later(vec![change]);
        app.ready.store(true, Ordering::Relaxed);
        // Starts that were accepted before come first.
        app.context.spares.begin();
    });
    Ok(())
}

fn know(app: &App, record: VmRecord, origin: Origin) -> Arc<vm::Handle> {
    let (id, name, slot) = (record.id, record.name.clone(), record.slot);
    // The store has no two VMs of a name.
    let _ = app.registry.reserve(&name, id, u32::MAX);
    app.registry.take_slot(slot, id);
    let handle = vm::start(Arc::clone(&app.context), record, origin);
    app.registry.insert(Arc::clone(&handle));
    handle
}

async fn sweep_keys(app: Arc<App>) {
    loop {
        let oldest = time::now_ms().saturating_sub(idempotency::KEPT_MS);
        if let Err(error) = app.context.store.forget_keys(oldest).await {
            tracing::warn!("old idempotency keys are not forgotten: {error}");
        }
        tokio::time::sleep(KEY_SWEEP).await;
    }
}

/// Removes the control groups that daemons before this one have left, when it can be told that they
/// have.
async fn remove_left_groups(app: Arc<App>) {
    app.context.groups.remove_left();
    tokio::time::sleep(LEFT).await;
    app.context.groups.remove_left();
}

/// Stops all VMs, each within its own time.
async fn stop_all(app: &App) {
    let stops = app
        .registry
        .after(None)
        .into_iter()
        .map(|handle| async move {
            let stop = routes::command(&handle, |answer| vm::Command::Stop {
                force: false,
                grace_ms: None,
                answer,
            });
            if stop.await.is_ok() {
                // It may be deleted meanwhile.
                let _ = crate::await_state::stopped(&handle).await;
            }
        });
    futures_util::future::join_all(stops).await;
}
