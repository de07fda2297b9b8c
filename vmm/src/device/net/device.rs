//! The device: its features, its configuration, and the network behind its queues.

use super::config::{ConfigSpace, set_link};
use super::control;
use super::features::{CSUM, CTRL_VQ, GUEST_CSUM, HOST_TSO4, MAC, MQ, MRG_RXBUF, MTU, STATUS};
use super::mac::Mac;
use super::options::NetOptions;
use super::packets::{End, Packets, Trust};
use super::receiver::Receiver;
use super::switch;
use super::tap::{self, Tap};
use super::tasks::{first_end, watch_fd};
use super::user::{Checks, Engine, ForwardListener, Settings, UserPort};
use crate::device::DeviceError;
use crate::device::backend::{Active, Backend, Work};
use crate::device::rate::RateLimiter;
use rustix::io::Errno;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zerocopy::IntoBytes;

/// VIRTIO_ID_NET.
const DEVICE_TYPE: u32 = 1;

/// The largest number of descriptors of a queue for packets.
const QUEUE_SIZE: u16 = 256;

/// And of the control queue.
const CONTROL_SIZE: u16 = 16;

/// Where the configuration space has the state of the link.
const LINK: Range<usize> = 6..8;

/// The MTU of a driver that does not ask.
const MTU_UNASKED: u16 = 1500;

#[derive(Debug)]
enum Behind {
    User {
        forwards: Vec<ForwardListener>,
        dns: Option<SocketAddr>,
    },
    Tap(Tap),
    Switch {
        path: PathBuf,
        // `None`: it is gone.
        socket: Option<OwnedFd>,
    },
}

/// A network device.
#[derive(Debug)]
pub struct NetDevice {
    behind: Behind,
    mac: Mac,
    // The user has chosen it.
    has_own_mac: bool,
    mtu: u16,
    rate: Option<u64>,
}

impl NetDevice {
    fn new(options: &NetOptions, behind: Behind) -> Self {
        Self {
            behind,
            mac: options.mac.unwrap_or_else(Mac::random),
            has_own_mac: options.mac.is_some(),
            mtu: options.mtu,
            rate: options.rate,
        }
    }

    pub(super) fn user(
        options: &NetOptions,
        forwards: Vec<ForwardListener>,
        dns: Option<SocketAddr>,
    ) -> Self {
        Self::new(options, Behind::User { forwards, dns })
    }

    pub(super) fn tap(options: &NetOptions, tap: Tap) -> Self {
        Self::new(options, Behind::Tap(tap))
    }

    pub(super) fn switch(options: &NetOptions, path: PathBuf, socket: OwnedFd) -> Self {
        let socket = Some(socket);
        Self::new(options, Behind::Switch { path, socket })
    }

    /// How many pairs of queues there are.
    fn pairs(&self) -> u16 {
        match &self.behind {
            Behind::Tap(tap) => u16::try_from(tap.queues().len()).unwrap_or(1),
            _ => 1,
        }
    }

    fn limiter(&self) -> RateLimiter {
        RateLimiter::new(self.rate, None)
    }
}

impl Backend for NetDevice {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        let own = match &self.behind {
            // A segment of any size is one segment for its stack. What it sends is never larger
            // than the MTU, so there is nothing for the guest to take that is.
            Behind::User { .. } => CSUM | GUEST_CSUM | HOST_TSO4,
            Behind::Tap(_) => tap::FEATURES,
            // What is to be cut could reach a guest that cannot take it.
            Behind::Switch { .. } => CSUM | GUEST_CSUM,
        };
        let many = if self.pairs() > 1 { CTRL_VQ | MQ } else { 0 };
        own | many | MAC | MTU | STATUS | MRG_RXBUF
    }

    fn queue_sizes(&self) -> Vec<u16> {
        let mut sizes = vec![QUEUE_SIZE; 2 * usize::from(self.pairs())];
        if self.pairs() > 1 {
            sizes.push(CONTROL_SIZE);
        }
        sizes
    }

    fn config(&self) -> Vec<u8> {
        ConfigSpace::new(self.mac, self.pairs(), self.mtu)
            .as_bytes()
            .to_vec()
    }

    /// The driver knows its address and goes on with it.
    fn take_over(&mut self, config: &[u8]) -> Result<Vec<u8>, String> {
        let before = self.mac;
        if let Some(mac) = config.first_chunk() {
            self.mac = Mac(*mac);
        }
        if self.has_own_mac && self.mac.0 != before.0 {
            return Err("its driver knows it by another MAC address".into());
        }
        // The link may be up or not.
        let rest = |config: &[u8]| config.get(LINK.end..).map(<[u8]>::to_vec);
        if rest(config) != rest(&self.config()) {
            return Err("its MTU or its number of queues is not what its driver knows".into());
        }
        Ok(config.to_vec())
    }

    fn run(&mut self, active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(async move {
            match self.behind {
                Behind::User { .. } => self.serve_user(active).await,
                Behind::Tap(_) => self.serve_tap(active).await,
                Behind::Switch { .. } => self.serve_switch(active).await,
            }
        })
    }
}

