//! Faults: the daemon and processes of VMs are killed while clients create, start, pause, stop and
//! delete VMs. Afterwards nothing that was acknowledged is lost, each VM is in the state that its
//! policy and what happened to it imply, and nothing is left behind.
//!
//! `PARAVANE_FAULT_SECONDS` says for how long, `PARAVANE_FAULT_SEED` which of all possible faults
//! and requests.

mod chaos;
mod client;
mod left;
mod model;
mod settled;

use chaos::Chaos;
use client::Worker;
use model::Kills;
use paravane_tests::daemon::Place;
use paravane_tests::program;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many clients there are, each with VMs of its own.
const CLIENTS: u64 = 3;

/// For how long faults happen, if nothing else is said.
const SECONDS: u64 = 20;

/// A number from the environment.
fn number<T: FromStr<Err: Debug>>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    let wrong = |error| panic!("{variable}={text} is no number: {error:?}");
    Some(text.parse().unwrap_or_else(wrong))
}

#[tokio::test]
async fn whatever_is_killed_nothing_is_lost_and_nothing_is_left() {
    if !program::has_local_kvm("whatever_is_killed_nothing_is_lost_and_nothing_is_left") {
        return;
    }
    let seconds = number("PARAVANE_FAULT_SECONDS").unwrap_or(SECONDS);
    let seed = number("PARAVANE_FAULT_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{seconds} s of faults by PARAVANE_FAULT_SEED={seed}");
    let place = Arc::new(Place::new());
    let kills = Arc::new(Kills::default());
    let until = Instant::now() + Duration::from_secs(seconds);

    let chaos = Chaos::begin(&place, &kills, seed, until);
    let workers = (1..=CLIENTS).map(|number| {
        let worker = Worker::new(number, seed.wrapping_add(number), place.client(), &kills);
        tokio::spawn(worker.work(until))
    });
    let workers = futures_util::future::join_all(workers).await;
    let daemon = tokio::task::spawn_blocking(|| chaos.end()).await.unwrap();

    let mut vms = Vec::new();
    let mut snapshots = Vec::new();
    for worker in workers {
        let (has, took) = worker.unwrap_or_else(|error| panic!("{error}\n{}", daemon.said()));
        vms.extend(has);
        snapshots.extend(took);
    }
    eprintln!(
        "{} VMs and {} snapshots are left",
        vms.len(),
        snapshots.len()
    );
    let client = place.client();
    client.ready().await.unwrap();
    settled::check(&client, &vms, &kills).await;
    let still = settled::end_restless(&client, &vms).await;
    settled::check_processes(&place, &still);
    settled::check_metrics(&client, &still).await;
    left::check(&place, &still, &snapshots, &client).await;

    // The next daemon knows the same.
    assert!(daemon.end().success());
    left::check_database(&place, still.len());
    let daemon = place.daemon();
    client.ready().await.unwrap();
    settled::check_same(&client, &still).await;
    settled::check_processes(&place, &still);
    settled::delete_all(&client).await;
    assert!(daemon.end().success());
    left::check_empty(&place);
}
