//! The options for devices, as [`crate::cli::run`] has them, for the API.

use super::place::{self, here};
use clap::Args;
use paravane::device::block::BlockOptions;
use paravane::device::console::options::PortOptions;
use paravane::device::entropy::EntropyOptions;
use paravane::device::net::NetOptions;
use paravane::device::options::Options;
use paravane::device::share::options::ShareOptions;
use paravane::device::vsock::options::VsockOptions;
use paravane_api::device::{
    Connection, Devices, Disk, DiskFormat, Network, Port, PortEnd, Rng, Share, Vsock,
};

/// The devices.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Devices")]
pub struct DeviceArgs {
    /// A disk: a raw image or a block device, or with ro a qcow2 image or an image of the
    /// daemon's store, store:NAME
    #[arg(long = "disk", value_name = "[path=]FILE[,ro][,id=NAME][,...]", value_parser = disk)]
    disks: Vec<Disk>,
    /// A network: user, for one that needs no permission, a tap device, or the switch of
    /// `paravane switch`
    #[arg(
        long = "net",
        value_name = "user[,hostfwd=tcp:PORT-PORT]|tap=NAME|switch=PATH[,...]",
        value_parser = network
    )]
    networks: Vec<Network>,
    /// A folder of the host, to read
    #[arg(long = "share", value_name = "path=DIR,tag=NAME[,id=NAME]", value_parser = share)]
    shares: Vec<Share>,
    /// Sockets between the guest and programs of the host, which meet at the Unix socket PATH
    #[arg(long, value_name = "cid=N,uds=PATH[,id=NAME]", value_parser = vsock)]
    vsock: Option<Vsock>,
    /// A named port to the host, beside the console: a Unix socket, or a file to append to
    #[arg(long = "console", value_name = "socket=PATH|file=PATH[,name=NAME]", value_parser = port)]
    ports: Vec<Port>,
    /// An entropy device: random bytes from the host
    #[arg(
        long,
        value_name = "id=NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = rng
    )]
    rng: Option<Rng>,
}

impl From<DeviceArgs> for Devices {
    fn from(args: DeviceArgs) -> Self {
        Self {
            disks: args.disks,
            networks: args.networks,
            shares: args.shares,
            vsock: args.vsock,
            ports: args.ports,
            rng: args.rng,
        }
    }
}

// Each text is first parsed as `paravane run` does, so that what is wrong is told in the same
// words; then its words are taken as they were written, so that what was not said stays unsaid.

fn disk(text: &str) -> Result<Disk, String> {
    BlockOptions::parse(text)?;
    let mut options = Options::parse_with_first(text, &["ro", "direct", "discard"])?;
    let path = options.take_first().or_else(|| options.take("path"));
    Ok(Disk {
        id: options.take("id"),
        source: place::file(&path.unwrap_or_default(), here())?,
        read_only: options.take_flag("ro")?,
        format: match options.take("format").as_deref() {
            Some("raw") => Some(DiskFormat::Raw),
            Some("qcow2") => Some(DiskFormat::Qcow2),
            _ => None,
        },
        serial: options.take("serial"),
        direct: options.take_flag("direct")?,
        rate: options.take_rate("rate")?,
        iops: options.take_number("iops", 0..=u64::MAX)?,
        queues: small(options.take_number("queues", 0..=u64::MAX)?),
        discard: options.take("discard").map(|value| value == "on"),
    })
}

fn network(text: &str) -> Result<Network, String> {
    NetOptions::parse(text)?;
    let mut options = Options::parse(text)?;
    if options.take("dns").is_some() {
        return Err("dns= is for `paravane run` only; here the host's name server is used".into());
    }
    let (tap, switch) = (options.take("tap"), options.take("switch"));
    let queues = small(options.take_number("queues", 0..=u64::MAX)?);
    let connection = match (tap, switch) {
        (Some(name), _) => Connection::Tap { name, queues },
        (None, Some(path)) => Connection::Switch {
            path: place::path(&path, here())?,
        },
        (None, None) => {
            let forwards = options.take("hostfwd").unwrap_or_default();
            let forwards = forwards.split('+').filter(|forward| !forward.is_empty());
            Connection::User {
                hostfwd: forwards.map(str::to_string).collect(),
            }
        }
    };
    Ok(Network {
        id: options.take("id"),
        connection,
        mac: options.take("mac"),
        mtu: small(options.take_number("mtu", 0..=u64::MAX)?),
        rate: options.take_size("rate")?,
    })
}

fn share(text: &str) -> Result<Share, String> {
    ShareOptions::parse(text)?;
    let mut options = Options::parse(text)?;
    Ok(Share {
        id: options.take("id"),
        path: place::path(&options.take("path").unwrap_or_default(), here())?,
        tag: options.take("tag").unwrap_or_default(),
    })
}

