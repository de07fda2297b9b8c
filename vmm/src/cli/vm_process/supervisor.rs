//! Waiting for the end of the VM, and for whoever ends it before.

use super::confinement::{self, Confiner};
use super::guest_image::GuestImage;
use super::starting::{Built, Starting};
use super::stop::{Cause, Stop};
use super::{ended, panics};
use crate::cli::exit_code::Failure;
use crate::cli::session::{Event, PATIENCE, Plan, STOP_INTERVAL, Session};
use paravane::console::ring::Ring;
use paravane::process::log::{Log, console};
use paravane::process::server;
use paravane::process::state::{Channels, Order, Process};
use paravane_api::log::{LogLevel, LogSource};
use paravane_api::vm::{EndKind, Ended, Running};
use paravane_control::folder::Folder;
use paravane_control::message::Phase;
use paravane_control::plan::ProcessPlan;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

/// What a VM's process has beside the VM.
#[derive(Debug)]
pub struct Surroundings<'plan> {
    /// What it is to run.
    pub plan: &'plan ProcessPlan,
    /// Where connections come.
    pub listener: UnixListener,
    /// The VM's image.
    pub image: GuestImage,
    /// The VM's folder.
    pub folder: &'plan Folder,
    /// The VM's log.
    pub log: Arc<Log>,
    /// What the guest writes.
    pub output: Arc<Ring>,
    /// What it is confined by before the guest runs.
    pub confiner: Confiner,
}

/// Starts the VM and waits for its end, which `conclude` is told before those who are connected:
/// what that returns.
pub fn supervise(
    session: Plan,
    surroundings: Surroundings<'_>,
    conclude: impl FnOnce(Ended) -> u8,
) -> Result<u8, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_wait(&error))?;
    let Surroundings {
        plan,
        listener,
        image,
        folder,
        log,
        output,
        confiner,
    } = surroundings;
    runtime.block_on(async {
        // Before there is a guest, which from here on can be asked to end.
        let signals = Signals::new().map_err(|error| cannot_wait(&error))?;
        let listener = tokio::net::UnixListener::from_std(listener);
        let listener = listener.map_err(|error| cannot_wait(&error))?;
        let started = session.stages.started();
        let starting = Starting::begin(session, confiner)?;
        let input = starting.session.input();
        let channels = Channels {
            log: Arc::clone(&log),
            output,
            input,
        };
        let (process, orders) = Process::new(plan.start, folder.clone(), channels);
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&process)));
        let logging = tokio::spawn(copy_console(Arc::clone(&process), plan.log.rate));

        let mut supervisor = Supervisor {
            process: &process,
            plan,
            started,
            session: starting.session,
            stop: None,
        };
        let watched = supervisor
            .watch(starting.built, starting.events, orders, signals)
            .await;
        process.set_phase(Phase::Stopping);
        let cause = supervisor.stop.map(|stop| stop.cause);
        let finished = match watched {
            Ok(()) => supervisor.session.join(),
            Err(failure) => {
                // It ends with the process, if it does not before.
                supervisor.session.request_stop();
                Err(failure)
            }
        };
        let (ended, text) = match finished {
            Ok(finished) => ended::by_run(&finished, image, cause),
            Err(failure) => (ended::by_failure(panics::or(failure)), None),
        };
        // All that the guest wrote is in the log before it says how that ended.
        process.output.end();
        // A panic of its was reported.
        let _ = logging.await;
        say_end(&log, &ended, text);
        let code = conclude(ended);
        let _ = serving.await;
        Ok(code)
    })
}

fn cannot_wait(error: &io::Error) -> Failure {
    Failure::internal(format!("cannot wait for signals and connections: {error}"))
}

async fn copy_console(process: Arc<Process>, rate: u64) {
    console::copy(&process.output, &process.log, rate).await;
}

fn say_end(log: &Log, ended: &Ended, text: Option<String>) {
    let level = match ended.kind.is_failure(ended.exit_code) {
        true => LogLevel::Error,
        false => LogLevel::Info,
    };
    let message = text.or_else(|| ended.message.clone());
    let message = message.unwrap_or_else(|| match ended.kind {
        EndKind::Reboot => "the guest reboots".to_string(),
        _ => format!("the guest ended with code {}", ended.exit_code),
    });
    log.write(LogSource::Vmm, level, &message);
}

