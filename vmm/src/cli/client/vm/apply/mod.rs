//! `paravane vm apply`: has VMs be as a file says. Doing it twice changes nothing.

mod file;
mod plan;

use crate::cli::client::connection::Common;
use crate::cli::client::each;
use crate::cli::client::human::clean;
use crate::cli::exit_code::{Failure, notice};
use crate::cli::output::{print_text, to_json};
use clap::Args;
use file::File;
use futures_util::future::join_all;
use paravane_api::vm::{CreateVm, StopVm, UpdateVm};
use paravane_client::{Client, ClientError, VmFilter};
use plan::{Action, Step};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is to be so.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The file, in TOML: a [[vm]] for each VM, as the API's VmSpec, with sizes such as "64M";
    /// labels = {KEY = "VALUE"} at its top for all of them
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Delete the VMs that have the file's labels and are not in it
    #[arg(long)]
    prune: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not start VMs
    #[arg(long)]
    no_start: bool,
    /// Start VMs anew that run by a spec which has changed; otherwise it holds from their next
    /// start on
    #[arg(long, conflicts_with = "no_start")]
    restart: bool,
    #[command(flatten)]
    common: Common,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
struct Done<'step> {
    name: &'step str,
    actions: &'step [Action],
    /// Whether it was done.
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Has VMs be as the file says.
pub async fn apply(args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let file = File::read(&args.file)?;
    if args.prune && file.labels.is_empty() {
        return Err(Failure::configuration(format!(
            "--prune deletes VMs by the labels of the file, and {} has none; write some at its \
             top, as in labels = {{app = \"shop\"}}",
            args.file.display()
        )));
    }
    let client = args.common.client()?;
    let images = match file.uses_store() {
        true => client.all_images().await?,
        false => Vec::new(),
    };
    let vms = client.all_vms(&VmFilter::default()).await?;
    let wishes = plan::Wishes {
        start: !args.no_start,
        restart: args.restart,
        prune: args.prune,
    };
    let steps = plan::plan(file, &vms, &images, wishes);
    let results = match args.dry_run {
        true => Vec::new(),
        false => join_all(steps.iter().map(|step| carry_out(&client, step))).await,
    };
    report(&steps, results, args)
}

/// Carries out what is to be done about a VM, in order.
async fn carry_out(client: &Client, step: &Step) -> Result<(), ClientError> {
    let id = step.id.as_deref().unwrap_or(&step.name);
    for action in &step.actions {
        match action {
            Action::Create => {
                let start = step.actions.contains(&Action::Start);
                let spec = step.spec.clone();
                return client.create_vm(&CreateVm { spec, start }).await.map(drop);
            }
            Action::Update => {
                let request = UpdateVm {
                    labels: None,
                    restart: None,
                    spec: Some(step.spec.clone()),
                };
                client.update_vm(id, &request).await.map(drop)
            }
            Action::Stop => client.stop_vm(id, &StopVm::default()).await.map(drop),
            Action::Start => client.start_vm(id).await.map(drop),
            Action::Resume => client.resume_vm(id).await.map(drop),
            Action::Remove => client.delete_vm(id, true).await,
        }?;
    }
    Ok(())
}

fn report(
    steps: &[Step],
    results: Vec<Result<(), ClientError>>,
    args: &ApplyArgs,
) -> Result<ExitCode, Failure> {
    let mut failures = Vec::new();
    let mut results = results.into_iter();
    let mut all = Vec::new();
    for step in steps {
        let result = results.next();
        let done = matches!(result, Some(Ok(())));
        let mut error = None;
        if let Some(Err(problem)) = result {
            error = Some(problem.to_string());
            failures.push(each::of(&step.name, problem));
        }
        all.push(Done {
            name: &step.name,
            actions: &step.actions,
            done,
            error,
        });
    }
    if args.common.json {
        print_text(&to_json(&all)?)?;
    } else {
        let shown = all.iter().filter(|one| one.error.is_none());
        let lines: String = shown.map(|one| line(one) + "\n").collect();
        print_text(&lines)?;
    }
    for step in steps.iter().filter(|step| step.is_later) {
        notice(&format!(
            "{} goes on as it is; what has changed holds from its next start on (--restart)",
            clean(&step.name)
        ));
    }
    each::conclude(failures)
}

fn line(done: &Done) -> String {
    let words: Vec<_> = done
        .actions
        .iter()
        .map(|action| action.word(done.done))
        .collect();
    let what = match words.as_slice() {
        [] => "unchanged".to_string(),
        words => words.join(", "),
    };
    format!("{}: {what}", clean(done.name))
}
