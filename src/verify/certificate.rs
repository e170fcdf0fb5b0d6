//! What a certificate says of itself. In: its bytes. Out: from and until when it counts, who its subject is, its
//! fingerprint. Whether anybody vouches for it was asked before; what is odd is `None` or left out, never a panic.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::civil::{DateTime, date as date_of};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::request::ClientCertificate;

/// Most names of one kind that are looked at.
const NAMES_MAX: usize = 100;
/// Longest name that is one.
const NAME_MAX_BYTES: usize = 1024;
/// How long before its end a certificate is said to end soon.
const SOON_SECONDS: i64 = 30 * DAY_SECONDS;
const DAY_SECONDS: i64 = 86_400;

/// From and until when a certificate counts, in seconds since 1970, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// From when.
    pub since: i64,
    /// Until when.
    pub until: i64,
}

/// What of a term is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It begins in so many days, the last one begun.
    Early(i64),
    /// It counts, for a month and more.
    Good,
    /// It ends in so many whole days.
    EndsSoon(i64),
    /// It ended so many whole days ago.
    Ended(i64),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |days: i64| if days == 1 { "" } else { "s" };
        match *self {
            Self::Early(days) => write!(f, "begins in {days} day{}", plural(days)),
            Self::Good => f.write_str("counts"),
            Self::EndsSoon(days) => write!(f, "ends in {days} day{}", plural(days)),
            Self::Ended(days) => write!(f, "ended {days} day{} ago", plural(days)),
        }
    }
}

impl Term {
    /// How it stands at a moment, in seconds since 1970.
    #[must_use]
    pub fn standing(self, now: i64) -> Standing {
        if now < self.since {
            return Standing::Early((self.since - now + DAY_SECONDS - 1) / DAY_SECONDS);
        }
        match self.until - now {
            left if left < 0 => Standing::Ended(-left / DAY_SECONDS),
            left if left < SOON_SECONDS => Standing::EndsSoon(left / DAY_SECONDS),
            _ => Standing::Good,
        }
    }

    /// Whether it counts at a moment.
    #[must_use]
    pub fn holds(self, now: i64) -> bool {
        (self.since..=self.until).contains(&now)
    }
}

/// From and until when a certificate counts.
#[must_use]
pub fn term(der: &[u8]) -> Option<Term> {
    parts(der)?.term()
}

/// From when a list of revoked certificates is, and until when the next one is to come.
#[must_use]
pub fn list_term(der: &[u8]) -> Option<Term> {
    let (_, list, _) = part(der)?;
    let (_, mut signed, _) = part(list)?;
    // Version, algorithm, issuer; then both moments.
    let (tag, _, rest) = part(signed)?;
    if tag == NUMBER {
        signed = rest;
    }
    for _ in 0..2 {
        signed = part(signed)?.2;
    }
    Parts { term: signed, subject: &[], extensions: &[] }.term()
}

/// What a certificate says of who shows it.
#[must_use]
pub fn read(der: &[u8]) -> Option<ClientCertificate> {
    let parts = parts(der)?;
    let Term { since, until } = parts.term()?;
    let hex = |byte: &u8| format!("{byte:02x}");
    let mut read = ClientCertificate {
        cn: common_name(parts.subject),
        fingerprint: digest(&SHA256, der).as_ref().iter().map(hex).collect(),
        since,
        until,
        ..ClientCertificate::default()
    };
    for (tag, name) in alternatives(parts.extensions) {
        let names = match tag {
            EMAIL => &mut read.email,
            DNS => &mut read.dns,
            URI => &mut read.uri,
            _ => continue,
        };
        if names.len() < NAMES_MAX {
            names.extend(text(name));
        }
    }
    Some(read)
}

/// The same of the first certificate of a PEM text.
#[must_use]
pub fn read_pem(pem: &[u8]) -> Option<ClientCertificate> {
    read(&CertificateDer::from_pem_slice(pem).ok()?)
}

/// Tags of DER: the version of a certificate and its extensions, numbers, a list, texts, and the two ways of writing a
/// moment.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const NUMBER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
const SHORT_YEAR: u8 = 0x17;
const LONG_YEAR: u8 = 0x18;
/// Kinds of names beside the subject.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
/// What is a common name (2.5.4.3), and where the other names are (2.5.29.17).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVES: &[u8] = &[0x55, 0x1d, 0x11];

/// What of a certificate is read.
struct Parts<'a> {
    term: &'a [u8],
    subject: &'a [u8],
    extensions: &'a [u8],
}

fn parts(der: &[u8]) -> Option<Parts<'_>> {
    let (_, certificate, _) = part(der)?;
    let (_, mut signed, _) = part(certificate)?;
    // Version, serial number, algorithm, issuer; then the term.
    let (tag, _, rest) = part(signed)?;
    if tag == VERSION {
        signed = rest;
    }
    for _ in 0..3 {
        signed = part(signed)?.2;
    }
    let (_, term, rest) = part(signed)?;
    let (_, subject, rest) = part(rest)?;
    // Behind the key: perhaps two ids, perhaps extensions.
    let (_, _, mut rest) = part(rest)?;
    let mut extensions = &[][..];
    while !rest.is_empty() {
        let (tag, inside, more) = part(rest)?;
        if tag == EXTENSIONS {
            extensions = part(inside)?.1;
        }
        rest = more;
    }
    Some(Parts { term, subject, extensions })
}

impl Parts<'_> {
    fn term(&self) -> Option<Term> {
        let (tag, since, rest) = part(self.term)?;
        let since = moment(tag, since)?;
        let (tag, until, _) = part(rest)?;
        Some(Term { since, until: moment(tag, until)? })
    }
}

/// The parts of DER one behind the other, up to what is none.
fn each(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, inside, rest) = part(der)?;
        der = rest;
        Some((tag, inside))
    })
}