fn vsock(text: &str) -> Result<Vsock, String> {
    VsockOptions::parse(text)?;
    let mut options = Options::parse(text)?;
    let cid = options.take_number("cid", 0..=u64::from(u32::MAX))?;
    let path = options.take("uds");
    Ok(Vsock {
        id: options.take("id"),
        cid: cid.and_then(|cid| u32::try_from(cid).ok()).unwrap_or(0),
        path: path.map(|path| place::path(&path, here())).transpose()?,
    })
}

fn port(text: &str) -> Result<Port, String> {
    PortOptions::parse(text)?;
    let mut options = Options::parse(text)?;
    let path = |path: Option<String>| path.map(|path| place::path(&path, here())).transpose();
    let end = match (path(options.take("socket"))?, path(options.take("file"))?) {
        (Some(path), _) => PortEnd::Socket(path),
        (None, path) => PortEnd::File(path.unwrap_or_default()),
    };
    let name = options.take("name");
    Ok(Port { name, end })
}

fn rng(text: &str) -> Result<Rng, String> {
    // Nothing is said by a lone --rng.
    EntropyOptions::parse(text)?;
    let id = Options::parse(text)?.take("id");
    Ok(Rng { id })
}

/// A number that the library's parser has found small enough.
fn small(number: Option<u64>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_told_as_it_was_said() {
        let disk = disk(
            "/a.img,ro,id=root,serial=S,direct,rate=10M/s,iops=5,queues=4,format=raw,discard=off",
        );
        let expected = Disk {
            id: Some("root".to_string()),
            source: "/a.img".to_string(),
            read_only: true,
            format: Some(DiskFormat::Raw),
            serial: Some("S".to_string()),
            direct: true,
            rate: Some(10 << 20),
            iops: Some(5),
            queues: Some(4),
            discard: Some(false),
        };
        assert_eq!(disk, Ok(expected));
        let unsaid = Disk {
            source: "store:base".to_string(),
            ..Disk::default()
        };
        assert_eq!(super::disk("path=store:base"), Ok(unsaid));
        let relative = super::disk("a.img").unwrap().source;
        assert!(
            relative.starts_with('/') && relative.ends_with("/a.img"),
            "{relative}"
        );
    }

    #[test]
    fn a_network_is_told_as_it_was_said() {
        let network = |text| network(text).map(|network| serde_json::to_value(network).unwrap());
        let user = "user,id=lan,mac=02:00:00:00:00:07,mtu=9000,rate=10M,hostfwd=tcp:80-80+tcp:0.0.0.0:0-22";
        let expected = serde_json::json!({
            "id": "lan", "mac": "02:00:00:00:00:07", "mtu": 9000, "rate": 10 << 20,
            "connection": {"user": {"hostfwd": ["tcp:80-80", "tcp:0.0.0.0:0-22"]}},
        });
        assert_eq!(network(user), Ok(expected));
        let expected = serde_json::json!({"connection": {"user": {}}});
        assert_eq!(network("user"), Ok(expected));
        let expected = serde_json::json!({"connection": {"tap": {"name": "tap0", "queues": 2}}});
        assert_eq!(network("tap=tap0,queues=2"), Ok(expected));
        let expected = serde_json::json!({"connection": {"switch": {"path": "/run/sw"}}});
        assert_eq!(network("switch=/run/sw"), Ok(expected));
        assert!(
            network("user,dns=192.0.2.1")
                .unwrap_err()
                .starts_with("dns= is for")
        );
    }

    #[test]
    fn the_rest_is_told_as_it_was_said() {
        let share = share("path=/srv,tag=files").unwrap();
        assert_eq!((share.path.as_str(), share.tag.as_str()), ("/srv", "files"));
        let vsock = vsock("cid=3,uds=/v.sock,id=v").unwrap();
        assert_eq!((vsock.cid, vsock.path.as_deref()), (3, Some("/v.sock")));
        let port = port("socket=/p.sock,name=shell").unwrap();
        assert_eq!(port.end, PortEnd::Socket("/p.sock".to_string()));
        assert_eq!(rng(""), Ok(Rng { id: None }));
        assert_eq!(rng("id=r").unwrap().id.as_deref(), Some("r"));
    }

    #[test]
    fn what_is_wrong_is_told_as_by_run() {
        assert_eq!(disk("a,path=b").unwrap_err(), "a disk has one path");
        let error = network("lan").unwrap_err();
        assert!(error.contains("lan"), "{error}");
        assert_eq!(
            share("tag=x").unwrap_err(),
            "the folder is missing: path=DIR"
        );
        assert!(vsock("cid=2,uds=x").is_err() && port("name=x").is_err() && rng("x").is_err());
    }
}
