//! Devices of a VM that is saved, and goes on from what was saved: as those see them who use them.

use super::{Once, networks, ports, servers};
use crate::guests::example;
use crate::hosted::{Hosted, Plan};
use crate::modes::Mode;
use paravane::device::block::BlockOptions;
use paravane::device::console::options::{ConsoleOptions, PortOptions};
use paravane::device::net::NetOptions;
use paravane::device::vsock::options::VsockOptions;
use paravane::snapshot::save_to;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    (
        "a_network_goes_on_with_its_guest",
        a_network_goes_on_with_its_guest,
    ),
    (
        "a_store_and_its_socket_go_on_with_their_guest",
        a_store_and_its_socket_go_on_with_their_guest,
    ),
    (
        "a_named_port_goes_on_with_its_guest",
        a_named_port_goes_on_with_its_guest,
    ),
];

const MODE: Mode = Mode::ALL[5];

#[track_caller]
fn save(vm: &Hosted, place: &Path) {
    save_to(&vm.control, place).unwrap_or_else(|error| panic!("{error}"));
}

fn a_network_goes_on_with_its_guest() {
    let folder = TempDir::new().expect("a temporary folder");
    let place = folder.path().join("snapshot");
    let port = servers::free_port();
    let net = NetOptions::parse(&format!("user,hostfwd=tcp:127.0.0.1:{port}-80"));
    let plan = Plan::new(MODE, "")
        .image(example("http-server"))
        .vcpus(2)
        .device(net.expect("an option"));
    let mut vm = Hosted::start(&plan);
    assert_eq!(
        vm.terminal.line(),
        "http-server: http://10.0.2.15:80/".to_string()
    );
    let hello = ("HTTP/1.1 200 OK".into(), b"Hello from the guest\n".to_vec());
    let connect = || networks::Client::connect(Ipv4Addr::LOCALHOST, port);
    let mut client = connect();
    assert_eq!(client.get("/hello"), hello);
    save(&vm, &place);
    // It goes on with its connections.
    assert_eq!(client.get("/hello"), hello);
    assert_eq!(connect().get("/hello"), hello);
    vm.stop();
    // They end with the VM, and those to the next one are new.
    assert_eq!(client.stream().read(&mut [0]).unwrap_or_default(), 0);
    for _ in 0..2 {
        let vm = Hosted::restore(&plan, &place);
        let mut clients = [connect(), connect()];
        for client in &mut clients {
            assert_eq!(client.get("/hello"), hello);
            assert_eq!(client.get("/bytes/300000").1.len(), 300_000);
        }
        vm.stop();
    }
}

fn a_store_and_its_socket_go_on_with_their_guest() {
    let folder = TempDir::new().expect("a temporary folder");
    let place = folder.path().join("snapshot");
    let (image, socket) = (folder.path().join("data.img"), folder.path().join("sock"));
    let file = File::create(&image).expect("there is room");
    file.set_len(9 << 20).expect("there is room");
    let disk = BlockOptions::parse(&format!("path={}", image.display()));
    let vsock = VsockOptions::parse(&format!("cid=3,uds={}", socket.display()));
    let plan = Plan::new(MODE, "")
        .image(example("key-value"))
        .device(disk.expect("an option"))
        .device(vsock.expect("an option"));
    let mut vm = Hosted::start(&plan);
    vm.terminal.line_after("key-value: port 6379 of CID 3");
    let mut client = servers::Client::connect(&socket);
    let set = |client: &mut servers::Client, key: &str, value: &str| {
        client.send(&format!("SET {key} {value}\r\n"));
        assert_eq!(client.line().as_deref(), Some("+OK\r\n"));
    };
    set(&mut client, "colour", "green");
    vm.control.pause().expect("it can be paused");
    save(&vm, &place);
    vm.abandon();
    // Its connection ends with it, and the guest is told that it has.
    assert_eq!(client.line(), None);
    for round in 0..3 {
        let vm = Hosted::restore(&plan, &place);
        let mut client = servers::Client::connect(&socket);
        assert_eq!(client.get("colour").as_deref(), Some("green"));
        let mut other = servers::Client::connect(&socket);
        set(&mut other, &format!("round{round}"), "kept");
        assert_eq!(
            client.get(&format!("round{round}")).as_deref(),
            Some("kept")
        );
        // Each goes on from the same memory, and so has to find the same disk.
        vm.control.pause().expect("it can be paused");
        std::fs::remove_dir_all(&place).expect("it is there");
        save(&vm, &place);
        vm.abandon();
    }
    let vm = Hosted::restore(&plan, &place);
    let mut client = servers::Client::connect(&socket);
    for round in 0..3 {
        assert_eq!(
            client.get(&format!("round{round}")).as_deref(),
            Some("kept")
        );
    }
    vm.stop();
}

fn a_named_port_goes_on_with_its_guest() {
    let folder = TempDir::new().expect("a temporary folder");
    let place = folder.path().join("snapshot");
    let (socket, log) = (folder.path().join("sock"), folder.path().join("log"));
    let ports = [
        format!("socket={},name=shell", socket.display()),
        format!("file={},name=log", log.display()),
    ];
    let ports = ports.map(|text| PortOptions::parse(&text).expect("an option"));
    let console = ConsoleOptions::new(ports.into()).expect("two ports");
    let plan = Plan::new(MODE, "ports=shell,log").device(console);
    let mut vm = Hosted::start(&plan);
    assert_eq!(vm.terminal.line(), "ports shell log");
    let mut client = ports::connect(&socket, "shell");
    client.write_all(b"before").expect("it is read");
    ports::expect(&mut client, b"before");
    save(&vm, &place);
    // It goes on with its client.
    client.write_all(b"and on").expect("it is read");
    ports::expect(&mut client, b"and on");
    vm.stop();
    for _ in 0..2 {
        // The guest learns that its client has gone, and greets the next one.
        let vm = Hosted::restore(&plan, &place);
        for text in [b"one", b"two"] {
            let mut client = ports::connect(&socket, "shell");
            client.write_all(text).expect("it is read");
            ports::expect(&mut client, text);
        }
        vm.stop();
    }
    // A file is a client that is always there: it was greeted once.
    let greeted = std::fs::read_to_string(&log).expect("it is there");
    assert_eq!(greeted, "this is log\n");
}
