//! `paravane vm create`.

use crate::cli::client::connection::Common;
use crate::cli::client::devices::DeviceArgs;
use crate::cli::client::labels;
use crate::cli::client::place::{self, here};
use crate::cli::duration;
use crate::cli::exit_code::Failure;
use crate::cli::guest_args::{CarrierChoice, GuestArgs, PrivilegeChoice};
use crate::cli::output::{print_text, to_json};
use clap::Args;
use paravane_api::VmSpec;
use paravane_api::spec::{self, Grace, Image, Resources, Restart, RestartPolicy};
use paravane_api::vm::CreateVm;
use std::process::ExitCode;
use std::time::Duration;

/// What is to be created. The options are those of `paravane run` where there are such.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The guest's image: a file, an image of the daemon's store (store:NAME or sha256:DIGEST),
    /// or builtin for the guest kernel built into this program
    #[arg(default_value = spec::BUILTIN)]
    image: String,
    /// The VM's name; without one, the first part of its id
    #[arg(long)]
    name: Option<String>,
    /// A word of your own to find it by; can be given several times
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = labels::parse)]
    labels: Vec<(String, String)>,
    /// Do not start it
    #[arg(long, overrides_with = "start")]
    no_start: bool,
    /// Start it, as is done anyway
    #[arg(long)]
    start: bool,
    /// A file for the guest to find in its memory, named as an image is
    #[arg(long, value_name = "FILE")]
    initrd: Option<String>,
    /// Whether it is started again when it has ended by itself, and after how many failures in a
    /// row no more
    #[arg(
        long,
        value_name = "never|on-failure[:N]|always",
        default_value = "never",
        value_parser = parse_restart
    )]
    restart: Restart,
    /// How long the guest may take to shut down when it is asked to
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse_seconds)]
    grace: Option<Duration>,
    /// Its share of a busy processor beside other VMs', from 1 to 10000; 100 is usual
    #[arg(long, value_name = "WEIGHT")]
    cpu_weight: Option<u32>,
    /// The most it may use of the processors, in percent of one
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent)]
    cpu_quota: Option<u32>,
    /// The processors it may use, as in 0-3,6
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    devices: DeviceArgs,
}

/// Creates a VM.
pub async fn create(args: CreateArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let json = args.common.json;
    let start = !args.no_start;
    let spec = args.into_spec().map_err(Failure::configuration)?;
    let vm = client.create_vm(&CreateVm { spec, start }).await?;
    print_text(&match json {
        true => to_json(&vm)?,
        false => format!("{}\n", vm.name),
    })?;
    Ok(ExitCode::SUCCESS)
}

impl CreateArgs {
    fn into_spec(self) -> Result<VmSpec, String> {
        let labels = labels::unique(self.labels)?;
        let initrd = self.initrd.map(|path| place::file(&path, here()));
        let grace = self.grace.map(|grace| u32::try_from(grace.as_millis()));
        Ok(VmSpec {
            name: self.name,
            image: Image(place::image(&self.image, here())?),
            initrd: initrd.transpose()?,
            command_line: self.guest.command_line(),
            resources: Resources {
                vcpus: self.guest.vcpus,
                memory: self.guest.mem,
                cpu_weight: self.cpu_weight,
                cpu_quota: self.cpu_quota,
                cpus: self.cpus,
                memory_overhead: None,
            },
            privilege: match self.guest.privilege {
                PrivilegeChoice::Auto => spec::Privilege::Auto,
                PrivilegeChoice::Ring0 => spec::Privilege::Ring0,
                PrivilegeChoice::Ring3 => spec::Privilege::Ring3,
            },
            carrier: match self.guest.carrier {
                CarrierChoice::Auto => spec::Carrier::Auto,
                CarrierChoice::Vmcall => spec::Carrier::Vmcall,
                CarrierChoice::Vmmcall => spec::Carrier::Vmmcall,
                CarrierChoice::Pio => spec::Carrier::Pio,
            },
            devices: self.devices.into(),
            restart: self.restart,
            // The daemon says what is too long.
            grace_ms: grace.map_or_else(Grace::default, |grace| Grace(grace.unwrap_or(u32::MAX))),
            labels,
        })
    }
}

fn parse_restart(text: &str) -> Result<Restart, String> {
    let (policy, max_failures) = match text.split_once(':') {
        Some(("on-failure", count)) => match count.parse() {
            Ok(count) if count > 0 => (RestartPolicy::OnFailure, Some(count)),
            _ => return Err(format!("{count} is not a number of failures, 1 or more")),
        },
        None if text == "on-failure" => (RestartPolicy::OnFailure, None),
        None if text == "never" => (RestartPolicy::Never, None),
        None if text == "always" => (RestartPolicy::Always, None),
        _ => return Err("it is one of never, on-failure, on-failure:N and always".to_string()),
    };
    Ok(Restart {
        policy,
        max_failures,
        ..Restart::default()
    })
}

fn parse_percent(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches('%').trim_end();
    let wrong = |_| "it is not a whole number of percent, as in 50 or 50%".to_string();
    digits.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::VmCommand;
    use crate::cli::{Cli, Command, client::Lazy};
    use clap::Parser;

    #[track_caller]
    fn spec(line: &str) -> VmSpec {
        let cli = Cli::try_parse_from(line.split(' ')).expect("it is right");
        let Command::Vm(Lazy(VmCommand::Create(args))) = cli.command else {
            panic!("it is another command");
        };
        args.into_spec().expect("it is right")
    }

    #[test]
    fn what_is_not_said_is_as_the_api_has_it() {
        assert_eq!(spec("paravane vm create"), VmSpec::default());
    }

    #[test]
    fn everything_can_be_said() {
        let spec = spec(
            "paravane vm create /guest.elf --name web -l app=shop --label tier= --mem 64M \
             --vcpus 2 --privilege ring3 --carrier pio --cmdline a --initrd store:i --restart \
             on-failure:3 --grace 5 --cpu-weight 50 --cpu-quota 150% --cpus 0-1 --disk /d.img,ro \
             --net user --share path=/srv,tag=s --vsock cid=3,uds=/v --console file=/l --rng \
             -- b c",
        );
        let expected = serde_json::json!({
            "name": "web", "image": "/guest.elf", "initrd": "store:i", "command_line": "a b c",
            "resources": {
                "vcpus": 2, "memory": 64 << 20, "cpu_weight": 50, "cpu_quota": 150, "cpus": "0-1",
            },
            "privilege": "ring3", "carrier": "pio",
            "devices": {
                "disks": [{"source": "/d.img", "read_only": true, "direct": false}],
                "networks": [{"connection": {"user": {}}}],
                "shares": [{"path": "/srv", "tag": "s"}],
                "vsock": {"cid": 3, "path": "/v"},
                "ports": [{"end": {"file": "/l"}}],
                "rng": {},
            },
            "restart": {
                "policy": "on-failure", "backoff_ms": 1000, "backoff_max_ms": 60_000,
                "max_failures": 3,
            },
            "grace_ms": 5000,
            "labels": {"app": "shop", "tier": ""},
        });
        assert_eq!(serde_json::to_value(spec).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(parse_restart("on-failure:0").is_err());
        assert!(parse_restart("always:3").is_err());
        assert!(parse_percent("half").is_err());
    }
}
