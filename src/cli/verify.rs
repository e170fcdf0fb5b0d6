//! `hookgate verify`: whether requests were signed by who knows a secret. In: recorded cases, or one request with a
//! provider and secrets from files. Out: a verdict for each, and why. Never a secret, nor what was expected.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::config;
use crate::id::Secret;
use crate::verify::certificate::read_pem;
use crate::verify::signature::{
    self, Case, CasesFault, Greeting, Known, Origin, Outcome, Parameters, Registry, Request,
    SchemeFault, Tally, Verifier,
};

use super::case::{self, CaseError, Holds};
use super::moment::Moment;
use super::output::{Failure, clean, print_line, say};
use super::{ConfigFile, environment};

/// Most providers for each of which it is said what differs.
const BEARERS_MAX: usize = 4;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recorded requests with their decisions, one JSON object for each line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["provider", "request"])]
    cases: Option<PathBuf>,
    /// Who sent it, such as github; `hookgate verify --list` tells all. Found by the headers, when one alone fits
    #[arg(value_name = "PROVIDER")]
    provider: Option<String>,
    /// A request file, as `hookgate test` reads them; `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["cases", "list"])]
    request: Option<PathBuf>,
    /// A file with the secret; several count at once
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
    /// A setting of the provider: `url=https://…`, `public_key=…`
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = setting)]
    parameter: Vec<(String, String)>,
    /// The certificate that a provider signs with, or that a sender shows (mtls), as PEM; it is never fetched here
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// How many seconds the clocks may differ, instead of what the provider says
    #[arg(long, value_name = "SECONDS")]
    tolerance: Option<u32>,
    /// Judge as if it were then, such as 2026-11-29T01:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::moment::moment)]
    at: Option<Moment>,
    /// Say which part differs
    #[arg(long)]
    explain: bool,
    /// Show the providers there are, and what their rows were compared with
    #[arg(long, conflicts_with_all = ["cases", "provider", "request"])]
    list: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) const EXAMPLE: &str = "\
A case has id, provider, secret, method, url, headers, body (or body_base64), valid, and now: the
clock in seconds since 1970. Without now no time is judged. A header that comes more than once is
a list. A handshake has the reply, too: response_status, response_headers, response_body. A request
that no gateway would take is refused.

Providers of your own are rows [[schemes.NAME.scheme]] of the configuration file, in the form of
those that come with hookgate; each names its cases, and is checked by them.

Without PROVIDER it is the one whose headers the request has. Where several sign in the same header,
it is whichever the secret fits; and when it fits none, they are named, and one has to be given.

Exit codes: 0 verified, or every case as recorded, 1 refused, or a case that came out otherwise,
3 a file that does not load.

Examples:
  hookgate verify --list
  hookgate verify acme --config config.toml --request capture.request.json --secret-file secret
  hookgate verify github --request capture.request.json --secret-file secret --explain
  hookgate verify --request capture.request.json --secret-file secret --explain
  hookgate verify --cases tests/data/signatures.jsonl";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let registry = registry(&args.file)?;
    if args.list {
        return registry.iter().try_for_each(|(name, row)| {
            let (kind, address) = row.source.as_ref().map_or(("", ""), Origin::words);
            print_line(format!("{name:<20} {kind:<14} {address}").trim_end())
        });
    }
    match &args.cases {
        Some(path) => run_cases(path, &registry),
        None => run_request(args, &registry),
    }
}

/// The providers of hookgate, and those of the configuration file.
pub(super) fn registry(file: &ConfigFile) -> Result<Registry, Failure> {
    let loaded = config::load(file.config.as_deref(), environment(), Vec::new())?;
    Ok(loaded.config.providers()?)
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((split.0.to_owned(), split.1.to_owned()))
}

/// Why not all cases were run.
enum Stopped {
    Cases(CasesFault),
    Print(Failure),
}

impl From<CasesFault> for Stopped {
    fn from(fault: CasesFault) -> Self {
        Self::Cases(fault)
    }
}

fn run_cases(path: &Path, registry: &Registry) -> Result<(), Failure> {
    let name = path.display();
    let not_loaded = |what: String| Failure::NotLoaded(format!("{name}: {what}"));
    let file = File::open(path).map_err(|fault| not_loaded(format!("cannot be read: {fault}")))?;
    let told = |line: u64, case: &Case, outcome: &Outcome| {
        let Outcome::Wrong(how) = outcome else { return Ok(()) };
        let (id, how) = (clean(&case.id), clean(how));
        print_line(&format!("FAIL line {line} {id}: {how}")).map_err(Stopped::Print)
    };
    let tally = signature::run_cases(BufReader::new(file), registry, told);
    let Tally { passed, failed } = tally.map_err(|stopped| match stopped {
        Stopped::Cases(fault) => not_loaded(fault.to_string()),
        Stopped::Print(failure) => failure,
    })?;
    print_line(&format!("{passed} passed, {failed} failed"))?;
    if failed > 0 { Err(Failure::Told) } else { Ok(()) }
}

