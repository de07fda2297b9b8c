//! `paravane completions`.

use super::exit_code::Failure;
use super::{Cli, output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::process::ExitCode;

/// For which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a script for the shell.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    output::print_text(&script(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "paravane", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use std::process::Command;

    #[test]
    fn every_shell_gets_the_verbs() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for word in ["snapshot", "token-file", "switch"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn bash_completes_with_its_script() {
        let complete = "COMP_WORDS=(paravane vm sto); COMP_CWORD=2; \
                        _paravane paravane sto vm; echo \"${COMPREPLY[*]}\"";
        let script = format!("{}\n{complete}", script(Shell::Bash));
        let output = Command::new("bash").arg("-c").arg(script).output();
        let output = output.expect("bash is there");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "stop\n");
    }
}
