//! `paravane image add`, `ls` and `rm`: the images of a daemon's store.

use super::block_on;
use super::connection::Common;
use super::each;
use super::human::{self, clean};
use super::table::{Column, render};
use crate::cli::exit_code::Failure;
use crate::cli::output::{print_text, to_json};
use clap::Args;
use paravane_api::image::{ImageKind, StoredImage};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;
use tokio::fs::File;

/// What is added.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The file
    file: PathBuf,
    /// A name for it, by which VMs use it as store:NAME; without one, its digest
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// How images are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print digests only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// What is removed.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The images, by their digests or names
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Adds a file, and prints its digest.
pub fn add(args: &AddArgs) -> Result<ExitCode, Failure> {
    block_on(async {
        let client = args.common.client()?;
        let failed = |error| open_failure(&args.file, &error);
        let (file, size) = open(&args.file).await.map_err(failed)?;
        let image = client.add_image(args.name.as_deref(), size, file).await?;
        print_text(&match args.common.json {
            true => to_json(&image)?,
            false => format!("{}\n", clean(&image.digest)),
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Opens a file that is to be sent, and says how large it is.
pub(super) async fn open(path: &Path) -> io::Result<(File, u64)> {
    // A FIFO without a writer would otherwise wait for one.
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .await?;
    let metadata = file.metadata().await?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

fn open_failure(path: &Path, error: &io::Error) -> Failure {
    Failure::configuration(format!("cannot read the image {}: {error}", path.display()))
}

/// Lists images.
pub fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    block_on(async {
        let images = args.common.client()?.all_images().await?;
        let text = if args.common.json {
            to_json(&images)?
        } else if args.quiet {
            images
                .iter()
                .map(|image| format!("{}\n", image.digest))
                .collect()
        } else {
            table(&images, SystemTime::now())
        };
        print_text(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn table(images: &[StoredImage], now: SystemTime) -> String {
    let columns = [
        Column::Text("NAMES"),
        Column::Text("KIND"),
        Column::Figure("SIZE"),
        Column::Text("AGE"),
        Column::Text("DIGEST"),
    ];
    let row = |image: &StoredImage| {
        let kind = match image.kind {
            ImageKind::Guest => "guest",
            ImageKind::File => "file",
        };
        [
            clean(&image.names.join(", ")),
            kind.to_string(),
            human::bytes(image.size),
            human::ago(&image.added_at, now),
            clean(&image.digest),
        ]
    };
    let rows: Vec<_> = images.iter().map(row).collect();
    render(columns, &rows)
}

/// Removes images.
pub fn remove(args: &RemoveArgs) -> Result<ExitCode, Failure> {
    block_on(async {
        let client = args.common.client()?;
        let delete = async |image: &str| client.delete_image(image).await;
        each::remove(&args.images, args.common.json, delete).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_listed() {
        let now = humantime::parse_rfc3339_weak("2026-01-01T01:00:00Z").unwrap();
        let images = serde_json::from_value::<Vec<StoredImage>>(serde_json::json!([{
            "digest": "sha256:ab", "size": 1 << 20, "names": ["base", "web"],
            "added_at": "2026-01-01T00:00:00Z", "kind": "guest",
        }]));
        let expected = "\
NAMES      KIND    SIZE  AGE    DIGEST
base, web  guest  1 MiB  1h 0m  sha256:ab
";
        assert_eq!(table(&images.unwrap(), now), expected);
    }
}
