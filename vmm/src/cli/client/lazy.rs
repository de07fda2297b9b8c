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
            .defer(Commands::augment_subcommands)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
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
