//! What a no-op hypercall costs in instructions: guest, kernel and VMM together.
//!
//! It is measured inside the lane [`Lane::SvmIcount`](crate::lanes::Lane::SvmIcount), whose
//! virtual time is one nanosecond an instruction. The program `paravane-figures` measures
//! there with the argument `instructions-inside`.

use super::floor::port_writes;
use crate::guests;
use crate::lanes::{Job, Lane};
use crate::modes::Mode;
use paravane::carrier::{Carrier, Privilege};
use paravane::console::Console;
use paravane::console::output::Output;
use paravane::grant::Seat;
use paravane::image::Image;
use paravane::vcpu::Ending;
use paravane::vm::stages::Stages;
use paravane::vm::{Vm, VmConfig};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Calls of the shorter run; the difference between it and one twice as long leaves out what
/// comes before and after the calls.
const CALLS: u64 = 10_000;

/// How long the lane may take.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Instructions of one round trip.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instructions {
    /// A port write of a guest that does nothing else, and back.
    pub bare: f64,
    /// A no-op hypercall, by mode, for the modes that work there.
    pub noop: Vec<(String, f64)>,
}

impl Instructions {
    /// The cost of a no-op hypercall in a mode.
    pub fn of(&self, mode: &str) -> Option<f64> {
        self.noop
            .iter()
            .find(|(name, _)| name == mode)
            .map(|&(_, cost)| cost)
    }
}

/// Measures on the KVM at hand. Only inside the lane does time mean instructions.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure() -> Result<Instructions, String> {
    let bare_time = |exits| port_writes::measure(exits).map_err(|error| error.to_string());
    let bare = per_call(bare_time(CALLS)?, bare_time(2 * CALLS)?);
    let image = std::fs::read(guests::kernel()).map_err(|error| error.to_string())?;
    let image = Image::parse(image).map_err(|error| error.to_string())?;
    let mut noop = Vec::new();
    for mode in Mode::ALL {
        if let Some(short) = noop_time(&image, mode, CALLS)? {
            let long = noop_time(&image, mode, 2 * CALLS)?.unwrap_or(short);
            noop.push((mode.to_string(), per_call(short, long)));
        }
    }
    Ok(Instructions { bare, noop })
}

fn per_call(short: Duration, long: Duration) -> f64 {
    (long.as_nanos() as f64 - short.as_nanos() as f64) / CALLS as f64
}

/// The time that a guest runs which makes `calls` no-op hypercalls; `None` where the mode does
/// not work.
fn noop_time(image: &Image, mode: Mode, calls: u64) -> Result<Option<Duration>, String> {
    let kvm = paravane::vm::host::open(std::path::Path::new(paravane::vm::host::DEVICE))
        .map_err(|error| error.to_string())?;
    let config = VmConfig {
        memory: 32 << 20,
        vcpus: 1,
        privilege: Some(match mode.privilege {
            "ring0" => Privilege::Ring0,
            _ => Privilege::Ring3,
        }),
        carrier: Carrier::ALL
            .into_iter()
            .find(|carrier| carrier.to_string() == mode.carrier),
        command_line: format!("noop={calls}"),
        initrd: None,
        seat: Seat::alone(),
    };
    let console = Console::new(Output::memory(4096));
    let Ok(mut vm) = Vm::new(&kvm, image, &config, console, &mut Stages::start()) else {
        return Ok(None);
    };
    let start = Instant::now();
    match vm.run() {
        Ok(Ending::Shutdown(0)) => Ok(Some(start.elapsed())),
        other => Err(format!("the guest ended by {other:?}")),
    }
}

/// Measures inside the lane. `program` is `paravane-figures`.
///
/// # Errors
///
/// A sentence that says what the lane lacks, or what failed in it.
pub fn in_lane(
    program: &std::path::Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Instructions, String> {
    let lane = Lane::SvmIcount.available()?;
    let mut job = Job::new(program, TIMEOUT);
    job.args = vec!["instructions-inside".into()];
    job.files = vec![(guests::kernel(), "/lane/kernel".into())];
    job.env = vec![("PARAVANE_KERNEL".into(), "/lane/kernel".into())];
    let outcome = lane
        .run(&job, progress)
        .map_err(|error| error.to_string())?;
    let line = outcome.output.lines().find(|line| line.starts_with('{'));
    line.and_then(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| format!("no figures in the lane's output:\n{}", outcome.output))
}
