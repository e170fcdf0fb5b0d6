//! `hookgate man`: manual pages of all commands. In: a folder, or none. Out: a page for each command in it, or the
//! first page on stdout.

use std::fs;
use std::path::PathBuf;

use clap_mangen::Man;

use crate::serve::VERSION;

use super::output::{Failure, print_line, print_text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write the pages of all commands into; made when it is not there
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  hookgate man | man --local-file -
  hookgate man ~/.local/share/man/man1";

pub(super) fn run(args: &Args, program: clap::Command) -> Result<(), Failure> {
    let pages = pages(program);
    let Some(folder) = &args.folder else {
        let mut text = Vec::new();
        let first = pages.first().map(|page| page.render(&mut text)).transpose();
        first.map_err(|fault| Failure::No(format!("no page: {fault}")))?;
        return print_text(&String::from_utf8_lossy(&text));
    };
    let failed = |fault: std::io::Error| {
        Failure::No(format!("{}: cannot be written: {fault}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(failed)?;
    for page in pages {
        let path = page.generate_to(folder).map_err(failed)?;
        print_line(&path.display().to_string())?;
    }
    Ok(())
}

/// A page for each command that is not hidden, the program's own first.
fn pages(program: clap::Command) -> Vec<Man> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut all = vec![program];
    let mut next = 0;
    while let Some(command) = all.get(next) {
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        let below: Vec<_> = below.cloned().collect();
        all.extend(below);
        next += 1;
    }
    let source = format!("hookgate {VERSION}");
    all.into_iter().map(|one| Man::new(one).source(source.clone()).manual("hookgate")).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let pages = pages(super::super::Cli::command());
        let names: Vec<_> = pages.iter().map(Man::get_filename).collect();
        for name in ["hookgate.1", "hookgate-serve.1", "hookgate-webhook-create.1"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        assert!(!names.iter().any(|name| name.contains("bench-server") || name.contains("help")));
        let create = pages.iter().find(|page| page.get_filename() == "hookgate-webhook-create.1");
        let mut text = Vec::new();
        create.expect("a page").render(&mut text).expect("text");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("hookgate webhook create"), "{text}");
        assert!(text.contains("\\-\\-template\\-file"), "{text}");
    }
}
