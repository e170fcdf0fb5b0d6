//! Certificates of senders and of providers' keys. In: a certificate as it came, as PEM, or one that is written here.
//! Holds: no panic; what was written is read, each name within its bounds and the moment to the second; x509-cert and
//! webpki read the same in whatever they take for a certificate.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use hookgate::request::ClientCertificate;
use hookgate::verify::certificate::{read, read_pem, term};
use hookgate::verify::signature::{Form, Wanted};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The bounds of the rule: names of a kind, bytes of a name, bytes of a value.
const NAMES_MAX: usize = 100;
const NAME_MAX_BYTES: usize = 1024;
const VALUE_MAX_BYTES: usize = 65_535;
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ALTERNATIVES: [u8; 3] = [0x55, 0x1d, 0x11];
/// All names of one that is written here: more than is read of any, and not so much that writing it takes longer.
const WRITTEN_MAX_BYTES: usize = 4 * VALUE_MAX_BYTES;
/// How deep values within values are mended.
const DEPTH_MAX: usize = 12;

/// A certificate that is written here: its form is right, what it says is the fuzzer's.
#[derive(Arbitrary, Debug)]
struct Paper {
    has_version: bool,
    has_ids: bool,
    since: Moment,
    until: Moment,
    subject: Vec<Vec<Attribute>>,
    extensions: Option<Vec<Extension>>,
    behind: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Moment {
    /// Year, month, day, hour, minute, second; each is brought into its bounds, but for days that a month has not.
    At(bool, u16, [u8; 5]),
    Text(u8, String),
}

#[derive(Arbitrary, Debug)]
struct Attribute {
    is_common_name: bool,
    tag: u8,
    text: Text,
}

#[derive(Arbitrary, Debug)]
enum Extension {
    Other(Vec<u8>),
    Names { says_critical: bool, names: Vec<(u8, u8, Text)> },
}

#[derive(Arbitrary, Debug)]
enum Text {
    Typed(String),
    Bytes(Vec<u8>),
    Long(u8, u16),
}

fuzz_target!(|data: &[u8]| match data.first() {
    Some(0x30) => {
        judge(data);
        judge(&mended(data, 0));
    }
    Some(b'-') => {
        if let Ok(der) = CertificateDer::from_pem_slice(data) {
            assert_eq!(read_pem(data), judge(&der));
        } else {
            assert_eq!(read_pem(data), None);
        }
        let wanted = Wanted {
            address: "https://x/y".to_owned(),
            form: Form::Certificate,
            newer: false,
            asks: None,
        };
        if wanted.read(data).is_ok() {
            assert!(read_pem(data).is_some(), "what signs for others is read for itself, too");
        }
    }
    Some(_) => {
        let paper = Paper::arbitrary(&mut Unstructured::new(&data[1..]));
        if let Some(paper) = paper.ok().filter(|paper| paper.names_bytes() <= WRITTEN_MAX_BYTES) {
            let (der, expected) = paper.write();
            let found =
                judge(&der).map(|read| ClientCertificate { fingerprint: String::new(), ..read });
            match expected {
                Some(expected) => assert_eq!(found, expected, "{paper:?}"),
                None => drop(found),
            }
        }
    }
    None => assert_eq!(judge(data), None),
});

/// Reads it, and has others read it.
fn judge(der: &[u8]) -> Option<ClientCertificate> {
    let found = read(der);
    assert_eq!(found, read(der), "twice is once");
    let term = term(der);
    assert_eq!(
        found.as_ref().map(|read| (read.since, read.until)),
        term.map(|term| (term.since, term.until))
    );
    if let Some(found) = &found {
        for names in [&found.email, &found.dns, &found.uri] {
            assert!(names.len() <= NAMES_MAX);
            assert!(names.iter().chain(&found.cn).all(|name| is_plain(name)), "{found:?}");
        }
    }
    let certificate = CertificateDer::from(der);
    if let (Ok(theirs), Some(found)) = (webpki::EndEntityCert::try_from(&certificate), &found) {
        let is_whole = found.dns.len() < NAMES_MAX;
        for name in theirs.valid_dns_names().filter(|_| is_whole) {
            assert!(
                found.dns.iter().any(|own| own == name) || !is_plain(name),
                "{name:?}: {found:?}"
            );
        }
    }
    if let Ok(theirs) = x509_cert::Certificate::from_der(der) {
        compare(&theirs, found.as_ref(), der.len());
    }
    found
}

/// What a strict reader takes, ours takes, and reads the same in it.
fn compare(theirs: &x509_cert::Certificate, ours: Option<&ClientCertificate>, bytes: usize) {
    let Some(ours) = ours else {
        assert!(bytes > VALUE_MAX_BYTES, "a whole certificate of {bytes} bytes is not read");
        return;
    };
    let signed = &theirs.tbs_certificate;
    let seconds = |time: &x509_cert::time::Time| {
        i64::try_from(time.to_unix_duration().as_secs()).expect("before the year 10,000")
    };
    let told = (seconds(&signed.validity.not_before), seconds(&signed.validity.not_after));
    assert_eq!((ours.since, ours.until), told);
    let common = ObjectIdentifier::from_bytes(&COMMON_NAME).expect("an object");
    let pairs = signed.subject.0.iter().flat_map(|one| one.0.iter());
    let common: Vec<_> = pairs.filter(|pair| pair.oid == common).collect();
    let cn = match common[..] {
        [one] if TEXTS.contains(&u8::from(x509_cert::der::Tagged::tag(&one.value))) => {
            plain(one.value.value())
        }
        _ => None,
    };
    assert_eq!(ours.cn, cn);
    let mut told = ClientCertificate::default();
    let object = ObjectIdentifier::from_bytes(&ALTERNATIVES).expect("an object");
    for extension in signed.extensions.iter().flatten().filter(|one| one.extn_id == object) {
        let Ok(names) = SubjectAltName::from_der(extension.extn_value.as_bytes()) else { return };
        for name in names.0 {
            match name {
                GeneralName::Rfc822Name(name) => note(&mut told.email, name.as_bytes()),
                GeneralName::DnsName(name) => note(&mut told.dns, name.as_bytes()),
                GeneralName::UniformResourceIdentifier(name) => {
                    note(&mut told.uri, name.as_bytes())
                }
                _ => {}
            }
        }
    }
    assert_eq!((&ours.email, &ours.dns, &ours.uri), (&told.email, &told.dns, &told.uri));
}

fn note(names: &mut Vec<String>, name: &[u8]) {
    if names.len() < NAMES_MAX {
        names.extend(plain(name));
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && !name.chars().any(char::is_control)
}

fn plain(name: &[u8]) -> Option<String> {
    let text = String::from_utf8(name.to_vec()).ok()?;
    is_plain(&text).then_some(text)
}

/// One value of DER.
fn der(tag: u8, inside: &[u8]) -> Vec<u8> {
    let length = inside.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        0x100..=0xffff => out.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => out.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    out.extend(inside);
    out
}

/// The same bytes with lengths that are right, so that what was put in or taken out reaches whoever is strict.
fn mended(mut bytes: &[u8], depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while let [tag, first, rest @ ..] = bytes {
        let wide = if *first > 0x80 { usize::from(first & 0x7f).min(rest.len()).min(4) } else { 0 };
        let told = rest[..wide].iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let told = if *first > 0x80 { told } else { usize::from(*first) };
        let (inside, more) = rest[wide..].split_at(told.min(rest.len() - wide));
        let is_nested = tag & 0x20 != 0 || (*tag == 0x04 && inside.first() == Some(&0x30));
        if is_nested && depth < DEPTH_MAX {
            out.extend(der(*tag, &mended(inside, depth + 1)));
        } else {
            out.extend(der(*tag, inside));
        }
        bytes = more;
    }
    out
}

impl Paper {
    fn names_bytes(&self) -> usize {
        let all = self.extensions.iter().flatten().filter_map(|extension| match extension {
            Extension::Names { names, .. } => Some(names),
            Extension::Other(_) => None,
        });
        let one = |(_, count, text): &(u8, u8, Text)| {
            (usize::from(*count) + 1) * (text.bytes().len() + 2)
        };
        all.flatten().map(one).sum()
    }

    /// Its bytes, and what is in them where that is known: the inner `None` is that nothing is read.
    fn write(&self) -> (Vec<u8>, Option<Option<ClientCertificate>>) {
        let algorithm =
            der(0x30, &der(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]));
        let bits = der(0x03, &[0, 1, 2, 3]);
        let mut signed = Vec::new();
        if self.has_version {
            signed.extend(der(0xa0, &der(0x02, &[2])));
        }
        signed.extend(der(0x02, &[1]));
        signed.extend(&algorithm);
        signed.extend(der(0x30, &[]));
        signed.extend(der(0x30, &[self.since.write(), self.until.write()].concat()));
        let subject = self
            .subject
            .iter()
            .map(|set| der(0x31, &set.iter().flat_map(Attribute::write).collect::<Vec<u8>>()));
        signed.extend(der(0x30, &subject.flatten().collect::<Vec<u8>>()));
        signed.extend(der(0x30, &[algorithm.clone(), bits.clone()].concat()));
        if self.has_ids {
            signed.extend([der(0x81, &[0, 9]), der(0x82, &[0, 9])].concat());
        }
        if let Some(extensions) = &self.extensions {
            let all: Vec<u8> = extensions.iter().flat_map(Extension::write).collect();
            signed.extend(der(0xa3, &der(0x30, &all)));
        }
        let inside = [der(0x30, &signed), algorithm, bits].concat();
        let whole = [der(0x30, &inside), self.behind.clone()].concat();
        let expected = if inside.len() > VALUE_MAX_BYTES { Some(None) } else { self.said() };
        (whole, expected)
    }

    fn said(&self) -> Option<Option<ClientCertificate>> {
        let (since, until) = (self.since.seconds()?, self.until.seconds()?);
        let (Some(since), Some(until)) = (since, until) else { return Some(None) };
        let mut said = ClientCertificate { since, until, ..ClientCertificate::default() };
        let common: Vec<_> =
            self.subject.iter().flatten().filter(|one| one.is_common_name).collect();
        if let [one] = common[..] {
            said.cn = plain(&one.text.bytes()).filter(|_| TEXTS.contains(&one.tag));
        }
        for extension in self.extensions.iter().flatten() {
            let Extension::Names { names, .. } = extension else { continue };
            for (kind, count, text) in names {
                for _ in 0..=*count {
                    match kind_tag(*kind) {
                        0x81 => note(&mut said.email, &text.bytes()),
                        0x82 => note(&mut said.dns, &text.bytes()),
                        0x86 => note(&mut said.uri, &text.bytes()),
                        _ => {}
                    }
                }
            }
        }
        Some(Some(said))
    }
}

/// Kinds of names, as they are tagged.
fn kind_tag(kind: u8) -> u8 {
    [0x81, 0x82, 0x86, 0x87, 0xa4, 0x88][usize::from(kind) % 6]
}

impl Attribute {
    fn write(&self) -> Vec<u8> {
        let object = if self.is_common_name { COMMON_NAME } else { [0x55, 0x04, 0x0a] };
        der(0x30, &[der(0x06, &object), der(self.tag, &self.text.bytes())].concat())
    }
}

impl Extension {
    fn write(&self) -> Vec<u8> {
        match self {
            Self::Other(bytes) => {
                der(0x30, &[der(0x06, &[0x55, 0x1d, 0x0e]), der(0x04, bytes)].concat())
            }
            Self::Names { says_critical, names } => {
                let one = |(kind, count, text): &(u8, u8, Text)| {
                    der(kind_tag(*kind), &text.bytes()).repeat(usize::from(*count) + 1)
                };
                let all: Vec<u8> = names.iter().flat_map(one).collect();
                let critical = if *says_critical { der(0x01, &[0xff]) } else { Vec::new() };
                let object = der(0x06, &ALTERNATIVES);
                der(0x30, &[object, critical, der(0x04, &der(0x30, &all))].concat())
            }
        }
    }
}

impl Text {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Typed(text) => text.clone().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Long(byte, count) => vec![*byte; usize::from(*count) % (2 * NAME_MAX_BYTES)],
        }
    }
}