fn run_request(args: &Args, registry: &Registry) -> Result<(), Failure> {
    let not_read = |fault: CaseError| Failure::NotLoaded(fault.to_string());
    let Some(path) = &args.request else {
        return Err(Failure::Usage("give --request, or --cases".to_owned()));
    };
    let sample = if path == Path::new("-") {
        case::parse("standard input", &case::read_input(Holds::Request).map_err(not_read)?)
    } else {
        case::read(path)
    };
    let sample = sample.map_err(not_read)?;
    let secrets = &secrets(&args.secret_file)?[..];
    let pem = match &args.certificate {
        Some(path) => Some(case::read_text(path, Holds::Key).map_err(not_read)?),
        None => None,
    };
    let certificate = pem.as_deref().map(str::as_bytes);
    let shown = certificate.and_then(read_pem);
    let present = Clock::System.now();
    let at = args.at.map(|moment| moment.before(present));
    let now = at.or(sample.received).unwrap_or(present);
    let request = &Request {
        method: &sample.method,
        headers: &sample.headers,
        query: sample.query.as_deref(),
        body: &sample.body,
        slug: None,
        certificate: shown.as_ref(),
        parsed: None,
    };
    let now = Some(now.micros().div_euclid(1_000_000));
    let trial = Trial { args, registry, secrets, request, known: &certificate, now };
    match &args.provider {
        Some(provider) => trial.of(provider),
        None => trial.of_whoever(),
    }
}

/// A request, and with what it is judged.
struct Trial<'a> {
    args: &'a Args,
    registry: &'a Registry,
    secrets: &'a [Secret],
    request: &'a Request<'a>,
    known: &'a dyn Known,
    now: Option<i64>,
}

impl Trial<'_> {
    fn verifier(&self, provider: &str) -> Result<Verifier, SchemeFault> {
        let row = self.registry.find(provider)?;
        let parameters: Parameters = self.args.parameter.iter().cloned().collect();
        Verifier::new(provider, row, self.secrets, parameters, self.args.tolerance)
    }

    /// Whether it is of that provider.
    fn of(&self, provider: &str) -> Result<(), Failure> {
        let verifier = self.verifier(provider).map_err(refused)?;
        verifier.check_settings().map_err(refused)?;
        let (fault, said) = match verifier.greet(self.request, self.known, self.now) {
            Greeting::Answer(answer) => {
                return print_line(&format!("a handshake: answered with {}", answer.status));
            }
            Greeting::Refused(status, fault) => {
                let said = format!("a handshake, refused with {status}: {fault}");
                (fault, said)
            }
            Greeting::None => match verifier.judge(self.request, self.known, self.now) {
                Ok(proof) => {
                    let timed = if proof.timed { "time signed" } else { "no time is signed" };
                    let (secret, most) = (proof.secret + 1, self.secrets.len());
                    return print_line(&format!(
                        "verified: {provider}, secret {secret} of {most}, {timed}"
                    ));
                }
                Err(fault) => {
                    let said = format!("refused ({}): {fault}", fault.reason());
                    (fault, said)
                }
            },
        };
        if self.args.explain {
            if fault.to_string().contains("authorization") {
                say(
                    "  request files and captures never hold Authorization: nothing is known of it",
                );
            }
            for line in verifier.explain(self.registry, self.request, self.known, &fault) {
                say(&format!("  {}", clean(&line)));
            }
        }
        Err(Failure::No(clean(&said)))
    }

    /// Says what differs, if it is of that provider.
    fn suspect(&self, provider: &str) {
        let Ok(verifier) = self.verifier(provider) else { return };
        let Err(fault) = verifier.judge(self.request, self.known, self.now) else { return };
        for line in verifier.explain(self.registry, self.request, self.known, &fault) {
            say(&format!("  as {provider}: {}", clean(&line)));
        }
    }

    /// Whether it is of the provider that its headers tell of: of the only one, or of the only one it is right for.
    fn of_whoever(&self) -> Result<(), Failure> {
        let bearers = signature::bearers(self.registry, self.request);
        let is_right = |name: &&&str| {
            let verifier = self.verifier(name);
            verifier.is_ok_and(|one| one.judge(self.request, self.known, self.now).is_ok())
        };
        let right: Vec<&str> = bearers.iter().filter(is_right).copied().collect();
        match (&bearers[..], &right[..]) {
            ([], _) => {
                let says = "refused (signature_missing): no header of the request is one that signatures stand in";
                if self.args.explain {
                    say("  it was sent unsigned, or something on its way took the header off");
                    say(
                        "  signatures in the body or the query are looked for where PROVIDER is named",
                    );
                }
                Err(Failure::No(says.to_owned()))
            }
            ([only], _) | (_, [only]) => {
                say(&format!("the headers are those of {only}"));
                self.of(only)
            }
            (_, [_, _, ..]) => {
                print_line(&format!("verified: these sign alike: {}", right.join(", ")))
            }
            _ => {
                if self.args.explain {
                    bearers.iter().take(BEARERS_MAX).for_each(|name| self.suspect(name));
                }
                let names = bearers.join(", ");
                Err(Failure::Usage(format!(
                    "its headers may be those of {names}: name the PROVIDER"
                )))
            }
        }
    }
}

pub(super) fn refused(fault: SchemeFault) -> Failure {
    match fault {
        SchemeFault::Unknown(_) => Failure::Usage(fault.to_string()),
        fault => Failure::NotLoaded(fault.to_string()),
    }
}

/// Secrets from files: what ends the last line is not part of them.
pub(super) fn secrets(files: &[PathBuf]) -> Result<Vec<Secret>, Failure> {
    let read = |path: &PathBuf| {
        let text = case::read_text(path, Holds::Key);
        let text = text.map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
    };
    files.iter().map(read).collect()
}
