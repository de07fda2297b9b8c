//! `paravane vm ls`.

use super::state;
use crate::cli::client::connection::Common;
use crate::cli::client::human;
use crate::cli::client::table::{Column, render};
use crate::cli::exit_code::Failure;
use crate::cli::output::{print_text, to_json};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use paravane_api::{Vm, VmState};
use paravane_client::VmFilter;
use std::process::ExitCode;
use std::time::SystemTime;

/// Which VMs are listed.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only the VM with this name
    #[arg(long)]
    name: Option<String>,
    /// Only VMs in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<VmState>,
    /// Only VMs with this label; can be given several times
    #[arg(short, long = "label", value_name = "KEY[=VALUE]")]
    labels: Vec<String>,
    /// Print ids only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// Parses a state's name.
pub fn state_parser() -> impl TypedValueParser<Value = VmState> {
    PossibleValuesParser::new(VmState::ALL.map(VmState::name)).try_map(|name| {
        let mut all = VmState::ALL.into_iter();
        all.find(|state| state.name() == name)
            .ok_or("it is no state")
    })
}

/// Lists VMs.
pub async fn ls(args: LsArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let filter = VmFilter {
        name: args.name,
        state: args.state,
        labels: args.labels,
    };
    let vms = client.all_vms(&filter).await?;
    let text = if args.common.json {
        to_json(&vms)?
    } else if args.quiet {
        vms.iter().map(|vm| format!("{}\n", vm.id)).collect()
    } else {
        table(&vms, SystemTime::now())
    };
    print_text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(vms: &[Vm], now: SystemTime) -> String {
    let columns = [
        Column::Text("NAME"),
        Column::Text("STATE"),
        Column::Text("SINCE"),
        Column::Figure("VCPUS"),
        Column::Figure("MEMORY"),
        Column::Text("IMAGE"),
        Column::Text("LABELS"),
    ];
    let row = |vm: &Vm| {
        let labels = vm.spec.labels.iter();
        let labels: Vec<_> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        [
            human::clean(&vm.name),
            state(vm),
            human::ago(since(vm), now),
            vm.spec.resources.vcpus.to_string(),
            human::bytes(vm.spec.resources.memory),
            human::clean(short(&vm.spec.image.0)),
            human::clean(&labels.join(",")),
        ]
    };
    let rows: Vec<_> = vms.iter().map(row).collect();
    render(columns, &rows)
}

/// When the VM came into its state, as far as that is known.
fn since(vm: &Vm) -> &str {
    let time = match vm.state.has_process() {
        true => vm.started_at.as_ref(),
        false => vm.ended.as_ref().map(|ended| &ended.at),
    };
    time.unwrap_or(&vm.created_at)
}

/// An image's name without most of a digest.
fn short(image: &str) -> &str {
    const DIGITS: usize = 12;
    match image.strip_prefix("sha256:") {
        Some(digits) => digits.get(..DIGITS).unwrap_or(digits),
        None => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vms_are_listed() {
        let now = humantime::parse_rfc3339_weak("2026-01-01T01:00:00Z").unwrap();
        let vms = serde_json::from_value::<Vec<Vm>>(serde_json::json!([
            {
                "id": "1", "name": "web", "state": "running", "starts": 1, "failures": 0,
                "spec": {"labels": {"app": "shop", "tier": "1"}},
                "created_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:30:00Z",
            },
            {
                "id": "2", "name": "old", "state": "failed", "starts": 1, "failures": 1,
                "spec": {"image": format!("sha256:{}", "ab".repeat(32))},
                "created_at": "2026-01-01T00:00:00Z",
                "ended": {"at": "2026-01-01T00:59:30Z", "kind": "crash", "exit_code": 123},
            },
        ]));
        let expected = "\
NAME  STATE         SINCE   VCPUS   MEMORY  IMAGE         LABELS
web   running       30m 0s      1  128 MiB  builtin       app=shop,tier=1
old   failed (123)  30s         1  128 MiB  abababababab
";
        assert_eq!(table(&vms.unwrap(), now), expected);
    }
}
