//! `hookgate request curl`: a kept request as a command of curl. In: a request, and where it is to go. Out: one line
//! for a shell, with a long body behind it, that sends the very bytes, with no header that was not there.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, Method};

use super::read;
use crate::cli::access::{Access, Remote};
use crate::cli::case::Request;
use crate::cli::listing::text;
use crate::cli::output::{Failure, print_line};
use crate::cli::send;
use crate::id::Uuid;

pub(super) const EXAMPLE: &str = "\
Without --to the request goes to its webhook again; the command then holds the webhook's slug, which is a secret.
`Authorization` and `Cookie` are kept by nobody: add them with -H where they are needed.

Examples:
  hookgate request curl 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10 --to http://localhost:3000/hook
  hookgate request curl 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10 | sh";

/// Headers of the connection, or of a body that was decoded meanwhile.
const LEFT_OUT: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "expect",
    "te",
    "upgrade",
];
/// Longest body in an argument: a system takes 128 KiB in one of them.
const ARGUMENT_MAX_BYTES: usize = 64 << 10;
/// Letters in a row of a longer one, which no row of them can end.
const ROW_CHARS: usize = 76;
const END: &str = "END_OF_BODY";
/// Headers that curl adds by itself.
const ADDED: [&str; 3] = ["accept", "user-agent", "content-type"];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The request's id
    id: Uuid,
    /// Where it goes
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    #[command(flatten)]
    access: Access,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let remote = args.access.workspace().await?;
    let whole = read(&remote, args.id).await?;
    whole.warn();
    let to = match &args.to {
        Some(to) => to.clone(),
        None => hook(&remote, &text(&whole.facts(), "webhook_id")).await?,
    };
    print_line(&command(&whole.request()?, &to))
}

/// The address of a webhook's hook.
async fn hook(remote: &Remote, webhook: &str) -> Result<String, Failure> {
    let found = remote.find("webhook", "webhooks", webhook).await?;
    Ok(send::address(&text(&found, "slug"), &remote.base))
}

/// Where a request goes, its query behind it.
pub(super) fn target(request: &Request, to: &str) -> String {
    match request.query.as_deref().filter(|query| !query.is_empty()) {
        Some(query) => format!("{to}{}{query}", if to.contains('?') { '&' } else { '?' }),
        None => to.to_owned(),
    }
}

/// The headers that are sent again.
pub(super) fn headers(request: &Request) -> HeaderMap {
    let mut headers = request.headers.clone();
    for name in LEFT_OUT {
        headers.remove(name);
    }
    headers
}

/// The command.
pub(in crate::cli) fn command(request: &Request, to: &str) -> String {
    let mut line = String::from("curl --globoff");
    if request.method == Method::HEAD {
        line += " --head";
    } else {
        let _ = write!(line, " -X {}", quote(request.method.as_str()));
    }
    let headers = headers(request);
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // With nothing behind the colon curl would leave the header out.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        let _ = write!(line, " -H {}", quote(&header));
    }
    for name in ADDED {
        let is_added = name != "content-type" || !request.body.is_empty();
        if is_added && !headers.contains_key(name) {
            let _ = write!(line, " -H {}", quote(&format!("{name}:")));
        }
    }
    let (mut before, mut behind) = (String::new(), String::new());
    match std::str::from_utf8(&request.body) {
        _ if request.body.len() > ARGUMENT_MAX_BYTES => {
            before = format!("base64 -d <<'{END}' | ");
            line += " --data-binary @-";
            let encoded = BASE64.encode(&request.body);
            for row in encoded.as_bytes().chunks(ROW_CHARS) {
                behind.push('\n');
                behind.extend(row.iter().map(|byte| char::from(*byte)));
            }
            let _ = write!(behind, "\n{END}");
        }
        Ok("") => {}
        Ok(text) if !text.contains('\0') => {
            let _ = write!(line, " --data-raw {}", quote(text));
        }
        // No argument holds such bytes.
        _ => {
            before = format!("printf %s {} | base64 -d | ", quote(&BASE64.encode(&request.body)));
            line += " --data-binary @-";
        }
    }
    format!("{before}{line} {}{behind}", quote(&target(request, to)))
}

/// One word for a shell, whatever is in it.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What a shell makes of a command: the words that curl would get, and what it would read.
    fn words(command: &str) -> Vec<String> {
        let script =
            format!("curl() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{command}");
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        let text = String::from_utf8(output.stdout).expect("text");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_hands_curl_the_very_words() {
        let text = r#"{"method": "PUT", "query": "a=it's&b=$(id)", "headers": {"X-A": "it's \"$HOME\" `id`",
            "X-Empty": "", "Content-Length": "3", "Content-Encoding": "gzip"},
            "body": "@'a' \\ $x\n"}"#;
        let request = Request::parse(text).expect("a request");
        let expected = [
            "--globoff",
            "-X",
            "PUT",
            "-H",
            "x-a: it's \"$HOME\" `id`",
            "-H",
            "x-empty;",
            "-H",
            "accept:",
            "-H",
            "user-agent:",
            "-H",
            "content-type:",
            "--data-raw",
            "@'a' \\ $x\n",
            "http://h/x?y=1&a=it's&b=$(id)",
        ];
        assert_eq!(words(&command(&request, "http://h/x?y=1")), expected);
        let text = r#"{"method": "HEAD", "headers": {"accept": "a", "user-agent": "u"}}"#;
        let request = Request::parse(text).expect("a request");
        let expected =
            ["--globoff", "--head", "-H", "accept: a", "-H", "user-agent: u", "http://h"];
        assert_eq!(words(&command(&request, "http://h")), expected);
        let request = Request::parse(r#"{"body_base64": "/wA="}"#).expect("a request");
        let line = command(&request, "http://h");
        assert!(line.starts_with("printf %s '/wA=' | base64 -d | curl "), "{line}");
        assert!(line.contains(" --data-binary @- 'http://h'"), "{line}");
    }

    #[test]
    fn a_body_that_no_argument_holds_is_sent_whole() {
        use std::io::Write as _;
        use std::process::Stdio;
        let body = "it's $HOME\n".repeat(60_000);
        let text = serde_json::json!({ "body": body }).to_string();
        let line = command(&Request::parse(&text).expect("a request"), "http://h");
        assert!(line.lines().all(|line| line.len() < 200), "{}", line.lines().count());
        let mut shell = Command::new("sh");
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = shell.spawn().expect("a shell");
        let mut input = running.stdin.take().expect("its input");
        let script = format!("curl() {{ cat; }}\n{line}\n");
        let writing = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = running.wait_with_output().expect("an end");
        writing.join().expect("an end").expect("it read all");
        assert!(output.status.success() && output.stdout == body.as_bytes());
    }
}
