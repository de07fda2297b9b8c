//! What a wrong command line is told: one sentence, like any other error.

use super::exit_code::{Failure, Status};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::process::ExitCode;

/// Ends the program after the command line was not one to carry out: it may also have asked
/// for the help or the version.
pub fn conclude(error: &clap::Error) -> Result<ExitCode, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever closed stdout does not want it.
            let _ = error.print();
            Ok(ExitCode::SUCCESS)
        }
        // No error, but nothing was asked for either.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Ok(Status::BadConfiguration.into())
        }
        _ => Err(Failure::configuration(sentence(error))),
    }
}

fn sentence(error: &clap::Error) -> String {
    let words = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    // An option is shown as in `--mem <SIZE>`; what it is told by is its name.
    let argument = words(ContextKind::InvalidArg);
    let name = argument.split(' ').next().unwrap_or_default();
    let value = words(ContextKind::InvalidValue);
    let suggestion = |kind| match words(kind) {
        text if text.is_empty() => "paravane --help lists what there is".to_string(),
        text => format!("did you mean {text}?"),
    };
    match error.kind() {
        ErrorKind::ValueValidation => match error.source() {
            Some(reason) => format!("{name} {value}: {reason}"),
            None => format!("{name} cannot be {value}"),
        },
        ErrorKind::InvalidValue if value.is_empty() => format!("{name} needs a value"),
        ErrorKind::InvalidValue => {
            let valid = words(ContextKind::ValidValue);
            format!("{name} cannot be {value}; use one of {valid}")
        }
        ErrorKind::UnknownArgument => {
            let suggestion = suggestion(ContextKind::SuggestedArg);
            format!("unknown argument {argument}; {suggestion}")
        }
        ErrorKind::InvalidSubcommand => {
            let command = words(ContextKind::InvalidSubcommand);
            let suggestion = suggestion(ContextKind::SuggestedSubcommand);
            format!("unknown command {command}; {suggestion}")
        }
        ErrorKind::ArgumentConflict if words(ContextKind::PriorArg) == argument => {
            format!("{name} can be given only once")
        }
        _ => first_sentence(error),
    }
}

/// The first paragraph of what clap says, as one line.
fn first_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        let failure = conclude(&error).unwrap_err();
        assert_eq!(failure, Failure::configuration(expected));
    }

    #[test]
    fn a_wrong_command_line_is_told_in_one_sentence() {
        check(
            "paravane run --memory 1G",
            "unknown argument --memory; did you mean --mem?",
        );
        check(
            "paravane run --no-such-thing",
            "unknown argument --no-such-thing; paravane --help lists what there is",
        );
        check("paravane runn", "unknown command runn; did you mean run?");
        check(
            "paravane run --privilege ring1",
            "--privilege cannot be ring1; use one of auto, ring0, ring3",
        );
        check("paravane run --mem", "--mem needs a value");
        check(
            "paravane run --mem 1 --mem 2",
            "--mem 1: a VM's memory is a multiple of 4096 bytes",
        );
        check(
            "paravane run --quiet --quiet",
            "--quiet can be given only once",
        );
        check(
            "paravane run --timeout 5",
            "--timeout 5: it needs a unit, as in 5s or 500ms",
        );
    }
}
