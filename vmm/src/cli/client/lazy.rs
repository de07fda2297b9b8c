//! Commands whose options are made only when they are asked for: there are many, and
//! `paravane run` should not wait for them.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

/// A command's commands.
#[derive(Debug)]
pub struct Lazy<Commands>(pub Commands);

impl<Commands: Subcommand> Args for Lazy<Commands> {
    fn augment_args(command: Command) -> Command {
        command
            .subcommand_required(true)
            .arg_required_else_help(true)
            .defer(augment::<Commands>)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Adds the commands; what is said of a command is left as it is.
fn augment<Commands: Subcommand>(command: Command) -> Command {
    let about = command.get_about().cloned();
    let command = Commands::augment_subcommands(command)
        .after_help("Exit codes are listed by paravane --help.");
    match about {
        Some(about) => command.about(about),
        None => command,
    }
}

impl<Commands: Subcommand> FromArgMatches for Lazy<Commands> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Commands::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
