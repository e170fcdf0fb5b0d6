//! The template that a command brings: of the gallery, a file, or the command line itself. In: flags. Out: its text,
//! and on stderr what may fail in it, or where it is wrong.

use std::path::{Path, PathBuf};

use crate::cli::output::Failure;
use crate::cli::snippet::tell;
use crate::cli::{case, gallery, stage};
use crate::render::lint;

/// Most warnings of a template that are shown; `hookgate check` has them all.
const WARNINGS_TOLD: usize = 20;

#[derive(Debug, clap::Args)]
#[group(id = "source", multiple = false)]
pub(super) struct Source {
    /// A template of the gallery, such as github
    #[arg(long, value_name = "NAME")]
    pub(super) from: Option<String>,
    /// A template of your own; `-` for standard input
    #[arg(long, value_name = "FILE")]
    template_file: Option<PathBuf>,
    /// The template itself
    #[arg(short, long, value_name = "TEXT")]
    template: Option<String>,
}

impl Source {
    /// The template, when one is brought.
    pub(super) fn text(&self) -> Result<Option<String>, Failure> {
        match (&self.from, &self.template_file) {
            (Some(name), _) => Ok(Some(gallery::find(name)?.template.to_owned())),
            (None, Some(path)) => file(path).map(Some),
            (None, None) => Ok(self.template.clone()),
        }
    }

    /// Shows what only may fail in a template that was taken, or where one that was not is wrong.
    pub(super) fn look_through(&self, source: &str, is_taken: bool) {
        let file = self.template_file.as_ref().map(|path| path.display().to_string());
        let name = file.as_deref().or(self.from.as_deref()).unwrap_or("template");
        match stage::perform(|| Ok(lint(source, stage::limits(false)))) {
            Ok(Ok(found)) => {
                let told = found.into_iter().map(|finding| finding.told).take(WARNINGS_TOLD);
                tell(name, source, &told.collect::<Vec<_>>());
            }
            Ok(Err(fault)) if !is_taken => tell(name, source, &[fault]),
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

fn file(path: &Path) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        case::read_input(case::Holds::Template)
    } else {
        case::read_text(path, case::Holds::Template)
    };
    text.map_err(|fault| Failure::NotLoaded(fault.to_string()))
}
