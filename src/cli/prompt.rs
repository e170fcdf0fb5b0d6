//! Questions to whoever sits at the terminal. In: a question. Out: the answer. Never asks where nobody sits, never
//! shows a key that is typed, and leaves the terminal as it was, Ctrl-C or not.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::output::{Failure, say};
use crate::id::Secret;

/// Longest answer.
const ANSWER_MAX_BYTES: u64 = 64 << 10;

/// Asks before something is gone for good; `is_sure` was said beforehand.
pub(super) fn confirm(what: &str, is_sure: bool) -> Result<(), Failure> {
    if is_sure {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::Usage(format!("{what}: say --yes, nobody can be asked here")));
    }
    let _ = write!(io::stderr(), "{what}? [y/N] ");
    match line()?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::No("nothing was changed".to_owned())),
    }
}

/// Asks for a key at the terminal, or reads it from standard input.
pub(super) async fn key(question: &str) -> Result<Secret, Failure> {
    let text = if io::stdin().is_terminal() { hidden(question).await? } else { line()? };
    match text.trim() {
        "" => Err(Failure::Denied("there is no key".to_owned())),
        key => Ok(Secret::new(key)),
    }
}

/// Asks for a password at the terminal, or reads it from a line of standard input. Blanks belong to it.
pub(super) async fn password(question: &str) -> Result<Secret, Failure> {
    let text = if io::stdin().is_terminal() { hidden(question).await? } else { line()? };
    Ok(without_line_break(&text))
}

/// A secret without the break of its line.
pub(super) fn without_line_break(text: &str) -> Secret {
    let text = text.strip_suffix('\n').unwrap_or(text);
    Secret::new(text.strip_suffix('\r').unwrap_or(text))
}

async fn hidden(question: &str) -> Result<String, Failure> {
    // Before anything is hidden: an end in between would leave the terminal so.
    let interrupted = signal(SignalKind::interrupt());
    let mut interrupted = interrupted.map_err(|fault| Failure::No(fault.to_string()))?;
    let _ = write!(io::stderr(), "{question}: ");
    let _quiet = Quiet::begin();
    let (answer, answered) = tokio::sync::oneshot::channel();
    // A thread of its own: nothing else ends a read from a terminal.
    std::thread::spawn(move || answer.send(line()));
    tokio::select! {
        line = answered => line.unwrap_or(Err(Failure::Interrupted)),
        _ = interrupted.recv() => Err(Failure::Interrupted),
    }
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().take(ANSWER_MAX_BYTES).read_line(&mut line);
    read.map_err(|fault| Failure::No(format!("no answer: {fault}")))?;
    Ok(line)
}

/// A terminal that does not show what is typed, until this ends.
struct Quiet(Option<Termios>);

impl Quiet {
    fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
            // The line break that was not shown.
            say("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_belong_to_a_password_and_its_line_break_does_not() {
        for (text, password) in
            [("a b ", "a b "), (" a\n", " a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", "")]
        {
            assert_eq!(without_line_break(text).expose(), password, "{text:?}");
        }
    }
}
