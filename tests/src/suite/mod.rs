//! The suite: what a user relies on, on every KVM.

mod bad_guest;
mod balloon;
mod bench;
mod bench_guest;
mod boot;
mod c_guest;
mod cgroups;
mod client;
mod console;
mod crash;
mod disks;
mod events;
mod examples;
mod guests;
mod idle;
mod limits;
mod networks;
mod pause;
mod ports;
mod report;
mod sandbox;
mod servers;
mod shares;
mod snapshot_devices;
mod snapshots;
mod sockets;
mod taps;
mod vm_process;

use crate::modes::{self, Mode};
use libtest_mimic::Trial;

/// A test that is run in every mode of the KVM at hand, with its name.
type InMode = (&'static str, fn(Mode));

/// A test that is run once, with its name.
type Once = (&'static str, fn());

/// Every test, each mode's under its name.
pub fn trials() -> Vec<Trial> {
    let modes = modes::available();
    let mut trials = Vec::new();
    for (name, test) in in_every_mode() {
        for &mode in &modes {
            trials.push(Trial::test(format!("{mode}::{name}"), move || {
                test(mode);
                Ok(())
            }));
        }
    }
    for (name, test) in once() {
        trials.push(Trial::test(name, move || {
            test();
            Ok(())
        }));
    }
    trials
}

fn in_every_mode() -> Vec<InMode> {
    [
        boot::IN_EVERY_MODE,
        crash::IN_EVERY_MODE,
        bad_guest::IN_EVERY_MODE,
        c_guest::IN_EVERY_MODE,
        balloon::IN_EVERY_MODE,
        bench_guest::IN_EVERY_MODE,
        disks::IN_EVERY_MODE,
        guests::IN_EVERY_MODE,
        sandbox::IN_EVERY_MODE,
        pause::IN_EVERY_MODE,
        snapshots::IN_EVERY_MODE,
        examples::IN_EVERY_MODE,
    ]
    .concat()
}

fn once() -> Vec<Once> {
    let process = vm_process::once();
    [
        boot::ONCE,
        bench::ONCE,
        bench_guest::ONCE,
        cgroups::ONCE,
        client::ONCE,
        console::ONCE,
        disks::ONCE,
        guests::ONCE,
        idle::ONCE,
        events::ONCE,
        examples::ONCE,
        limits::ONCE,
        networks::ONCE,
        pause::ONCE,
        ports::ONCE,
        report::ONCE,
        sandbox::ONCE,
        servers::ONCE,
        shares::ONCE,
        snapshot_devices::ONCE,
        snapshots::ONCE,
        sockets::ONCE,
        taps::ONCE,
        &process,
    ]
    .concat()
}