impl NetDevice {
    async fn serve_user(&self, mut active: Active) -> Result<(), DeviceError> {
        let Behind::User { forwards, dns } = &self.behind else {
            return Ok(());
        };
        let features = active.features;
        let settings = Settings {
            mtu: if features & MTU != 0 {
                self.mtu
            } else {
                self.mtu.min(MTU_UNASKED)
            },
            checks: Checks {
                from_guest: features & CSUM == 0,
                to_guest: features & GUEST_CSUM == 0,
            },
            mac: self.mac.0,
            dns: *dns,
        };
        let mut engine = Engine::new(&settings, forwards)
            .map_err(DeviceError::host("starting the user network"))?;
        let mut port = UserPort {
            receiver: Receiver::new(active.take_queue(0)?, features & MRG_RXBUF != 0),
            transmit: active.take_queue(1)?,
            to_guest: self.limiter(),
            from_guest: self.limiter(),
            leaves_checksums: features & GUEST_CSUM != 0,
            stats: active.stats,
        };
        port.serve(&mut engine).await
    }

    async fn serve_tap(&self, mut active: Active) -> Result<(), DeviceError> {
        let Behind::Tap(tap) = &self.behind else {
            return Ok(());
        };
        let features = active.features;
        match tap.set_offload(features).and_then(|()| tap.use_queues(1)) {
            // If it is gone, who waits for packets is told.
            Ok(()) | Err(Errno::BADFD) => {}
            Err(error) => return Err(DeviceError::host("setting up the tap device")(error.into())),
        }
        let has_many = features & MQ != 0;
        let (set_pairs, pairs) = watch::channel(1);
        let mut tasks = JoinSet::new();
        let used = if has_many { self.pairs() } else { 1 };
        for (pair, queue) in (0..used).zip(tap.queues()) {
            let at = 2 * usize::from(pair);
            // A driver need not set up those that it does not use.
            if pair > 0 && active.queues.get(at).is_none_or(Option::is_none) {
                continue;
            }
            let packets = Packets {
                fd: watch_fd(queue)?,
                trust: Trust::Kernel,
                features,
                stats: Arc::clone(&active.stats),
                pair: (pair, pairs.clone()),
            };
            self.start(&mut tasks, &mut active, packets, at)?;
        }
        let gone = || {
            tracing::warn!("the tap device is gone");
            set_link(&active.config, false);
        };
        if features & CTRL_VQ != 0 {
            let at = if has_many { 2 * usize::from(used) } else { 2 };
            if let Some(queue) = active.queues.get_mut(at).and_then(Option::take) {
                let change = |pairs| {
                    // Those that are not used any more stop before the kernel takes them away.
                    let is_fewer = *set_pairs.borrow() > pairs;
                    if is_fewer {
                        set_pairs.send_replace(pairs);
                    }
                    let done = tap.use_queues(pairs).is_ok();
                    if done && !is_fewer {
                        set_pairs.send_replace(pairs);
                    }
                    done
                };
                let served = control::serve(queue, used, change);
                return tokio::select! {
                    ended = served => ended,
                    ended = first_end(&mut tasks, gone) => ended,
                };
            }
        }
        first_end(&mut tasks, gone).await
    }

    async fn serve_switch(&mut self, mut active: Active) -> Result<(), DeviceError> {
        let Behind::Switch { path, socket } = &mut self.behind else {
            return Ok(());
        };
        if socket.is_none() {
            // It may have been started again.
            *socket = switch::connect(path)
                .inspect_err(|error| tracing::warn!("{error}"))
                .ok();
        }
        set_link(&active.config, socket.is_some());
        let Some(fd) = socket.as_ref().map(watch_fd).transpose()? else {
            return std::future::pending().await;
        };
        let (_same, pairs) = watch::channel(1);
        let packets = Packets {
            fd,
            trust: Trust::Peer,
            features: active.features,
            stats: Arc::clone(&active.stats),
            pair: (0, pairs),
        };
        let config = Arc::clone(&active.config);
        let mut tasks = JoinSet::new();
        self.start(&mut tasks, &mut active, packets, 0)?;
        let Behind::Switch { path, socket } = &mut self.behind else {
            return Ok(());
        };
        let gone = || {
            tracing::warn!("the switch at {} is gone", path.display());
            *socket = None;
            set_link(&config, false);
        };
        first_end(&mut tasks, gone).await
    }

    /// Starts to serve a pair of queues, the first of which is number `at`.
    fn start(
        &self,
        tasks: &mut JoinSet<Result<(), End>>,
        active: &mut Active,
        packets: Packets,
        at: usize,
    ) -> Result<(), DeviceError> {
        let is_merging = active.features & MRG_RXBUF != 0;
        let receiver = Receiver::new(active.take_queue(at)?, is_merging);
        let transmit = active.take_queue(at + 1)?;
        let limiter = self.limiter();
        tasks.spawn_local(packets.clone().receive(receiver, limiter.clone()));
        tasks.spawn_local(async move { Ok(packets.transmit(transmit, limiter).await?) });
        Ok(())
    }
}
