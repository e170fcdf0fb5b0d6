//! `hookgate password`: one's own password, beside one's keys. In: it, typed twice at the terminal, from a file or from
//! standard input, and the present one when there is one. Out: nothing but that it is set. Never shows a password, and
//! takes none as a flag's value.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::json;

use super::access::Access;
use super::case::{self, Holds};
use super::client::runtime;
use super::listing::text;
use super::output::{Failure, say};
use super::prompt;
use crate::id::Secret;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File with the new password, `-` for standard input; else it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with the present password, when there is one
    #[arg(long, value_name = "FILE")]
    current_password_file: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

pub(super) const EXAMPLE: &str = "\
Sets the password of whoever the key belongs to, for POST /api/auth/login. All sessions end, keys stay.
At a terminal it is asked for twice and not shown, the present one first; elsewhere it is a line of standard
input.

Exit codes: 0 set, 1 refused or typed differently, 4 the key is none, 5 it is a service account's, 6 nobody answers.

Examples:
  hookgate password
  hookgate password --password-file new.txt --current-password-file old.txt";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    runtime()?.block_on(set(args))
}

async fn set(args: &Args) -> Result<(), Failure> {
    let is_input = |file: &Option<PathBuf>| file.as_deref() == Some(Path::new("-"));
    let is_asked = args.password_file.is_none();
    if is_input(&args.current_password_file) && (is_asked || is_input(&args.password_file)) {
        let says = "standard input holds one of the two passwords: say a file for the other";
        return Err(Failure::Usage(says.to_owned()));
    }
    let remote = args.access.account().await?;
    let me = remote.ask(Method::GET, "/api/me", None).await?;
    let name = text(&me, "handle");
    let mut current = args.current_password_file.as_deref().map(read).transpose()?;
    let fresh = match &args.password_file {
        Some(file) => read(file)?,
        None if io::stdin().is_terminal() => {
            if current.is_none() {
                let question = format!("Present password of {name}, nothing when there is none");
                current = Some(prompt::password(&question).await?);
            }
            ask_twice().await?
        }
        None => prompt::password("").await?,
    };
    if fresh.expose().is_empty() {
        return Err(Failure::Usage("there is no password".to_owned()));
    }
    let mut body = json!({ "password": fresh.expose() });
    if let Some(current) = current.filter(|current| !current.expose().is_empty()) {
        body["current_password"] = current.expose().into();
    }
    let path = format!("/api/users/{}/password", text(&me, "id"));
    remote.ask(Method::POST, &path, Some(&body)).await.map_err(|failure| match failure {
        Failure::NotFound(_) => Failure::NotFound(format!(
            "{name} is a service account, and only people have passwords"
        )),
        other => other,
    })?;
    say(&format!("the password of {name} is set"));
    Ok(())
}

async fn ask_twice() -> Result<Secret, Failure> {
    let fresh = prompt::password("New password").await?;
    let again = prompt::password("The same again").await?;
    if fresh.expose() != again.expose() {
        return Err(Failure::No("the two are not the same: nothing was changed".to_owned()));
    }
    Ok(fresh)
}

/// The password that a file holds in one line.
fn read(file: &Path) -> Result<Secret, Failure> {
    let text = if file.as_os_str() == "-" {
        case::read_input(Holds::Password)
    } else {
        case::read_text(file, Holds::Password)
    };
    let text = text.map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
    Ok(prompt::without_line_break(&text))
}
