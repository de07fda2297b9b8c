//! The daemon under load: many idle guests, starts, restores, reads, and a restart.
//!
//! Everything goes through the API, as a client's requests do, and everything is on this machine,
//! the clients too.

mod density;
mod reads;
mod restart;
mod restore;
mod rig;
mod start;

use super::Spread;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use rig::Rig;
use std::fmt;
use tokio::runtime;

/// What was measured.
#[derive(Debug)]
pub struct Figure {
    /// Of what.
    pub name: &'static str,
    /// The measurements.
    pub value: Value,
}

/// A figure's measurements.
#[derive(Debug)]
pub enum Value {
    /// One number, in this unit.
    One(f64, &'static str),
    /// Several, in this unit.
    Several(Spread, &'static str),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::One(value, unit) => write!(f, "{}: {value:.2} {unit}", self.name),
            Value::Several(spread, unit) => write!(
                f,
                "{}, {unit}: p50 {:.2}, p90 {:.2}, p99 {:.2}, max {:.2}, n = {}",
                self.name,
                spread.quantile(0.5),
                spread.quantile(0.9),
                spread.quantile(0.99),
                spread.quantile(1.0),
                spread.len()
            ),
        }
    }
}

/// Does something `count` times, `at_a_time` of them at once, and collects what came of it.
async fn several<T, F: Future<Output = Result<T, String>>>(
    count: usize,
    at_a_time: usize,
    one: impl Fn(usize) -> F,
) -> Result<Vec<T>, String> {
    stream::iter((0..count).map(one))
        .buffer_unordered(at_a_time)
        .try_collect()
        .await
}

/// Measures all of them, or the group of this name.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(group: Option<&str>, progress: &mut dyn FnMut(&str)) -> Result<Vec<Figure>, String> {
    const GROUPS: [&str; 5] = ["start", "restore", "density", "reads", "restart"];
    if let Some(group) = group
        && !GROUPS.contains(&group)
    {
        return Err(format!("there is no group {group:?}; there are {GROUPS:?}"));
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let mut figures = Vec::new();
    for name in GROUPS {
        if group.is_some_and(|group| group != name) {
            continue;
        }
        progress(name);
        let measured = runtime.block_on(async {
            // Each group has a daemon of its own.
            let rig = Rig::start().await?;
            match name {
                "start" => start::measure(&rig).await,
                "restore" => restore::measure(&rig).await,
                "density" => density::measure(&rig).await,
                "reads" => reads::measure(&rig).await,
                _ => restart::measure(rig).await,
            }
        });
        figures.extend(measured.map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(figures)
}
