//! `paravane vm top`.

mod rates;
mod screen;
mod view;

use crate::cli::client::connection::Common;
use crate::cli::client::stream::{self, Reader};
use crate::cli::duration;
use crate::cli::exit_code::{Failure, Status};
use crate::cli::output::{print_text, to_json};
use clap::{Args, ValueEnum};
use paravane_client::{Client, ClientError};
use rates::{Row, Sample};
use screen::{Key, Screen};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// What is watched, and how.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// By what VMs are sorted; a key changes it
    #[arg(long, value_enum, default_value_t = Order::Cpu)]
    sort: Order,
    /// The time between two looks, as in 2s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    interval: Duration,
    /// Look once, print it and end; so without a terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    common: Common,
}

/// By what VMs are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Processor time
    Cpu,
    /// Exits a second
    Exits,
    /// Hypercalls a second
    Calls,
    /// Memory that they use
    Memory,
    /// Time that the host took from them
    Steal,
    /// Their names
    Name,
}

impl Order {
    /// The order that a key stands for.
    fn of_key(key: u8) -> Option<Self> {
        Some(match key.to_ascii_lowercase() {
            b'c' => Self::Cpu,
            b'e' => Self::Exits,
            b'h' => Self::Calls,
            b'm' => Self::Memory,
            b's' => Self::Steal,
            b'n' => Self::Name,
            _ => return None,
        })
    }
}

/// Watches what VMs do.
pub async fn top(args: &TopArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let first = sample(&client).await?;
    if args.once || (!args.common.json && !io::stdout().is_terminal()) {
        sleep(args.interval).await;
        let rows = sample(&client).await?.since(&first, args.sort);
        print_text(&match args.common.json {
            true => to_json(&rows)?,
            false => view::table(&rows),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.common.json {
        true => print_stream(args, &client, first).await,
        false => watch(args, &client, first).await,
    }
}

async fn sample(client: &Client) -> Result<Sample, ClientError> {
    client.stats().await.map(Sample::now)
}

/// Prints a list of VMs a line, until nobody reads on.
async fn print_stream(
    args: &TopArgs,
    client: &Client,
    mut last: Sample,
) -> Result<ExitCode, Failure> {
    loop {
        sleep(args.interval).await;
        let next = sample(client).await?;
        let rows = next.since(&last, args.sort);
        if stream::line(&rows, true, String::new)? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
        last = next;
    }
}

/// Shows the list on the terminal, anew at each look.
async fn watch(args: &TopArgs, client: &Client, mut last: Sample) -> Result<ExitCode, Failure> {
    let failed = |error: io::Error| Failure::internal(format!("cannot use the terminal: {error}"));
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(failed)?;
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    let (screen, mut keys) = Screen::enter().map_err(failed)?;
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once, and there is nothing to compare with yet.
    ticks.tick().await;
    let mut order = args.sort;
    let mut rows: Vec<Row> = last.since(&last, order);
    loop {
        rates::sort(&mut rows, order);
        screen.draw(&view::page(&rows, order)).map_err(failed)?;
        tokio::select! {
            _ = ticks.tick() => {
                let next = sample(client).await?;
                rows = next.since(&last, order);
                last = next;
            }
            key = keys.recv() => match key {
                Some(Key::Typed(b'q' | b'Q')) | None => return Ok(ExitCode::SUCCESS),
                Some(Key::Interrupt) => return Ok(Status::Interrupted.into()),
                Some(Key::Typed(key)) => order = Order::of_key(key).unwrap_or(order),
            },
            _ = resized.recv() => {}
            _ = terminated.recv() => return Ok(Status::Terminated.into()),
            _ = hung_up.recv() => return Ok(Status::HungUp.into()),
        }
    }
}
