//! Guests on tap devices of the host.
//!
//! The tap devices are in a network namespace of the test's own, so nobody's network is touched, and
//! where the host has user namespaces no root is needed.

use super::Once;
use super::networks::{Client, program, report};
use crate::program::{Running, exit_code, guest_command, refused, try_end};
use paravane_test_network::{Interface, own_network, without_rights};
use socket2::SockRef;
use std::env;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    (GUESTS_ON_TAP_DEVICES, guests_on_tap_devices),
    (
        "a_tap_device_that_cannot_be_had_is_told_in_a_sentence",
        a_tap_device_that_cannot_be_had_is_told_in_a_sentence,
    ),
];

const GUESTS_ON_TAP_DEVICES: &str = "guests_on_tap_devices";

/// Set in the process that has a network of its own.
const IN_OWN_NETWORK: &str = "PARAVANE_IN_OWN_NETWORK";

const DEVICE: &str = "/dev/net/tun";
const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
const GUEST: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
/// Headers of IPv4 and TCP, without options.
const HEADERS: u32 = 40;

fn guests_on_tap_devices() {
    if env::var_os(IN_OWN_NETWORK).is_some() {
        a_server_is_reached_at_the_mtu_and_with_offloads();
        a_driver_of_one_pair_is_served_by_a_device_of_several();
        return;
    }
    if !Path::new(DEVICE).exists() {
        println!("{GUESTS_ON_TAP_DEVICES} SKIPPED: there is no {DEVICE}");
        return;
    }
    // A process of several threads cannot enter a user namespace, but what it starts can.
    let mut again = Command::new(env::current_exe().expect("the program of this test"));
    again.args(["--exact", GUESTS_ON_TAP_DEVICES, "--color=never"]);
    match try_end(own_network(again.env(IN_OWN_NETWORK, "1"))) {
        Ok(ended) => drop(ended.exits(0).prints(" 1 passed;")),
        Err(error) => {
            println!("{GUESTS_ON_TAP_DEVICES} SKIPPED: no network namespace can be had: {error}");
        }
    }
}

/// A server in a guest on a tap device that the VMM makes.
fn serve(net: &str, report: &Path) -> Running {
    let mut command = program("http-server", net, &format!("ip={GUEST}/24"));
    let mut server = Running::start(command.arg("--report").arg(report));
    let line = server.line();
    assert_eq!(line, format!("http-server: http://{GUEST}:80/\n"));
    server
}

/// The host's side of it.
fn set_up(name: &str, mtu: u32) {
    let tap = Interface::find(name);
    tap.set_mtu(mtu);
    tap.add_address(HOST, 24);
    tap.set_up();
}

fn a_server_is_reached_at_the_mtu_and_with_offloads() {
    const MEGABYTE: usize = 1 << 20;
    const MTU: u32 = 3000;
    let folder = TempDir::new().expect("a temporary folder");
    let report_path = folder.path().join("report.json");
    let server = serve(&format!("tap=pv-one,mtu={MTU}"), &report_path);
    // The host would take larger packets than the guest may.
    set_up("pv-one", 2 * MTU);

    let mut client = Client::connect(GUEST, 80);
    let ok = "HTTP/1.1 200 OK";
    let (status, body) = client.get(&format!("/bytes/{MEGABYTE}"));
    assert_eq!(status, ok);
    assert!(body.len() == MEGABYTE && body.iter().all(|&byte| byte == b'x'));
    let segment = SockRef::from(client.stream()).tcp_mss();
    assert_eq!(segment.expect("it has one"), MTU - HEADERS);
    let (status, _) = client.post(&body);
    assert_eq!(status, "HTTP/1.1 405 Method Not Allowed");

    let refused = |text: &str| refused(&["--net", text]);
    refused("tap=pv-one").says("the tap device pv-one is in use by another process");
    refused("tap=pv-one,queues=2").says("pv-one is no tap device that can be used with 2 queues");
    refused("tap=lo").says("lo is no tap device that can be used with 1 queues");

    server.ask_to_end();
    assert_eq!(server.end().0, Some(0));
    // Segments that neither side cut: in the mean they are larger than a packet may be.
    let report = report(&report_path);
    let queues = &report["devices"][0]["queues"];
    let mean = |queue: usize, bytes: &str| {
        let number = |name: &str| queues[queue][name].as_u64();
        let mean = number(bytes)
            .zip(number("requests"))
            .map(|(bytes, count)| bytes / count);
        mean.unwrap_or_else(|| panic!("{report}"))
    };
    let [receive, transmit] = [0, 1];
    let (to_guest, from_guest) = (
        mean(receive, "bytes_to_guest"),
        mean(transmit, "bytes_from_guest"),
    );
    assert!(to_guest > u64::from(MTU), "{report}");
    assert!(from_guest > u64::from(MTU), "{report}");
}

fn a_driver_of_one_pair_is_served_by_a_device_of_several() {
    let folder = TempDir::new().expect("a temporary folder");
    let report_path = folder.path().join("report.json");
    let server = serve("tap=pv-many,queues=3", &report_path);
    set_up("pv-many", 1500);
    // The host would spread connections over all pairs that are used.
    for _ in 0..16 {
        let hello = (
            "HTTP/1.1 200 OK".to_owned(),
            b"Hello from the guest\n".to_vec(),
        );
        assert_eq!(Client::connect(GUEST, 80).get("/hello"), hello);
    }
    refused(&["--net", "tap=pv-many"]).says("a single one needs one that was not");
    server.ask_to_end();
    assert_eq!(server.end().0, Some(0));
    let report = report(&report_path);
    let queues = report["devices"][0]["queues"].as_array();
    assert_eq!(queues.map(Vec::len), Some(7), "{report}");
}

fn a_tap_device_that_cannot_be_had_is_told_in_a_sentence() {
    let net = ["--net", "tap=paravane-none"];
    refused(&["--net", "tap=a-name-that-is-too-long"]).says("is no name of a tap device");
    if !Path::new(DEVICE).exists() {
        refused(&net).says("this host has no /dev/net/tun; load the kernel's module tun");
        return;
    }
    let mut command = guest_command("hello", &net);
    let ended = match try_end(without_rights(&mut command)) {
        Ok(ended) => ended,
        Err(error) => {
            println!("no permission to a tap device SKIPPED: no user namespace: {error}");
            return;
        }
    };
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    // To the one that there is not, or, where only some users may open it, to the kernel's file.
    ended
        .exits(exit_code::BAD_CONFIGURATION)
        .says("no permission to ");
}
