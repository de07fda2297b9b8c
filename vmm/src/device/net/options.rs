//! `--net`: what the user says about a network device.

use super::device::NetDevice;
use super::mac::Mac;
use super::switch::{SwitchError, connect};
use super::tap::{self, Tap, TapError};
use super::user::{Forward, ForwardListener, ListenError, RESOLV_CONF};
use crate::device::backend::Backend;
use crate::device::options::Options;
use crate::device::spec::DeviceOptions;
use crate::sandbox::needs::{Access, DeviceWork, Needs};
use std::error::Error;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use thiserror::Error;

const KNOWN: [&str; 10] = [
    "user",
    "tap=NAME",
    "switch=PATH",
    "id=NAME",
    "mac=ADDRESS",
    "mtu=BYTES",
    "queues=COUNT",
    "rate=SIZE",
    "hostfwd=tcp:[ADDRESS:]HOSTPORT-GUESTPORT[+...]",
    "dns=ADDRESS",
];

/// The range of mtu=: what IPv4 can live with (RFC 791), and its longest packet.
const MTU_RANGE: std::ops::RangeInclusive<u64> = 68..=65535;

/// The largest packet where no host has a say: of the largest pages that fit into 64 KiB.
const USER_MTU: u16 = 65520;

/// The largest packet of Ethernet.
const ETHERNET_MTU: u16 = 1500;

/// The most pairs of queues.
const QUEUES_MAX: u64 = 16;

/// The network behind a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// A network of its own in the VMM.
    User {
        /// The ports of the host that lead to the guest.
        forwards: Vec<Forward>,
        /// The name server; `None`: the host's.
        dns: Option<SocketAddr>,
    },
    /// A tap device.
    Tap {
        /// Its name.
        name: String,
        /// How many pairs of queues there are.
        queues: u16,
    },
    /// A switch.
    Switch {
        /// Its socket.
        path: PathBuf,
    },
}

/// `--net`.
#[derive(Clone, Debug)]
pub struct NetOptions {
    id: Option<String>,
    /// The network.
    pub network: Network,
    /// The guest's address; `None`: a random one each time.
    pub mac: Option<Mac>,
    /// The largest packet in bytes, without its Ethernet header.
    pub mtu: u16,
    /// How many bytes per second go in each direction at most.
    pub rate: Option<u64>,
}

/// Why there is no network.
#[derive(Debug, Error)]
pub enum NetError {
    /// A port of the host cannot be forwarded.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no tap device.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// There is no switch.
    #[error(transparent)]
    Switch(#[from] SwitchError),
}

impl NetOptions {
    /// Parses `user|tap=NAME|switch=PATH`, and behind it what there is of `id=NAME`,
    /// `mac=ADDRESS` (by default a random one, locally administered), `mtu=BYTES` (by default
    /// 65520 for user, else 1500), `rate=SIZE` (bytes per second in each direction); for tap
    /// `queues=COUNT` (1); for user `dns=ADDRESS` (by default the host's name server) and
    /// `hostfwd=tcp:[ADDRESS:]HOSTPORT-GUESTPORT`, several separated by +.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_options(Options::parse(text)?)
    }

    /// Makes it of what was said.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_options(mut options: Options) -> Result<Self, String> {
        let is_user = options.take_flag("user")?;
        let (tap, switch) = (options.take("tap"), options.take("switch"));
        let id = options.take("id");
        let mac = options.take("mac").map(|text| text.parse()).transpose()?;
        let mtu = options.take_number("mtu", MTU_RANGE)?;
        let rate = options.take_size("rate")?;
        let queues = options.take_number("queues", 1..=QUEUES_MAX)?.unwrap_or(1);
        let forwards = options.take("hostfwd");
        let dns = options.take("dns");
        options.finish(&KNOWN)?;
        let network = match (is_user, tap, switch) {
            (true, None, None) => Network::User {
                forwards: parse_forwards(forwards.as_deref())?,
                dns: dns.as_deref().map(parse_dns).transpose()?,
            },
            (false, Some(name), None) => Network::Tap {
                name,
                queues: u16::try_from(queues).unwrap_or(1),
            },
            (false, None, Some(path)) => Network::Switch { path: path.into() },
            _ => return Err("one of user, tap=NAME and switch=PATH is needed".to_string()),
        };
        if forwards.is_some() && !is_user {
            return Err("hostfwd= is for the network user only".to_string());
        }
        if dns.is_some() && !is_user {
            return Err("dns= is for the network user only".to_string());
        }
        if queues > 1 && !matches!(network, Network::Tap { .. }) {
            return Err(format!("queues={queues} is for a tap device only"));
        }
        let mtu = mtu.and_then(|mtu| u16::try_from(mtu).ok());
        let mtu = mtu.unwrap_or(if is_user { USER_MTU } else { ETHERNET_MTU });
        Ok(Self {
            id,
            network,
            mac,
            mtu,
            rate,
        })
    }

    /// Takes what the device needs of the host.
    ///
    /// # Errors
    ///
    /// What cannot be had.
    pub fn open(&self) -> Result<NetDevice, NetError> {
        Ok(match &self.network {
            Network::User { forwards, dns } => {
                let listeners = forwards
                    .iter()
                    .map(|forward| ForwardListener::open(*forward))
                    .collect::<Result<Vec<_>, _>>()?;
                for (asked, listener) in forwards.iter().zip(&listeners) {
                    if asked.host.port() == 0 {
                        let (host, guest) = (listener.forward.host, asked.guest_port);
                        tracing::warn!("{host} leads to the guest's port {guest}");
                    }
                }
                NetDevice::user(self, listeners, *dns)
            }
            Network::Tap { name, queues } => NetDevice::tap(self, Tap::open(name, *queues)?),
            Network::Switch { path } => NetDevice::switch(self, path.clone(), connect(path)?),
        })
    }
}

