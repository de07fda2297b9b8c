//! How a guest is to run, as `paravane run` and `paravane vm create` are told.

use super::size;
use clap::{Args, ValueEnum};
use paravane::carrier::{Carrier, Privilege};
use paravane::layout::MAX_VCPUS;

/// How a guest is to run.
#[derive(Debug, Args)]
pub struct GuestArgs {
    /// The guest's memory: bytes, or with one of the units K, M, G and T
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = size::parse)]
    pub mem: u64,
    /// How many vCPUs the guest has
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_vcpus)]
    pub vcpus: u32,
    /// The privilege level of the guest kernel; auto takes what is fastest on its host
    #[arg(long, value_enum, default_value_t = PrivilegeChoice::Auto)]
    pub privilege: PrivilegeChoice,
    /// What carries hypercalls; auto takes what is fastest on its host
    #[arg(long, value_enum, default_value_t = CarrierChoice::Auto)]
    pub carrier: CarrierChoice,
    /// The guest's command line
    #[arg(long, value_name = "TEXT", default_value = "")]
    cmdline: String,
    /// More words for the guest's command line
    #[arg(last = true, value_name = "WORDS")]
    words: Vec<String>,
}

impl GuestArgs {
    /// The whole of the guest's command line.
    pub fn command_line(&self) -> String {
        let mut words = vec![self.cmdline.as_str()];
        words.extend(self.words.iter().map(String::as_str));
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }
}

/// `--privilege`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrivilegeChoice {
    Auto,
    Ring0,
    Ring3,
}

impl From<PrivilegeChoice> for Option<Privilege> {
    fn from(choice: PrivilegeChoice) -> Self {
        match choice {
            PrivilegeChoice::Auto => None,
            PrivilegeChoice::Ring0 => Some(Privilege::Ring0),
            PrivilegeChoice::Ring3 => Some(Privilege::Ring3),
        }
    }
}

/// `--carrier`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CarrierChoice {
    Auto,
    Vmcall,
    Vmmcall,
    Pio,
}

impl From<CarrierChoice> for Option<Carrier> {
    fn from(choice: CarrierChoice) -> Self {
        match choice {
            CarrierChoice::Auto => None,
            CarrierChoice::Vmcall => Some(Carrier::Vmcall),
            CarrierChoice::Vmmcall => Some(Carrier::Vmmcall),
            CarrierChoice::Pio => Some(Carrier::Pio),
        }
    }
}

/// Parses a number of vCPUs.
pub fn parse_vcpus(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number @ 1..=MAX_VCPUS) => Ok(number),
        _ => Err(format!("a VM has 1 to {MAX_VCPUS} vCPUs")),
    }
}
