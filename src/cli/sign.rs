//! `hookgate sign`: a request as its provider would sign it, to try a webhook with. In: a provider, a secret from a
//! file, a body. Out: headers, a command of curl, or a request file. Sends nothing; shows the secret only where it is
//! what the provider sends.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::case::{self, CaseError, Holds, Request};
use super::moment::Moment;
use super::output::{Failure, print_line, print_text};
use super::request::curl;
use super::{ConfigFile, verify};
use crate::clock::Clock;
use crate::id;
use crate::request::SECRET_HEADERS;
use crate::verify::signature::{Draft, Mark, Signer};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who would send it, such as github; `hookgate verify --list` tells all
    #[arg(long, value_name = "PROVIDER")]
    provider: String,
    /// A file with the secret; or with the private key, as PEM of PKCS#8, where a provider has one
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// A file with the private key of a certificate, as PEM, where the secret is something else (paypal)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The address of the webhook, as the provider knows it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A setting of the provider: `public_key=…`, `timestamp_header=…`
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = verify::setting)]
    parameter: Vec<(String, String)>,
    /// The method of the request
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: Method,
    /// A header that the request has, too
    #[arg(short = 'H', long, value_name = "NAME:VALUE", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Sign as if it were then, such as 2026-11-29T01:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::moment::moment)]
    now: Option<Moment>,
    /// The id of the message, where one is signed
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Which of the provider's ways of signing, counted from 1
    #[arg(long, value_name = "NUMBER")]
    way: Option<usize>,
    /// What is printed: the headers, a command of curl, or a request file
    #[arg(short, long, value_enum, default_value = "headers")]
    output: Output,
    /// The body; `-` for standard input
    #[arg(value_name = "BODYFILE")]
    body: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Headers,
    Curl,
    Request,
}

pub(super) const EXAMPLE: &str = "\
Some providers sign inside the body or the query (mailgun, adyen, braintree, twilio): there, headers
alone are not the whole; take -o curl or -o request. Providers that sign with a certificate of their
own are signed for with the RSA key of yours, and `hookgate verify --certificate` is told of it: for
aws-sns the key is the secret, for paypal it stands beside the secret, which is the webhook's id.
Providers of the configuration file can be signed for, too.

Examples:
  hookgate sign --provider github --secret-file secret payload.json
  hookgate sign --provider twilio --secret-file secret --url https://hooks.example.com/hooks/SLUG -o curl form.txt
  hookgate sign --provider stripe --secret-file secret -o request payload.json |
    hookgate verify stripe --secret-file secret --request -
  hookgate sign --provider aws-sns --secret-file key.pem -p topic=ARN -o request message.txt |
    hookgate verify aws-sns --certificate certificate.pem -p topic=ARN --request -
  hookgate sign --provider paypal --secret-file webhook-id --key-file key.pem -o request body.json |
    hookgate verify paypal --secret-file webhook-id --certificate certificate.pem --request -";

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let split = text.split_once(':').ok_or("expected NAME:VALUE")?;
    let name = HeaderName::try_from(split.0.trim()).map_err(|_| "no name of a header")?;
    let value = HeaderValue::try_from(split.1.trim()).map_err(|_| "no value of a header")?;
    Ok((name, value))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let not_read = |fault: CaseError| Failure::NotLoaded(fault.to_string());
    let registry = verify::registry(&args.file)?;
    let provider = registry.find(&args.provider).map_err(verify::refused)?;
    let [secret] = &verify::secrets(std::slice::from_ref(&args.secret_file))?[..] else {
        return Err(Failure::Usage("one secret signs".to_owned()));
    };
    let mut parameters: crate::verify::signature::Parameters =
        args.parameter.iter().cloned().collect();
    parameters.extend(args.url.iter().map(|url| ("url".to_owned(), url.clone())));
    let way = Signer::new(&args.provider, provider, secret, parameters, args.way);
    let key = verify::secrets(args.key_file.as_slice())?.into_iter().next();
    let way = way.map_err(verify::refused)?.with_key(key.as_ref());
    let body = if args.body == Path::new("-") {
        case::read_input(Holds::Request).map_err(not_read)?.into_bytes()
    } else {
        case::read_bytes(&args.body, Holds::Request).map_err(not_read)?
    };
    let clock = Clock::System;
    let present = clock.now();
    let now = args.now.map_or(present, |moment| moment.before(present));
    let fresh = || format!("msg_{}", id::now(&clock).simple());
    let message_id = args.id.clone().unwrap_or_else(fresh);
    let draft = Draft {
        method: args.method.clone(),
        headers: args.header.iter().cloned().collect(),
        query: args.url.as_deref().and_then(|url| url.split_once('?')).map(|(_, q)| q.to_owned()),
        body,
    };
    let mark = Mark { now: now.micros().div_euclid(1_000_000), id: &message_id };
    let signed = way.sign(draft.clone(), mark).map_err(verify::refused)?;
    match args.output {
        Output::Headers => print_headers(&draft, &signed),
        Output::Curl => {
            let url = args.url.as_deref();
            let url = url.ok_or_else(|| Failure::Usage("-o curl needs --url".to_owned()))?;
            let bare = url.split('?').next().unwrap_or_default();
            print_line(&curl::command(&sample(signed), bare))
        }
        Output::Request => {
            if SECRET_HEADERS.iter().any(|name| signed.headers.contains_key(name)) {
                let says = "the secret stands in a header that no request file holds";
                return Err(Failure::Usage(format!("{says}: take -o headers or -o curl")));
            }
            let mut sample = sample(signed);
            sample.received = Some(now);
            print_text(&sample.text())
        }
    }
}

fn sample(signed: Draft) -> Request {
    Request {
        method: signed.method,
        query: signed.query,
        headers: signed.headers,
        body: signed.body.into(),
        ..Request::default()
    }
}

/// The headers that signing added.
fn print_headers(draft: &Draft, signed: &Draft) -> Result<(), Failure> {
    if signed.body != draft.body || signed.query != draft.query {
        let says = "the signature changes the body or the query, not only headers";
        return Err(Failure::Usage(format!("{says}: take -o curl or -o request")));
    }
    let fresh = |name: &&HeaderName| !has(&draft.headers, name, &signed.headers);
    for name in signed.headers.keys().filter(fresh) {
        for value in signed.headers.get_all(name) {
            print_line(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))?;
        }
    }
    Ok(())
}

fn has(before: &HeaderMap, name: &HeaderName, after: &HeaderMap) -> bool {
    before.get(name).is_some_and(|value| after.get(name) == Some(value))
}
