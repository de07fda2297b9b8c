//! The options for devices.

use crate::cli::exit_code::Failure;
use clap::Args;
use paravane::device::block::BlockOptions;
use paravane::device::console::options::{ConsoleOptions, PortOptions};
use paravane::device::entropy::EntropyOptions;
use paravane::device::net::NetOptions;
use paravane::device::share::options::ShareOptions;
use paravane::device::spec::{DeviceOptions, DeviceSpec};
use paravane::device::vsock::options::VsockOptions;
use std::sync::Arc;

/// The devices of the first guest. Each option can be given several times.
#[derive(Debug, Args)]
#[command(next_help_heading = "Devices")]
pub struct DeviceArgs {
    /// A disk: a raw image or a block device, or a qcow2 image with ro
    #[arg(
        long = "disk",
        value_name = "[path=]FILE[,ro][,id=NAME][,...]",
        value_parser = BlockOptions::parse
    )]
    disks: Vec<BlockOptions>,
    /// A network: user, for one that needs no permission, a tap device, or the switch of
    /// `paravane switch`
    #[arg(
        long = "net",
        value_name = "user[,hostfwd=tcp:PORT-PORT]|tap=NAME|switch=PATH[,...]",
        value_parser = NetOptions::parse
    )]
    networks: Vec<NetOptions>,
    /// A folder of the host, to read
    #[arg(
        long = "share",
        value_name = "path=DIR,tag=NAME[,id=NAME]",
        value_parser = ShareOptions::parse
    )]
    shares: Vec<ShareOptions>,
    /// Sockets between the guest and programs of the host, which meet at the Unix socket PATH
    #[arg(
        long = "vsock",
        value_name = "cid=N,uds=PATH[,id=NAME]",
        value_parser = VsockOptions::parse
    )]
    vsocks: Vec<VsockOptions>,
    /// A named port to the host, beside the console: a Unix socket, or a file to append to
    #[arg(
        long = "console",
        value_name = "socket=PATH|file=PATH[,name=NAME]",
        value_parser = PortOptions::parse
    )]
    ports: Vec<PortOptions>,
    /// An entropy device: random bytes from the host
    #[arg(
        long = "rng",
        value_name = "id=NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = EntropyOptions::parse
    )]
    entropy: Vec<EntropyOptions>,
}

impl DeviceArgs {
    /// The devices, in the order of their kinds, each with a name.
    pub fn into_specs(self) -> Result<Vec<DeviceSpec>, Failure> {
        // All ports are one device's.
        let ports = match self.ports.is_empty() {
            true => None,
            false => Some(ConsoleOptions::new(self.ports).map_err(Failure::configuration)?),
        };
        let disks = self.disks.into_iter().map(boxed);
        let networks = self.networks.into_iter().map(boxed);
        let shares = self.shares.into_iter().map(boxed);
        let vsocks = self.vsocks.into_iter().map(boxed);
        let ports = ports.into_iter().map(boxed);
        let entropy = self.entropy.into_iter().map(boxed);
        let options = disks
            .chain(networks)
            .chain(shares)
            .chain(vsocks)
            .chain(ports)
            .chain(entropy);
        Ok(DeviceSpec::name(options.collect()))
    }
}

fn boxed(options: impl DeviceOptions + 'static) -> Arc<dyn DeviceOptions> {
    Arc::new(options)
}
