//! Any packets, and host programs that do what they like: nothing panics, nothing grows, and
//! when the guest is gone there is nothing left.

use super::super::muxer::MAX_CONNECTIONS;
use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// A packet: operation, type, ports, flags, length, payload, credit.
    Packet {
        op: u16,
        kind: u16,
        host: u32,
        guest: u32,
        flags: u32,
        wrong_len: Option<u32>,
        size: usize,
        buf_alloc: u32,
        fwd_cnt: u32,
    },
    /// The guest takes what there is for it, by buffers of a size.
    Take(usize),
    /// A host program connects and says a line.
    Connect(Vec<u8>),
    /// A host program that connected or accepted writes, or closes.
    Write(usize, usize),
    Close(usize),
}

fn packet() -> impl Strategy<Value = Step> {
    let credit = prop_oneof![Just(0u32), 0..100_000u32, any::<u32>()];
    let forwarded = prop_oneof![4 => Just(0u32), 1 => 0..2000u32, 1 => any::<u32>()];
    let wrong_len = prop::option::weighted(0.05, any::<u32>());
    let host = prop_oneof![Just(HOST_PORT), (1 << 30)..(1u32 << 30) + 3, any::<u32>()];
    let kind = prop_oneof![9 => Just(TYPE_STREAM), 1 => any::<u16>()];
    let op = prop_oneof![3 => Just(1u16), 5 => Just(5u16), 6 => 0..9u16];
    let address = (op, kind, host, 999..1002u32, 0..5u32);
    let body = (wrong_len, 0..70_000usize, credit, forwarded);
    (address, body).prop_map(|((op, kind, host, guest, flags), body)| {
        let (wrong_len, size, buf_alloc, fwd_cnt) = body;
        Step::Packet {
            op,
            kind,
            host,
            guest,
            flags,
            wrong_len,
            size,
            buf_alloc,
            fwd_cnt,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let line = prop_oneof![
        Just(b"CONNECT 1000\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    prop_oneof![
        6 => packet(),
        2 => (1..70_000usize).prop_map(Step::Take),
        1 => line.prop_map(Step::Connect),
        1 => (0..8usize, 0..100_000usize).prop_map(|(which, size)| Step::Write(which, size)),
        1 => (0..8usize).prop_map(Step::Close),
    ]
}

/// The host programs of one run.
struct Hosts {
    listener: UnixListener,
    streams: Vec<UnixStream>,
}

fn run(guest: &mut Guest, hosts: &mut Hosts, step: Step) {
    match step {
        Step::Packet {
            op,
            kind,
            host,
            guest: port,
            flags,
            wrong_len,
            size,
            buf_alloc,
            fwd_cnt,
        } => {
            let payload = if op == Op::ReadWrite as u16 { size } else { 0 };
            let header = Header {
                op: op.into(),
                kind: kind.into(),
                src_port: port.into(),
                flags: flags.into(),
                len: wrong_len.unwrap_or(payload as u32).into(),
                buf_alloc: buf_alloc.into(),
                fwd_cnt: fwd_cnt.into(),
                ..guest.header(Op::Reset, host)
            };
            if guest.muxer.can_receive() {
                guest.muxer.receive(&header, &pattern(payload));
            }
        }
        Step::Take(size) => {
            let mut payload = vec![0; size];
            while let Some(header) = guest.muxer.transmit(&mut payload) {
                assert!(header.len.get() as usize <= size);
            }
        }
        Step::Connect(line) => {
            if let Ok(stream) = crate::device::unix_socket::connect_now(&guest.path()) {
                let stream = UnixStream::from_std(stream).unwrap();
                let _ = stream.try_write(&line);
                hosts.streams.push(stream);
            }
        }
        Step::Write(which, size) => {
            if let Some(stream) = hosts.streams.get(which) {
                let _ = stream.try_write(&pattern(size));
            }
        }
        Step::Close(which) => {
            if which < hosts.streams.len() {
                hosts.streams.swap_remove(which);
            }
        }
    }
}

async fn check(steps: Vec<Step>) {
    let mut guest = Guest::new();
    let listener = guest.listen(HOST_PORT);
    let mut hosts = Hosts {
        listener,
        streams: Vec::new(),
    };
    for step in steps {
        run(&mut guest, &mut hosts, step);
        let accepted = async {
            tokio::select! {
                biased;
                accepted = hosts.listener.accept() => accepted.ok(),
                () = tokio::task::yield_now() => None,
            }
        };
        if let Some((stream, _)) = guest.during(accepted).await {
            hosts.streams.push(stream);
        }
        assert!(guest.muxer.len() <= MAX_CONNECTIONS);
        assert!(guest.muxer.waiting() <= guest.muxer.len() * BUFFER_SIZE as usize);
    }
    // The host programs end, and the guest refuses whatever it hears of.
    hosts.streams.clear();
    drop(hosts);
    let mut payload = vec![0; 64 << 10];
    let ends = async {
        while !guest.muxer.is_empty() {
            // Some of them wait for credit, and it hears nothing of them.
            for host in (1 << 30..(1 << 30) + 200).chain([HOST_PORT]) {
                for port in 999..1002u32 {
                    let mut reset = guest.header(Op::Reset, host);
                    reset.src_port = port.into();
                    guest.muxer.receive(&reset, &[]);
                }
            }
            while let Some(header) = guest.muxer.transmit(&mut payload) {
                let mut reset = guest.header(Op::Reset, header.src_port.get());
                reset.src_port = header.dst_port;
                guest.muxer.receive(&reset, &[]);
            }
            let second = tokio::time::sleep(Duration::from_secs(1));
            guest.during(second).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), ends)
        .await
        .unwrap_or_else(|_| panic!("a connection stays for ever: {:?}", guest.muxer));
    assert_eq!(guest.muxer.waiting(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_grows_or_stays(steps in prop::collection::vec(step(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check(steps));
    }
}