/// The one common name of a subject; of several it is not clear who is meant.
fn common_name(subject: &[u8]) -> Option<String> {
    let pairs = each(subject).flat_map(|(_, set)| each(set));
    let mut found = pairs.filter_map(|(_, pair)| {
        let (tag, object, rest) = part(pair)?;
        (tag == OBJECT && object == COMMON_NAME).then(|| part(rest)).flatten()
    });
    let (tag, name, _) = found.next()?;
    (found.next().is_none() && TEXTS.contains(&tag)).then(|| text(name)).flatten()
}

/// The names beside the subject, with their kinds.
fn alternatives(extensions: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let names = |extension| {
        let (tag, object, mut rest) = part(extension)?;
        if tag != OBJECT || object != ALTERNATIVES {
            return None;
        }
        // It may say before whether it is critical.
        if part(rest)?.0 != OCTETS {
            rest = part(rest)?.2;
        }
        let (_, octets, _) = part(rest)?;
        Some(part(octets)?.1)
    };
    each(extensions).filter_map(move |(_, extension)| names(extension)).flat_map(each)
}

/// A name as text; what nobody would type is none.
fn text(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
    (is_plain && text.len() <= NAME_MAX_BYTES).then(|| text.to_owned())
}

/// The first value of DER: its tag, what is in it, and what comes behind it.
fn part(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 3))?;
            let wider = |length, byte: &u8| length << 8 | usize::from(*byte);
            (bytes.iter().fold(0, wider), rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((tag, inside, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, in seconds since 1970.
fn moment(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let long = match (tag, text.len()) {
        (SHORT_YEAR, 12) if digits && text < "50" => format!("20{text}"),
        (SHORT_YEAR, 12) if digits => format!("19{text}"),
        (LONG_YEAR, 14) if digits => text.to_owned(),
        _ => return None,
    };
    let (date, time) = long.split_at(8);
    // Up to the last second of 9999, which says that there is no end: a timestamp of jiff stops a day before it.
    let written: DateTime = format!("{date}T{time}").parse().ok()?;
    Some(written.duration_since(date_of(1970, 1, 1).at(0, 0, 0, 0)).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNS: &[u8] = include_bytes!("../../tests/data/fetched/sns.pem");
    const SHOP: &[u8] = include_bytes!("../../tests/data/mtls/shop.pem");

    #[test]
    fn a_certificate_says_who_shows_it() {
        let read = read_pem(SHOP).expect("a certificate");
        assert_eq!(read.cn.as_deref(), Some("Acme Shop"));
        assert_eq!(read.dns, ["shop.example.com", "Till.Example.com"]);
        assert_eq!(read.uri, ["spiffe://acme.example/shop"]);
        assert_eq!(read.email, ["shop@acme.example"]);
        let told = include_str!("../../tests/data/mtls/shop.sha256");
        assert_eq!(read.fingerprint, told.trim());
        let two = read_pem(include_bytes!("../../tests/data/mtls/two.pem")).expect("a certificate");
        assert_eq!((two.cn, two.dns), (None, Vec::new()), "of two names it is not clear who");
        assert_eq!(read_pem(b"no certificate"), None);
    }

    #[test]
    fn what_is_worth_a_word_is_told_to_the_second() {
        let term = Term { since: 10 * DAY_SECONDS, until: 100 * DAY_SECONDS };
        for (now, standing) in [
            (0, Standing::Early(10)),
            (10 * DAY_SECONDS - 1, Standing::Early(1)),
            (10 * DAY_SECONDS, Standing::Good),
            (70 * DAY_SECONDS, Standing::Good),
            (70 * DAY_SECONDS + 1, Standing::EndsSoon(29)),
            (100 * DAY_SECONDS, Standing::EndsSoon(0)),
            (100 * DAY_SECONDS + 1, Standing::Ended(0)),
            (103 * DAY_SECONDS, Standing::Ended(3)),
        ] {
            assert_eq!(term.standing(now), standing, "{now}");
            let holds = matches!(standing, Standing::Good | Standing::EndsSoon(_));
            assert_eq!(term.holds(now), holds, "{now}");
        }
    }

    #[test]
    fn a_moment_is_written_in_two_ways() {
        for (tag, text, seconds) in [
            (SHORT_YEAR, "700101000001Z", Some(1)),
            (SHORT_YEAR, "491231235959Z", Some(2_524_607_999)),
            (SHORT_YEAR, "500101000000Z", Some(-631_152_000)),
            (LONG_YEAR, "19700101000001Z", Some(1)),
            (LONG_YEAR, "20240229235959Z", Some(1_709_251_199)),
            (LONG_YEAR, "20230229235959Z", None),
            (LONG_YEAR, "99991231235959Z", Some(253_402_300_799)),
            (LONG_YEAR, "700101000001Z", None),
            (SHORT_YEAR, "7001010000Z", None),
            (SHORT_YEAR, "700101000001+0000", None),
            (LONG_YEAR, "19701301000001Z", None),
            (0x02, "19700101000001Z", None),
        ] {
            assert_eq!(moment(tag, text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_cut_or_spoilt_is_no_certificate_and_no_panic() {
        for pem in [SNS, SHOP] {
            never_panics(&CertificateDer::from_pem_slice(pem).expect("PEM"));
        }
    }

    fn never_panics(der: &[u8]) {
        for length in 0..der.len() {
            let _ = read(&der[..length]);
        }
        for place in 0..der.len() {
            for value in [0, 0x7f, 0x80, 0x82, 0x84, 0xff] {
                let mut spoilt = der.to_vec();
                spoilt[place] = value;
                let _ = read(&spoilt);
            }
        }
        assert!(read(der).is_some());
    }
}
