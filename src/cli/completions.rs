//! `hookgate completions`: what a shell needs to complete commands and flags. In: the shell's name. Out: its script on
//! stdout.

use clap_complete::Shell;

use super::output::{Failure, print_text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  hookgate completions bash > ~/.local/share/bash-completion/completions/hookgate
  hookgate completions zsh > ~/.zfunc/_hookgate
  hookgate completions fish > ~/.config/fish/completions/hookgate.fish";

pub(super) fn run(args: &Args, mut program: clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "hookgate", &mut script);
    print_text(&String::from_utf8_lossy(&script))
}
