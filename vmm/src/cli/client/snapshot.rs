//! `paravane snapshot`.

use super::archive::{ExportArgs, ImportArgs, export, import};
use super::block_on;
use super::connection::Common;
use super::devices::DeviceArgs;
use super::each;
use super::human::{self, clean};
use super::labels;
use super::table::{Column, render};
use crate::cli::exit_code::Failure;
use crate::cli::output::{print_text, to_json};
use clap::{Args, Subcommand};
use paravane_api::device::Devices;
use paravane_api::snapshot::{RestoreSnapshot, Snapshot, TakeSnapshot};
use std::process::ExitCode;
use std::time::SystemTime;

/// What is done with snapshots.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Take a snapshot of a VM
    Take(TakeArgs),
    /// List snapshots
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show a snapshot
    Show(ShowArgs),
    /// Make VMs of a snapshot, which go on from where it was taken
    Restore(RestoreArgs),
    /// Write a snapshot to a file, for another host
    Export(ExportArgs),
    /// Take a snapshot from such a file
    Import(ImportArgs),
    /// Delete snapshots
    Rm(RmArgs),
}

/// Of what a snapshot is taken.
#[derive(Debug, Args)]
pub struct TakeArgs {
    /// The VM, by its name or id
    vm: String,
    /// The snapshot's name; without one, the first part of its id
    #[arg(long)]
    name: Option<String>,
    /// Leave the VM paused
    #[arg(long)]
    stay_paused: bool,
    #[command(flatten)]
    common: Common,
}

/// How snapshots are listed.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Print ids only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// Which snapshot is shown.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The snapshot, by its name or id
    snapshot: String,
    #[command(flatten)]
    common: Common,
}

/// Which snapshots are deleted.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The snapshots, by their names or ids
    #[arg(required = true, value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// What is made of which snapshot.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The snapshot, by its name or id
    snapshot: String,
    /// The VM's name, or with --count the beginning of their names, which a number follows
    #[arg(long)]
    name: Option<String>,
    /// How many VMs
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// A label of theirs; can be given several times
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = labels::parse)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    common: Common,
    #[command(
        flatten,
        next_help_heading = "Devices, all of them in place of the snapshot's"
    )]
    devices: DeviceArgs,
}

/// Carries out a command.
pub fn snapshot(command: SnapshotCommand) -> Result<ExitCode, Failure> {
    block_on(async {
        match command {
            SnapshotCommand::Take(args) => take(args).await,
            SnapshotCommand::Ls(args) => ls(&args).await,
            SnapshotCommand::Show(args) => show(&args).await,
            SnapshotCommand::Restore(args) => restore(args).await,
            SnapshotCommand::Export(args) => export(args).await,
            SnapshotCommand::Import(args) => import(args).await,
            SnapshotCommand::Rm(args) => {
                let client = args.common.client()?;
                let delete = async |name: &str| client.delete_snapshot(name).await;
                each::remove(&args.snapshots, args.common.json, delete).await
            }
        }
    })
}

async fn take(args: TakeArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let request = TakeSnapshot {
        name: args.name,
        stay_paused: args.stay_paused,
    };
    let snapshot = client.take_snapshot(&args.vm, &request).await?;
    print_text(&match args.common.json {
        true => to_json(&snapshot)?,
        false => format!("{}\n", snapshot.name),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn ls(args: &LsArgs) -> Result<ExitCode, Failure> {
    let snapshots = args.common.client()?.all_snapshots().await?;
    let text = if args.common.json {
        to_json(&snapshots)?
    } else if args.quiet {
        snapshots
            .iter()
            .map(|one| format!("{}\n", one.id))
            .collect()
    } else {
        table(&snapshots, SystemTime::now())
    };
    print_text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(snapshots: &[Snapshot], now: SystemTime) -> String {
    let columns = [
        Column::Text("NAME"),
        Column::Text("VM"),
        Column::Text("AGE"),
        Column::Figure("VCPUS"),
        Column::Figure("MEMORY"),
        Column::Figure("ON DISK"),
    ];
    let row = |snapshot: &Snapshot| {
        let resources = &snapshot.spec.resources;
        [
            clean(&snapshot.name),
            clean(snapshot.spec.name.as_ref().unwrap_or(&snapshot.vm)),
            human::ago(&snapshot.created_at, now),
            resources.vcpus.to_string(),
            human::bytes(resources.memory),
            human::bytes(snapshot.size),
        ]
    };
    let rows: Vec<_> = snapshots.iter().map(row).collect();
    render(columns, &rows)
}

async fn show(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let snapshot = args.common.client()?.show_snapshot(&args.snapshot).await?;
    print_text(&match args.common.json {
        true => to_json(&snapshot)?,
        false => describe(&snapshot, SystemTime::now()),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn describe(snapshot: &Snapshot, now: SystemTime) -> String {
    let resources = &snapshot.spec.resources;
    let age = human::ago(&snapshot.created_at, now);
    let facts = [
        ("name", snapshot.name.clone()),
        ("id", snapshot.id.clone()),
        ("VM", snapshot.vm.clone()),
        ("taken", format!("{} ({age} ago)", snapshot.created_at)),
        ("image", snapshot.spec.image.0.clone()),
        ("vCPUs", resources.vcpus.to_string()),
        ("memory", human::bytes(resources.memory)),
        ("on disk", human::bytes(snapshot.size)),
    ];
    let lines = facts.map(|(name, value)| format!("{name:<8} {}\n", clean(&value)));
    lines.concat()
}

async fn restore(args: RestoreArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let request = RestoreSnapshot {
        name: args.name,
        count: args.count,
        labels: labels::unique(args.labels).map_err(Failure::configuration)?,
        // Without any they are the snapshot's.
        devices: Some(Devices::from(args.devices)).filter(|devices| *devices != Devices::default()),
    };
    let vms = client.restore_snapshot(&args.snapshot, &request).await?;
    print_text(&match args.common.json {
        true => to_json(&vms)?,
        false => vms.iter().map(|vm| format!("{}\n", vm.name)).collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_listed_and_shown() {
        let now = humantime::parse_rfc3339_weak("2026-01-01T01:00:00Z").unwrap();
        let snapshots = serde_json::from_value::<Vec<Snapshot>>(serde_json::json!([{
            "id": "7", "name": "booted", "vm": "1", "spec": {"name": "web"},
            "created_at": "2026-01-01T00:00:00Z", "size": 3 << 20,
        }]));
        let snapshots = snapshots.unwrap();
        let expected = "\
NAME    VM   AGE    VCPUS   MEMORY  ON DISK
booted  web  1h 0m      1  128 MiB    3 MiB
";
        assert_eq!(table(&snapshots, now), expected);
        let text = describe(&snapshots[0], now);
        assert!(
            text.contains("taken    2026-01-01T00:00:00Z (1h 0m ago)\n"),
            "{text}"
        );
    }
}
