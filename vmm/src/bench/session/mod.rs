//! A run of the bench: every row in every way, again and again in new VMs, in an order that is
//! another one each time, until its median is known well enough.

mod job;
pub mod stability;

use super::chunk::Outcome as Tried;
use super::guest::GuestRun;
use super::host::Host;
use super::result::{Cell, Outcome, RowResult, Stability, Unit};
use super::rows::{Group, Row};
use super::samples::unit_per_tick;
use super::watch::Watch;
use crate::carrier::{Carrier, Mode, Privilege};
use crate::image::Image;
use job::{Job, State};
use stability::Empties;
use std::time::{Duration, Instant};

/// What is to be measured.
#[derive(Debug)]
pub struct Request {
    /// The rows, in the order of the list.
    pub rows: Vec<(&'static Group, &'static Row)>,
    /// The modes of guests.
    pub modes: Vec<Mode>,
    /// How thoroughly.
    pub effort: Effort,
    /// What costs are in.
    pub unit: Unit,
    /// Seed of the order.
    pub seed: u64,
}

/// How thoroughly something is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Samples of a row and way in one VM, where they do not take too long.
    pub samples: u64,
    /// Samples of the first VM, which shows how long they take.
    pub first: u64,
    /// VMs, at least and at most.
    pub boots: (usize, usize),
    /// Samples of all VMs together that are enough, if the median is known well enough too.
    pub enough: usize,
    /// The uncertainty of the median that is well enough, as a part of it.
    pub certain: f64,
    /// How long a VM may measure.
    pub time: Duration,
    /// Sizes of the batches.
    pub batches: &'static [u32],
}

/// Where a run is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How many VMs have measured, and will have at least.
    pub done: usize,
    /// See `done`.
    pub total: usize,
    /// What is measured now.
    pub what: String,
}

/// A run.
pub struct Session<'a> {
    host: &'a Host,
    image: &'a Image,
    watch: &'a Watch,
    request: &'a Request,
    jobs: Vec<Job>,
    empties: Empties,
    rounds: usize,
}

impl<'a> Session<'a> {
    /// One that has measured nothing yet.
    pub fn new(host: &'a Host, image: &'a Image, watch: &'a Watch, request: &'a Request) -> Self {
        let jobs = request
            .rows
            .iter()
            .flat_map(|&(_, row)| job::of_row(row, host, &request.modes, &request.effort))
            .collect();
        Self {
            host,
            image,
            watch,
            request,
            jobs,
            empties: Empties::default(),
            rounds: 0,
        }
    }

    /// Measures until all is known well enough, or the bench is to stop. Whether it was all.
    pub fn run(&mut self, progress: &mut dyn FnMut(Progress)) -> bool {
        let effort = &self.request.effort;
        let mut random = fastrand::Rng::with_seed(self.request.seed);
        while self.rounds < effort.boots.1 {
            let mut open: Vec<usize> = (0..self.jobs.len())
                .filter(|&index| self.jobs.get(index).is_some_and(Job::is_open))
                .collect();
            if open.is_empty() {
                break;
            }
            random.shuffle(&mut open);
            let rest = effort.boots.0.saturating_sub(self.rounds + 1) * open.len();
            for (done, &index) in open.iter().enumerate() {
                if self.watch.stopped() {
                    return false;
                }
                progress(Progress {
                    done: self.rounds * open.len() + done,
                    total: self.rounds * open.len() + open.len() + rest,
                    what: self.jobs.get(index).map(Job::title).unwrap_or_default(),
                });
                if !self.step(index) {
                    return false;
                }
            }
            self.rounds += 1;
        }
        true
    }

