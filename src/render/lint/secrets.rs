//! Rules about secrets and cost: what should not end up in an event, and what is written twice. In: what expressions
//! show, and the source. Out: findings. Never the secret itself in a message.

use std::ops::Range;

use minijinja::machinery::ast::Expr;

use super::super::code::Code;
use super::headers::is_secret;
use super::prints::is_data;
use super::tree::{header, last_name, shown};
use super::walk::Walk;

/// Fields of bodies that open doors.
const FIELDS: [&str; 15] = [
    "access_token",
    "accessToken",
    "api_key",
    "apikey",
    "apiKey",
    "client_secret",
    "clientSecret",
    "passwd",
    "password",
    "private_key",
    "refresh_token",
    "secret",
    "secret_key",
    "token",
    "verification_token",
];

/// How keys of well-known services begin, and how many characters follow at least.
const KEYS: [(&str, usize); 20] = [
    ("AIza", 35),
    ("AKIA", 16),
    ("ASIA", 16),
    ("SG.", 40),
    ("dop_v1_", 40),
    ("eyJhbGciOi", 40),
    ("gho_", 36),
    ("ghp_", 36),
    ("ghs_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("npm_", 36),
    ("pnb_", 36),
    ("pnu_", 36),
    ("rk_live_", 20),
    ("sk_live_", 20),
    ("sk_test_", 20),
    ("whsec_", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
];
/// Fewer different characters are an example, such as `ghp_xxxx`.
const DIFFERENT_MIN: usize = 8;

impl<'s, 'a> Walk<'s, 'a> {
    /// What an expression shows, down to its parts.
    pub(super) fn check_shown(&mut self, expr: &'s Expr<'a>) {
        if self.is_muted() {
            return;
        }
        if let Some(name) = header(expr) {
            if is_secret(name) {
                let range = self.range(expr);
                let what = format!("the header '{name}' proves who sent the request");
                let help = "leave it out of the event: whoever reads the event could send again";
                self.warn(Code::SecretHeader, range, what, help.to_owned());
            }
            return;
        }
        match expr {
            Expr::Var(var) if var.id == "headers" && !self.scope.is_set("headers") => {
                let range = self.range(expr);
                let what = "all headers are written, signatures and tokens among them".to_owned();
                let help = "write the ones that somebody reads: headers['user-agent']".to_owned();
                self.warn(Code::AllHeaders, range, what, help);
                return;
            }
            Expr::GetAttr(_) | Expr::GetItem(_) => {
                self.check_field(expr);
                return;
            }
            Expr::Filter(node) if node.name == "tojson" => self.count_body(node.expr.as_ref()),
            _ => {}
        }
        shown(expr, &mut |part| self.check_shown(part));
    }

    fn check_field(&mut self, expr: &'s Expr<'a>) {
        let Some(name) = last_name(expr).filter(|name| FIELDS.contains(name)) else { return };
        if is_data(expr, self.scope) {
            let range = self.range(expr);
            let what = format!("'{name}' reads like a secret, and events are kept and shown");
            let help = "leave it out of the event".to_owned();
            self.warn(Code::SecretField, range, what, help);
        }
    }

    /// The whole body once is enough: an event has 1.4 MB.
    fn count_body(&mut self, inner: Option<&'s Expr<'a>>) {
        let Some(expr) = inner else { return };
        let is_body = matches!(expr, Expr::Var(var) if var.id == "body");
        if !is_body || self.branches > 0 || self.scope.is_set("body") {
            return;
        }
        self.bodies += 1;
        if self.bodies == 2 {
            let range = self.range(expr);
            let what = "the whole body is written a second time".to_owned();
            let help = "keep one of them, or write the parts that somebody reads".to_owned();
            self.warn(Code::BodyTwice, range, what, help);
        }
    }

    /// Keys in the template's own text.
    pub(super) fn check_keys(&mut self) {
        for range in keys(self.source) {
            let what = "this looks like a key of a service; templates are no place for one";
            let help = "take it out and make a new one there: everybody who may read the webhook \
                        has seen it";
            self.warn(Code::Key, range, what.to_owned(), help.to_owned());
        }
    }
}

/// Where something like a key stands.
fn keys(source: &str) -> Vec<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    if let Some(start) =
        source.find("-----BEGIN ").filter(|at| source[*at..].contains("PRIVATE KEY"))
    {
        found.push(start..start + "-----BEGIN ".len());
    }
    let mut at = 0;
    while at < bytes.len() {
        if !is_part(bytes[at]) {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|byte| is_part(**byte)).count();
        let word = &source[at..at + length];
        if KEYS.iter().any(|(begins, rest)| {
            word.strip_prefix(begins).is_some_and(|tail| tail.len() >= *rest && is_varied(tail))
        }) {
            found.push(at..at + length);
        }
        at += length;
    }
    found
}

fn is_varied(text: &str) -> bool {
    let mut seen = [false; 128];
    for byte in text.bytes() {
        seen[usize::from(byte & 127)] = true;
    }
    seen.iter().filter(|seen| **seen).count() >= DIFFERENT_MIN
        && text.bytes().any(|byte| byte.is_ascii_digit())
}