fn parse_forwards(text: Option<&str>) -> Result<Vec<Forward>, String> {
    let words = text.into_iter().flat_map(|text| text.split('+'));
    words.map(str::parse).collect()
}

fn parse_dns(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|ip| (ip, 53).into());
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("dns={text} is no address of a name server; one is like 192.0.2.1 or 192.0.2.1:53")
    })
}

impl DeviceOptions for NetOptions {
    fn kind(&self) -> &'static str {
        "net"
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
        Ok(Box::new(Self::open(self)?))
    }

    fn add_needs(&self, needs: &mut Needs) {
        match &self.network {
            Network::User { forwards, dns } => {
                needs.devices.insert(DeviceWork::UserNetwork);
                needs.tcp.connect = true;
                needs.tcp.bind |= needs.rebuilds && !forwards.is_empty();
                if let (None, Ok(servers)) = (dns, fs::canonicalize(RESOLV_CONF)) {
                    // Who manages it replaces it, in a folder of its own. One that is in /etc itself
                    // is written by hand, and is read as it is now.
                    match servers.starts_with("/etc") {
                        true => needs.path(&servers, Access::Read),
                        false => needs.folder_of(&servers, Access::Read),
                    }
                }
            }
            Network::Tap { .. } => {
                needs.devices.insert(DeviceWork::Tap);
                if needs.rebuilds {
                    needs.path(Path::new(tap::DEVICE), Access::Write);
                    needs.network_administration = true;
                }
            }
            Network::Switch { path } => {
                needs.devices.insert(DeviceWork::Switch);
                // A switch that is started again makes another socket.
                needs.folder_of(path, Access::Connect);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed() {
        let options = NetOptions::parse(
            "user,id=lan,mac=02:00:00:00:00:07,mtu=9000,rate=10M,dns=192.0.2.1,\
             hostfwd=tcp:8080-80+tcp:0.0.0.0:0-22",
        )
        .expect("all is right");
        assert_eq!(options.id.as_deref(), Some("lan"));
        assert_eq!(options.mac, Some(Mac([2, 0, 0, 0, 0, 7])));
        assert_eq!((options.mtu, options.rate), (9000, Some(10 << 20)));
        let Network::User { forwards, dns } = options.network else {
            panic!("it is the network user");
        };
        let forwards: Vec<_> = forwards.iter().map(ToString::to_string).collect();
        assert_eq!(forwards, ["tcp:127.0.0.1:8080-80", "tcp:0.0.0.0:0-22"]);
        assert_eq!(dns, Some(([192, 0, 2, 1], 53).into()));

        let options = NetOptions::parse("tap=tap0,queues=4").expect("all is right");
        assert_eq!(options.mtu, 1500);
        let tap = Network::Tap {
            name: "tap0".to_string(),
            queues: 4,
        };
        assert_eq!(options.network, tap);
        let options = NetOptions::parse("switch=/run/sw").expect("all is right");
        let path = "/run/sw".into();
        assert_eq!(options.network, Network::Switch { path });
        assert_eq!(NetOptions::parse("user").expect("all is right").mtu, 65520);
    }

    #[test]
    fn what_does_not_go_is_told() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(NetOptions::parse(text).unwrap_err(), expected);
        }
        let which = "one of user, tap=NAME and switch=PATH is needed";
        check("", which);
        check("user,tap=t", which);
        check("tap=a,switch=b", which);
        check(
            "switch=a,hostfwd=tcp:1-2",
            "hostfwd= is for the network user only",
        );
        check("tap=a,dns=::1", "dns= is for the network user only");
        check("user,queues=2", "queues=2 is for a tap device only");
        check("tap=a,queues=17", "queues=17 is not a number from 1 to 16");
        check("user,mtu=67", "mtu=67 is not a number from 68 to 65535");
        check(
            "user,dns=x",
            "dns=x is no address of a name server; one is like 192.0.2.1 or 192.0.2.1:53",
        );
        for wrong in ["user,nat", "user,mac=x", "user,hostfwd=80", "user,hostfwd="] {
            NetOptions::parse(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn a_port_in_use_and_a_missing_switch_are_told_before_there_is_a_device() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = taken.local_addr().expect("it is bound");
        let text = format!("user,hostfwd=tcp:{address}-80");
        let error = NetOptions::parse(&text).expect("it is right").open();
        let told = error.expect_err("the port is in use").to_string();
        assert!(
            told.starts_with(&format!("{address} cannot be listened on")),
            "{told}"
        );

        let options = NetOptions::parse("switch=/nonexistent/switch").expect("it is right");
        let told = options.open().expect_err("there is none").to_string();
        let start = "start one by paravane switch /nonexistent/switch";
        assert_eq!(
            told,
            format!("there is no switch at /nonexistent/switch; {start}")
        );
    }
}
