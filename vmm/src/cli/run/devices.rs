//! The options for devices.

use clap::Args;
use paravane::device::entropy::EntropyOptions;
use paravane::device::spec::{DeviceOptions, DeviceSpec};
use std::sync::Arc;

/// The devices of the first guest. Each option can be given several times.
#[derive(Debug, Args)]
#[command(next_help_heading = "Devices")]
pub struct DeviceArgs {
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
    pub fn into_specs(self) -> Vec<DeviceSpec> {
        let entropy = self.entropy.into_iter().map(boxed);
        DeviceSpec::name(entropy.collect())
    }
}

fn boxed(options: impl DeviceOptions + 'static) -> Arc<dyn DeviceOptions> {
    Arc::new(options)
}
