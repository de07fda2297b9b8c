//! `paravane bench`.

mod interrupt;
mod list;
mod outputs;
mod progress;
mod select;

use super::KvmArgs;
use super::exit_code::{Failure, Status, notice};
use super::image_source::ImageSource;
use clap::{Args, ValueEnum};
use interrupt::Interrupt;
use outputs::Outputs;
use paravane::bench::host::{Host, HostError};
use paravane::bench::provenance;
use paravane::bench::result::{FORMAT, Results, Unit, VERSION};
use paravane::bench::session::{Effort, Request, Session};
use paravane::bench::watch::Watch;
use progress::Bar;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a VM may be in the guest without a word. On hardware a second is long; an emulated
/// host takes many times that.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be measured, and what becomes of it.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Take less than half a minute, and know the figures less well
    #[arg(long)]
    quick: bool,
    /// Measure only these rows; a * stands for any letters, as in mov-*
    #[arg(long, value_name = "ROW,...", value_delimiter = ',')]
    filter: Vec<String>,
    /// List the rows, and measure nothing
    #[arg(long, conflicts_with_all = ["csv", "html", "svg", "compare", "peers"])]
    list: bool,
    /// The privilege of guest kernels; all takes each that works here
    #[arg(long, value_enum, default_value_t = ModeChoice::All)]
    mode: ModeChoice,
    /// What carries hypercalls; all takes each that works here
    #[arg(long, value_enum, default_value_t = CarrierChoice::All)]
    carrier: CarrierChoice,
    /// Samples of each row and way, however long that takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    samples: Option<u64>,
    /// In how many VMs each row and way is measured
    #[arg(long, value_name = "N", value_parser = parse_boots)]
    boots: Option<usize>,
    /// Seed of the order in which rows are measured; by default another one each time
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Do not show where the run is
    #[arg(short, long)]
    quiet: bool,
    /// Say that the TSC counts instructions here, as under QEMU's -icount
    #[arg(long)]
    instructions: bool,
    /// Print the result as JSON, or write it to a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    json: Option<Option<PathBuf>>,
    /// Print the result as CSV, or write it to a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    csv: Option<Option<PathBuf>>,
    /// Write a page with charts, which needs nothing beside it
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the charts to this directory
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Compare with an earlier result, a file that --json wrote
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Show results of other programs too, from a file (docs/bench.md says how it is made)
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    #[command(flatten)]
    kvm: KvmArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeChoice {
    All,
    Ring0,
    Ring3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CarrierChoice {
    All,
    Vmcall,
    Vmmcall,
    Pio,
}

fn parse_boots(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1000) => Ok(number),
        _ => Err("it is a number from 1 to 1000".into()),
    }
}

/// Measures.
pub fn bench(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let rows = select::rows(&args.filter)?;
    if args.list {
        list::print(&rows, args.json.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let unit = match args.instructions {
        true => Unit::Instructions,
        false => Unit::Nanoseconds,
    };
    // All that can go wrong goes wrong before anything is measured.
    let outputs = Outputs::prepare(args, unit, &rows)?;
    let interrupt = Interrupt::listen()?;
    let watch = Watch::new(interrupt.flag(), PATIENCE);
    let host = Host::examine(&args.kvm.device, &watch).map_err(|error| match error {
        HostError::Vm(error) => Failure::from(error),
        error => Failure::new(Status::NoKvm, error.to_string()),
    })?;
    let source = ImageSource::BuiltIn;
    let image = source.load()?;
    let effort = match args.quick {
        true => Effort::QUICK,
        false => Effort::THOROUGH,
    };
    let request = Request {
        rows,
        modes: select::modes(&host, args.mode, args.carrier)?,
        effort: effort.fixed(args.samples, args.boots),
        unit,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(0..1 << 32)),
    };
    let mut provenance = provenance::gather(&host);
    let begun = Instant::now();
    let mut session = Session::new(&host, &image, &watch, &request);
    let mut bar = Bar::new(args.quiet);
    let complete = session.run(&mut |progress| bar.show(&progress));
    bar.clear();
    provenance.load.1 = provenance::load();
    provenance.arguments = std::env::args().skip(1).collect();
    provenance.seed = request.seed;
    provenance.boots = session.rounds();
    provenance.seconds = begun.elapsed().as_secs_f64();
    let rows = session.rows();
    let results = Results {
        format: FORMAT.into(),
        version: VERSION,
        provenance,
        unit: request.unit,
        complete,
        stability: session.stability(&rows),
        rows,
    };
    outputs.write(&results)?;
    if complete {
        return Ok(ExitCode::SUCCESS);
    }
    notice("interrupted: this is what was measured before");
    Ok(Status::Interrupted.into())
}
