//! A row in one way, and what is known of it.

use super::Effort;
use crate::bench::chunk::{Chunk, Outcome};
use crate::bench::guest::GuestRun;
use crate::bench::host::{Hardware, Host};
use crate::bench::lifecycle;
use crate::bench::raw::code::Clock;
use crate::bench::raw::{floor, measure};
use crate::bench::result::{Measurement, Way};
use crate::bench::rows::{Exits, Native, Operation, Row, Trap};
use crate::bench::samples::Samples;
use crate::bench::watch::Watch;
use crate::carrier::{Carrier, Mode, Privilege};
use std::time::Duration;

/// Whether there is more to measure.
#[derive(Debug)]
pub enum State {
    /// There is.
    Open,
    /// It is known well enough.
    Done,
    /// It cannot be had: why.
    Absent(String),
}

/// A row in one way.
#[derive(Debug)]
pub struct Job {
    /// The row.
    pub row: &'static Row,
    /// The way.
    pub way: Way,
    /// Whether there is more to measure.
    pub state: State,
    /// What is known.
    pub samples: Samples,
    /// How long a sample takes, in seconds, with all that belongs to it.
    each: Option<f64>,
}

/// The jobs of a row.
pub fn of_row(row: &'static Row, host: &Host, modes: &[Mode], effort: &Effort) -> Vec<Job> {
    let mut ways = Vec::new();
    match row.native {
        Native::Floor => ways.extend(modes.iter().map(|mode| Way::Floor {
            privilege: mode.privilege,
            carrier: mode.carrier,
        })),
        _ => ways.push(Way::Native),
    }
    if !matches!(row.native, Native::Floor) {
        ways.push(Way::Trap);
    }
    let automatic = automatic(host, modes);
    if row.hypercall.is_some() {
        ways.extend(modes.iter().map(|mode| Way::Hypercall {
            privilege: mode.privilege,
            carrier: mode.carrier,
        }));
    } else if matches!(row.native, Native::Lifecycle(..)) {
        ways.extend(automatic.iter().map(|mode| Way::Hypercall {
            privilege: mode.privilege,
            carrier: mode.carrier,
        }));
    }
    for mode in automatic {
        if row.exitless.is_some() {
            ways.push(Way::Exitless {
                privilege: mode.privilege,
            });
        }
        if row.batch.is_some() {
            ways.extend(effort.batches.iter().map(|&size| Way::Batch {
                privilege: mode.privilege,
                carrier: mode.carrier,
                size,
            }));
        }
    }
    ways.into_iter()
        .map(|way| Job {
            row,
            way,
            state: State::Open,
            samples: Samples::default(),
            each: None,
        })
        .collect()
}

/// For each privilege the mode that `auto` takes among these, or else the first one.
fn automatic(host: &Host, modes: &[Mode]) -> Vec<Mode> {
    let mut chosen = Vec::new();
    for privilege in [Privilege::Ring0, Privilege::Ring3] {
        let auto = host.modes.choose(Some(privilege), None).ok();
        let mut with = modes.iter().filter(|mode| mode.privilege == privilege);
        let found = modes
            .iter()
            .find(|&&mode| Some(mode) == auto)
            .or_else(|| with.next());
        chosen.extend(found.copied());
    }
    chosen
}

impl Job {
    /// Whether there is more to measure.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// What it is, for people.
    pub fn title(&self) -> String {
        let way = match self.way {
            Way::Floor { privilege, carrier } => format!("bare {privilege}/{carrier}"),
            Way::Native => "native".into(),
            Way::Trap => "trapped".into(),
            Way::Hypercall { privilege, carrier } => format!("{privilege}/{carrier}"),
            Way::Exitless { privilege } => format!("exitless, {privilege}"),
            Way::Batch { size, .. } => format!("batch of {size}"),
        };
        format!("{} ({way})", self.row.name)
    }

    /// How many vCPUs the guest has that it is measured in, if it is one.
    pub fn vcpus_of_guest(&self) -> u32 {
        match self.way {
            Way::Hypercall { .. } => self.row.hypercall.map_or(1, |call| call.vcpus),
            _ => 1,
        }
    }

    /// How many samples the next VM is to take.
    pub fn next_samples(&self, effort: &Effort) -> u64 {
        match self.each {
            None => effort.first,
            Some(each) => {
                let fit = effort.time.as_secs_f64() / each.max(1e-9);
                effort.samples.min(fit as u64).max(effort.first.min(20))
            }
        }
    }

