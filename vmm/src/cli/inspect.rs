//! `paravane image inspect`.

use super::exit_code::Failure;
use super::image_source::ImageSource;
use super::output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is to be shown of which image.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The image; without one, the guest kernel built into this program
    image: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows an image.
pub fn inspect(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let image = ImageSource::from(args.image.clone()).load()?;
    output::print(&image.inspect(), args.json)?;
    Ok(ExitCode::SUCCESS)
}