    /// Measures a job in one more VM; whether the run goes on.
    fn step(&mut self, index: usize) -> bool {
        let Some(job) = self.jobs.get_mut(index) else {
            return true;
        };
        let effort = &self.request.effort;
        let samples = job.next_samples(effort);
        let begun = Instant::now();
        let guest = |privilege: Privilege, carrier: Carrier| GuestRun {
            host: self.host,
            image: self.image,
            privilege,
            carrier,
            watch: self.watch,
        };
        let _pinned = match job.vcpus_of_guest() {
            0 | 1 => self.host.pins.pin(0),
            // Its threads begin where this one may run, and are pinned when they are there.
            _ => self.host.pins.keep(),
        };
        match job.measure(self.host, self.watch, &guest, samples) {
            Ok(Tried::Measured(chunk)) => {
                let per_tick = unit_per_tick(self.request.unit, self.host.tsc_hz);
                if let Some(place) = job.place() {
                    self.empties.add(place, &chunk, per_tick);
                }
                job.add(&chunk, per_tick, begun.elapsed());
                if job.samples.boots() >= effort.boots.0 && job.is_certain(effort) {
                    job.state = State::Done;
                }
            }
            Ok(Tried::Absent(reason)) => job.state = State::Absent(reason),
            Ok(Tried::Interrupted) => return false,
            Err(reason) => job.state = State::Absent(format!("it failed: {reason}")),
        }
        true
    }

    /// What was found so far.
    pub fn rows(&self) -> Vec<RowResult> {
        let result = |&(group, row): &(&'static Group, &'static Row)| {
            let jobs = self.jobs.iter().filter(|job| job.row.name == row.name);
            RowResult {
                name: row.name.into(),
                title: row.title.into(),
                group: group.title.into(),
                replaced_by: row.replaced_by.into(),
                cells: jobs.map(|job| self.cell(job)).collect(),
            }
        };
        self.request.rows.iter().map(result).collect()
    }

    fn cell(&self, job: &Job) -> Cell {
        let outcome = match &job.state {
            State::Absent(reason) => Outcome::Absent {
                reason: reason.clone(),
            },
            State::Open | State::Done if job.samples.count() == 0 => Outcome::Absent {
                reason: "the run was interrupted before".into(),
            },
            State::Open | State::Done => Outcome::Measured(Box::new(job.measurement(self.host))),
        };
        Cell {
            way: job.way,
            outcome,
        }
    }

    /// In how many VMs a row and way was measured, at most.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// How steady it was.
    pub fn stability(&self, rows: &[RowResult]) -> Stability {
        stability::judge(&self.empties, rows)
    }
}

impl Effort {
    /// A run of a few minutes.
    pub const THOROUGH: Self = Self {
        samples: 2500,
        first: 200,
        boots: (5, 10),
        enough: 10_000,
        certain: 0.01,
        time: Duration::from_millis(300),
        batches: &super::rows::BATCH_SIZES,
    };

    /// A run of less than half a minute.
    pub const QUICK: Self = Self {
        samples: 1000,
        first: 50,
        boots: (2, 2),
        enough: 0,
        certain: 1.0,
        time: Duration::from_millis(15),
        batches: &[1, 8, 64, 512],
    };

    /// So many samples of each row and way in all, however long they take, in so many VMs.
    pub fn fixed(self, samples: Option<u64>, boots: Option<usize>) -> Self {
        let mut effort = self;
        if let Some(boots) = boots {
            effort.boots = (boots, boots);
        }
        if let Some(samples) = samples {
            let each = samples.div_ceil(effort.boots.0 as u64).max(1);
            (effort.samples, effort.first) = (each, each);
            effort.time = Duration::MAX;
            effort.boots.1 = effort.boots.0;
        }
        effort
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_number_of_samples_is_spread_over_the_boots() {
        let effort = Effort::QUICK.fixed(Some(1000), Some(3));
        assert_eq!(
            (effort.samples, effort.first, effort.boots),
            (334, 334, (3, 3))
        );
        let effort = Effort::THOROUGH.fixed(None, Some(1));
        assert_eq!((effort.samples, effort.boots), (2500, (1, 1)));
    }
}