impl Moment {
    fn parts(is_long: bool, year: u16, rest: [u8; 5]) -> (i64, [i64; 5]) {
        let year = i64::from(year) % 10_000;
        let [month, day, hour, minute, second] = rest.map(i64::from);
        let year = if is_long { year } else { 1950 + year % 100 };
        (year, [1 + month % 12, 1 + day % 31, hour % 24, minute % 60, second % 60])
    }

    fn write(&self) -> Vec<u8> {
        match self {
            Self::At(is_long, year, rest) => {
                let (year, [month, day, hour, minute, second]) =
                    Self::parts(*is_long, *year, *rest);
                let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
                if *is_long {
                    der(0x18, format!("{year:04}{rest}").as_bytes())
                } else {
                    der(0x17, format!("{:02}{rest}", year % 100).as_bytes())
                }
            }
            Self::Text(tag, text) => der(*tag, text.as_bytes()),
        }
    }

    /// In seconds since 1970; the inner `None` is no day of a calendar, the outer what is for the rule alone to judge.
    fn seconds(&self) -> Option<Option<i64>> {
        let Self::At(is_long, year, rest) = self else { return None };
        let (year, [month, day, hour, minute, second]) = Self::parts(*is_long, *year, *rest);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let month = usize::try_from(month - 1).expect("a month");
        if day > lengths[month] {
            return Some(None);
        }
        // Days before a year, by its leap days from the year 1 on.
        let before = |year: i64| {
            let last = year - 1;
            365 * last + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
        };
        let days = before(year) - before(1970) + lengths[..month].iter().sum::<i64>() + day - 1;
        Some(Some(((days * 24 + hour) * 60 + minute) * 60 + second))
    }
}
