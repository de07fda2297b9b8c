//! `paravane vm logs`.

use crate::cli::client::connection::Common;
use crate::cli::client::human::clean;
use crate::cli::client::stream::{self, Reader};
use crate::cli::exit_code::Failure;
use clap::{Args, ValueEnum};
use paravane_api::log::{LogLevel, LogLine, LogSource};
use paravane_client::LogQuery;
use std::process::ExitCode;

/// What of which log is shown.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The VM, by its name or id
    vm: String,
    /// Go on with what comes later
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u64>,
    /// Only what one of them said
    #[arg(long, value_enum)]
    source: Option<Source>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Source {
    /// The guest, on its console
    Console,
    /// The VM's process
    Vmm,
    /// The daemon
    Daemon,
}

impl From<Source> for LogSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Console => Self::Console,
            Source::Vmm => Self::Vmm,
            Source::Daemon => Self::Daemon,
        }
    }
}

/// Shows a log.
pub async fn logs(args: &LogsArgs) -> Result<ExitCode, Failure> {
    let query = LogQuery {
        tail: args.tail,
        follow: args.follow,
        source: args.source.map(LogSource::from),
    };
    let mut logs = args.common.client()?.logs(&args.vm, &query).await?;
    while let Some(line) = logs.next().await? {
        if stream::line(&line, args.common.json, || text(&line))? == Reader::Gone {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(line: &LogLine) -> String {
    let source = match line.source {
        LogSource::Console => "console",
        LogSource::Vmm => "vmm",
        LogSource::Daemon => "daemon",
    };
    let level = match line.level {
        LogLevel::Debug | LogLevel::Info => "",
        LogLevel::Warn => "warning: ",
        LogLevel::Error => "error: ",
    };
    format!(
        "{} {source:<7} {level}{}",
        clean(&line.time),
        clean(&line.message)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown() {
        let line = |level, message: &str| LogLine {
            time: "2026-01-01T00:00:00.000Z".to_string(),
            source: LogSource::Vmm,
            level,
            message: message.to_string(),
        };
        let shown = text(&line(LogLevel::Info, "hello"));
        assert_eq!(shown, "2026-01-01T00:00:00.000Z vmm     hello");
        let shown = text(&line(LogLevel::Error, "a\rb"));
        assert_eq!(shown, "2026-01-01T00:00:00.000Z vmm     error: a\\rb");
    }
}
