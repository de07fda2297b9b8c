//! `paravane snapshot export` and `import`: snapshots as files, for other hosts.

use super::connection::Common;
use super::human::clean;
use super::image::open;
use crate::cli::exit_code::{Failure, Status};
use crate::cli::output::{print_text, to_json};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, stdin, stdout};

/// Stands for the standard input or output.
const STANDARD: &str = "-";

/// Which snapshot goes where.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The snapshot, by its name or id
    snapshot: String,
    /// The file that is made, a tar archive compressed by zstd; - for the standard output
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// What becomes a snapshot.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; - for the standard input
    file: PathBuf,
    /// The snapshot's name in place of its own
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Writes a snapshot to a file, which is there only when all of it is.
pub async fn export(args: ExportArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    if args.file == Path::new(STANDARD) {
        if std::io::stdout().is_terminal() {
            return Err(Failure::configuration(
                "an archive is nothing for a terminal: name a file, or lead it to a program",
            ));
        }
        let archive = client.export_snapshot(&args.snapshot).await?;
        copy(archive, stdout(), "the standard output").await?;
        return Ok(ExitCode::SUCCESS);
    }
    let what = args.file.display();
    let failed = |error: io::Error| Failure::configuration(format!("cannot make {what}: {error}"));
    // Nobody's file is lost.
    if args.file.exists() {
        return Err(failed(io::Error::other("it exists already")));
    }
    let folder = match args.file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // It has all of the guest's memory, and so only its owner may read it.
    let file = NamedTempFile::new_in(folder).map_err(failed)?;
    let to = file.reopen().map_err(failed)?;
    let archive = client.export_snapshot(&args.snapshot).await?;
    copy(archive, File::from_std(to), &what).await?;
    file.as_file().sync_all().map_err(failed)?;
    let kept = file.persist_noclobber(&args.file);
    kept.map_err(|error| failed(error.error))?;
    Ok(ExitCode::SUCCESS)
}

async fn copy(
    archive: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    what: impl Display,
) -> Result<(), Failure> {
    let progress = progress("exported");
    let mut archive = progress.wrap_async_read(archive);
    let mut buffer = vec![0; 128 << 10];
    let failed = |error| Failure::internal(format!("cannot write {what}: {error}"));
    loop {
        let count = archive.read(&mut buffer).await.map_err(|error| {
            let message = format!("the archive did not come to its end: {error}");
            Failure::new(Status::NoDaemon, message)
        })?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else {
            break;
        };
        to.write_all(part).await.map_err(failed)?;
    }
    to.flush().await.map_err(failed)?;
    progress.finish_and_clear();
    Ok(())
}

/// Gives a file to the daemon, and prints the snapshot's name.
pub async fn import(args: ImportArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let name = args.name.as_deref();
    let progress = progress("imported");
    let snapshot = if args.file == Path::new(STANDARD) {
        let archive = progress.wrap_async_read(stdin());
        client.import_snapshot(name, archive).await?
    } else {
        let (file, _) = open(&args.file).await.map_err(|error| {
            let message = format!("cannot read {}: {error}", args.file.display());
            Failure::configuration(message)
        })?;
        let archive = progress.wrap_async_read(file);
        client.import_snapshot(name, archive).await?
    };
    progress.finish_and_clear();
    print_text(&match args.common.json {
        true => to_json(&snapshot)?,
        false => format!("{}\n", clean(&snapshot.name)),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Shows on a terminal how much there was.
fn progress(what: &str) -> ProgressBar {
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::no_length(),
        false => ProgressBar::hidden(),
    };
    let style =
        ProgressStyle::with_template(&format!("{{spinner}} {{bytes}} {what}, {{bytes_per_sec}}"));
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
