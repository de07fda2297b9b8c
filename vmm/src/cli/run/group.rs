//! The guests that one program runs together.

use super::GuestRequest;
use super::gate::{Gate, Opener};
use crate::cli::exit_code::{Failure, notice};
use crate::cli::session::cause::StopCause;
use crate::cli::session::conclusion::{Conclusion, Kind};
use crate::cli::session::{Event, Origin, OutputSource, Plan, Run, Session};
use paravane::console::input::InputBuffer;
use paravane::console::labelled::SharedOutput;
use paravane::grant::{Domains, Seat};
use paravane::image::Image;
use paravane::vm::stages::Stages;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// A guest and what became of it.
#[derive(Debug)]
struct Member {
    image: Arc<Image>,
    // Until it has ended.
    session: Option<Session>,
    outcome: Option<Outcome>,
}

/// How a guest ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its VM as it was when it ended; `None` when there is none.
    pub run: Option<Run>,
    /// What is to be said about it.
    pub conclusion: Conclusion,
}

/// All guests of the program, by number. Those that still run are stopped when it is dropped.
#[derive(Debug)]
pub struct Group {
    members: Vec<Member>,
    input: Arc<InputBuffer>,
    // Until the guests may run.
    opener: Option<Opener>,
}

impl Group {
    /// Starts a thread for each guest, which builds its VM and, when [`Group::may_run`] was called,
    /// runs it; `on_built` is called when the first one is about to run.
    ///
    /// What is wrong with what was asked for is found before anything is started, as far as it
    /// can be.
    pub fn start(
        guests: &[GuestRequest],
        kvm: &Path,
        mut stages: Stages,
        events: &UnboundedSender<Event>,
        on_built: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let mut loaded = Vec::with_capacity(guests.len());
        for guest in guests {
            loaded.push((Arc::new(guest.source.load()?), guest.open_initrd()?));
        }
        stages.done("image");

        let domains = Arc::new(Domains::new(guests.len() as u32));
        let output = match guests {
            [_] => None,
            _ => Some(Arc::new(SharedOutput::new(stdout()?))),
        };
        let gate = Gate::default();
        let mut group = Self {
            members: Vec::with_capacity(guests.len()),
            input: Arc::default(),
            opener: Some(gate.opener()),
        };
        let mut on_built = Some(on_built);
        for ((number, guest), (image, initrd)) in (0..).zip(guests).zip(loaded) {
            let mut config = guest.config.clone();
            config.seat = Seat {
                domains: Arc::clone(&domains),
                guest: number,
            };
            let plan = Plan {
                origin: Origin::Image(Arc::clone(&image)),
                source: guest.source.clone(),
                config,
                initrd,
                kvm: kvm.to_path_buf(),
                output: match &output {
                    None => OutputSource::Stdout,
                    Some(shared) => OutputSource::Shared(Arc::clone(shared)),
                },
                stages: stages.clone(),
                reboots: true,
                is_alone: true,
            };
            let on_built = on_built.take();
            let gate = gate.clone();
            let session = Session::start(plan, events.clone(), move |_| {
                gate.pass();
                on_built.map_or(Ok(()), |on_built| on_built())
            })?;
            if number == 0 {
                group.input = session.input();
            } else {
                // What is typed is for the first guest.
                session.input().close();
            }
            group.members.push(Member {
                image,
                session: Some(session),
                outcome: None,
            });
        }
        Ok(group)
    }

    /// Signals are handled: from now on the guests run.
    pub fn may_run(&mut self) {
        self.opener = None;
    }

    /// Number of guests.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether all guests have ended.
    pub fn has_ended(&self) -> bool {
        self.members.iter().all(|member| member.session.is_none())
    }

    /// Whether a guest has not ended.
    pub fn runs(&self, guest: u32) -> bool {
        let member = self.members.get(guest as usize);
        member.is_some_and(|member| member.session.is_some())
    }

    /// Asks the guests to shut down: those that have said that they want to be asked.
    pub fn request_shutdown(&self) -> Vec<u32> {
        let members = (0..).zip(&self.members);
        let asked = members.filter(|(_, member)| {
            let session = member.session.as_ref();
            session.is_some_and(Session::request_shutdown)
        });
        asked.map(|(guest, _)| guest).collect()
    }

    /// The input of the first guest's console.
    pub fn input(&self) -> Arc<InputBuffer> {
        Arc::clone(&self.input)
    }

    /// Concludes about a guest whose thread ends, and was stopped for this cause if it was: what
    /// ended it.
    pub fn conclude(&mut self, guest: u32, cause: Option<StopCause>) -> Option<Kind> {
        let name = match self.members.len() {
            1 => String::new(),
            _ => format!("guest {guest}: "),
        };
        let member = self.members.get_mut(guest as usize)?;
        let outcome = match member.session.take()?.join() {
            Ok(finished) => {
                let image = Arc::clone(&member.image);
                Outcome {
                    conclusion: Conclusion::new(&finished, || Ok(Arc::clone(&image)), cause),
                    run: Some(Run { image, finished }),
                }
            }
            Err(failure) => Outcome {
                run: None,
                conclusion: Conclusion::failure(failure),
            },
        };
        if let Some(text) = &outcome.conclusion.text {
            notice(&format!("{name}{text}"));
        }
        let kind = outcome.conclusion.kind;
        member.outcome = Some(outcome);
        Some(kind)
    }

    /// Stops all guests that still run, and waits until they have ended.
    pub fn stop(&self) -> Result<(), Failure> {
        let sessions = self
            .members
            .iter()
            .filter_map(|member| member.session.as_ref());
        // All of them are told before the first one is waited for.
        for session in sessions.clone() {
            session.request_stop();
        }
        for session in sessions {
            session.stop()?;
        }
        Ok(())
    }

    /// What became of each guest. All of them have ended.
    pub fn into_outcomes(mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.members)
            .into_iter()
            .filter_map(|member| member.outcome)
            .collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that waits for it could not be stopped.
        self.may_run();
        // Whoever drops it early has a failure to report already.
        let _ = self.stop();
    }
}

fn stdout() -> Result<File, Failure> {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(owned) => Ok(File::from(owned)),
        Err(error) => Err(Failure::internal(format!(
            "cannot use the standard output: {error}"
        ))),
    }
}