struct Supervisor<'a> {
    process: &'a Process,
    plan: &'a ProcessPlan,
    started: Instant,
    session: Session,
    stop: Option<Stop>,
}

impl Supervisor<'_> {
    /// Waits until the VM's thread ends.
    async fn watch(
        &mut self,
        mut built: oneshot::Receiver<Built>,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut orders: mpsc::Receiver<Order>,
        mut signals: Signals,
    ) -> Result<(), Failure> {
        let mut is_building = true;
        loop {
            let next = self.stop.map(|stop| stop.next);
            let timer = async {
                match next {
                    Some(next) => sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                vm = &mut built, if is_building => {
                    is_building = false;
                    if let Ok(vm) = vm {
                        self.begin(vm)?;
                    }
                }
                event = events.recv() => match event {
                    Some(Event::Built(_)) => {}
                    Some(Event::Ended(_)) | None => return Ok(()),
                },
                Some(Order::Stop { grace }) = orders.recv() => self.stop(grace),
                () = signals.terminated() => {
                    self.process.log.say("SIGTERM came");
                    self.stop(Duration::from_millis(self.plan.spec.grace_ms.0.into()));
                }
                () = timer => self.go_on_stopping()?,
            }
        }
    }

    /// The VM is built, and its guest runs.
    fn begin(&mut self, vm: Built) -> Result<(), Failure> {
        confinement::narrow()?;
        let mode = vm.live.mode;
        let running = Running {
            privilege: mode.privilege.to_string(),
            carrier: mode.carrier.to_string(),
            start_us: self.started.elapsed().as_micros() as u64,
            sandbox: vm.sandbox,
        };
        let how = match self.plan.restore {
            None => "runs",
            Some(_) => "goes on from a snapshot",
        };
        let message = format!(
            "the guest {how}: {}, {}, {} vCPUs, {} bytes of RAM, {} us after the start",
            running.privilege,
            running.carrier,
            self.plan.spec.resources.vcpus,
            self.plan.spec.resources.memory,
            running.start_us
        );
        self.process.runs(vm.live, running);
        if self.stop.is_some() {
            self.process.set_phase(Phase::Stopping);
        }
        self.process.log.say(&message);
        Ok(())
    }

    /// Ends the VM, after so much time for the guest to do it. An order that leaves it more time
    /// than the one before changes nothing.
    fn stop(&mut self, grace: Duration) {
        let now = Instant::now();
        let until = now.checked_add(grace).unwrap_or(now);
        if let Some(stop) = &mut self.stop {
            if stop.forced.is_none() && until < stop.next {
                stop.next = until;
                if grace.is_zero() {
                    stop.cause = Cause::Forced;
                }
            }
            return;
        }
        let was_paused = self.process.phase() == Phase::Paused;
        self.process.set_phase(Phase::Stopping);
        // One that is to shut down by itself has to run.
        if let Some(live) = self.process.live().filter(|_| was_paused) {
            live.control.resume();
        }
        let (cause, next) = if grace.is_zero() {
            (Cause::Forced, now)
        } else if self.session.request_shutdown() {
            self.process.log.say(&format!(
                "the guest was asked to shut down, and has {} ms for it",
                grace.as_millis()
            ));
            (Cause::Late(grace), until)
        } else {
            (Cause::Deaf, now)
        };
        self.stop = Some(Stop {
            cause,
            next,
            forced: None,
        });
    }

    /// The time of a guest is up.
    fn go_on_stopping(&mut self) -> Result<(), Failure> {
        let Some(stop) = &mut self.stop else {
            return Ok(());
        };
        let now = Instant::now();
        let since = *stop.forced.get_or_insert(now);
        if now.saturating_duration_since(since) >= PATIENCE {
            return Err(Session::cannot_stop());
        }
        stop.next = now + STOP_INTERVAL;
        self.session.request_stop();
        Ok(())
    }
}

/// The signals that this process handles.
struct Signals {
    terminate: Signal,
    /// That of a terminal that is closed: taken, and nothing is done about it.
    _hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn terminated(&mut self) {
        self.terminate.recv().await;
    }
}