    /// Measures it in one VM.
    pub fn measure<'a>(
        &self,
        host: &Host,
        watch: &Watch,
        guest: &dyn Fn(Privilege, Carrier) -> GuestRun<'a>,
        samples: u64,
    ) -> Result<Outcome, String> {
        match self.way {
            Way::Floor { privilege, carrier } => match floor::instruction(privilege, carrier) {
                Ok(instruction) => measure::native(host, &instruction, samples, watch),
                Err(reason) => Ok(Outcome::Absent(reason.into())),
            },
            Way::Native => match &self.row.native {
                Native::Code(instruction) => measure::native(host, instruction, samples, watch),
                Native::Lifecycle(lifecycle, most) => {
                    lifecycle::native(host, *lifecycle, samples.min(*most), watch)
                }
                Native::Absent(reason) => Ok(Outcome::Absent((*reason).into())),
                Native::Floor => Ok(Outcome::Absent("it is the floor".into())),
            },
            Way::Trap => match (&self.row.native, &self.row.trap) {
                (_, Trap::Absent(reason)) => Ok(Outcome::Absent((*reason).into())),
                (Native::Code(instruction), trap) => {
                    measure::trapped(host, instruction, trap, samples, watch)
                }
                _ => Ok(Outcome::Absent("there is no instruction to emulate".into())),
            },
            Way::Hypercall { privilege, carrier } => {
                let guest = guest(privilege, carrier);
                match (&self.row.hypercall, &self.row.native) {
                    (Some(operation), _) => guest.measure(operation, samples),
                    (None, Native::Lifecycle(lifecycle, most)) => {
                        lifecycle::paravirtual(&guest, *lifecycle, samples.min(*most))
                    }
                    _ => Ok(Outcome::Absent("there is no such call".into())),
                }
            }
            Way::Exitless { privilege } => match &self.row.exitless {
                Some(operation) => {
                    let carrier = host.modes.choose(Some(privilege), None);
                    let carrier = carrier.map_or(Carrier::Pio, |mode| mode.carrier);
                    guest(privilege, carrier).measure(operation, samples)
                }
                None => Ok(Outcome::Absent("there is no such form".into())),
            },
            Way::Batch {
                privilege,
                carrier,
                size,
            } => match self.row.batch {
                Some(name) => {
                    guest(privilege, carrier).measure(&Operation::sized(name, size), samples)
                }
                None => Ok(Outcome::Absent("there is no such form".into())),
            },
        }
    }

    /// Adds what was measured, which took so long.
    pub fn add(&mut self, chunk: &Chunk, unit_per_tick: f64, took: Duration) {
        self.samples.add(chunk, unit_per_tick);
        // With the empty measurement, the warm-up and the VM.
        self.each = Some(took.as_secs_f64() / chunk.ticks.len().max(1) as f64);
    }

    /// Whether it is known well enough.
    pub fn is_certain(&self, effort: &Effort) -> bool {
        let most = match (&self.row.native, self.way) {
            (Native::Code(instruction), Way::Native | Way::Trap) => instruction.most,
            (Native::Lifecycle(_, most), _) => *most,
            (_, Way::Hypercall { .. }) => self.row.hypercall.map_or(u64::MAX, |call| call.most),
            _ => u64::MAX,
        };
        let enough = effort
            .enough
            .min(usize::try_from(most).unwrap_or(usize::MAX));
        self.samples.count() >= enough && self.samples.uncertainty() <= effort.certain
    }

    /// Where its empty measurement is one of nothing at all.
    pub fn place(&self) -> Option<String> {
        let plain = |timed: &crate::bench::raw::code::Timed| {
            (timed.setup)().is_empty() && (timed.before)().is_empty()
        };
        match (self.way, &self.row.native) {
            (Way::Native, Native::Code(code)) if plain(&code.timed) => {
                Some(format!("CPL {}", code.config.cpl))
            }
            (Way::Trap, Native::Code(code)) if plain(&code.timed) => Some("CPL 3".into()),
            (Way::Hypercall { privilege, .. }, _) if self.row.hypercall.is_some() => {
                Some(format!("{privilege} guest"))
            }
            _ => None,
        }
    }

    /// The measurement.
    pub fn measurement(&self, host: &Host) -> Measurement {
        let mut measurement = self.samples.measurement(self.expected(host));
        if matches!(self.way, Way::Exitless { .. }) && measurement.exits.vmm > 0.001 {
            let exits = measurement.exits.vmm;
            measurement
                .marks
                .push(format!("{exits:.2} exits to the VMM, expected none"));
        }
        if self.is_native_at_cpl0() && host.clock == Clock::Plain {
            measurement
                .marks
                .push("this KVM interprets CPL 0, and the time is read without fences".into());
        }
        measurement
    }

    fn is_native_at_cpl0(&self) -> bool {
        match (self.way, &self.row.native) {
            (Way::Floor { privilege, .. }, _) => privilege == Privilege::Ring0,
            (Way::Native, Native::Code(code)) => code.config.cpl == 0,
            _ => false,
        }
    }

    fn is_noop(&self) -> bool {
        self.row.batch == Some("core_batch")
    }

    /// How many exits to KVM there should be.
    fn expected(&self, host: &Host) -> Option<f64> {
        let of = |exits: Exits| match host.hardware {
            Hardware::Vmx => exits.vmx,
            Hardware::Svm => exits.svm,
            Hardware::Software => None,
        };
        match (self.way, &self.row.native, &self.row.trap) {
            (Way::Floor { .. }, ..) => Some(1.0),
            (Way::Native, Native::Code(instruction), _) => of(instruction.exits),
            (Way::Trap, _, Trap::Same(exits)) => of(*exits),
            (Way::Trap, _, Trap::Silent(_)) => of(Exits::both(0.0)),
            (Way::Hypercall { .. }, ..) if self.is_noop() => Some(1.0),
            (Way::Batch { size, .. }, ..) if self.is_noop() => Some(1.0 / f64::from(size)),
            _ => None,
        }
    }
}
