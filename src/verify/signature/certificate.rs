//! Certificates that providers sign with. In: an address and the hosts it may be at; the certificate as PEM. Out:
//! whether it may be fetched at all, its public key, and whether it counts. Fetches nothing.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::fault::Fault;
use super::scheme::Certificate;
use crate::verify::certificate::{Term, read_pem, term};

/// Longest path of a certificate's address.
const PATH_MAX_BYTES: usize = 256;
/// Most names of a certificate that are looked at.
const NAMES_MAX: usize = 100;

/// A certificate that was fetched. It comes over TLS from a host that its provider pins; beside that, it must be for
/// one of the provider's names and count now. Providers serve it without those that signed it: no chain is asked for.
pub(super) struct Read {
    key: Vec<u8>,
    names: Vec<String>,
    term: Term,
}

/// Whether a certificate may be fetched from there: [`path`], one that begins and ends as it should.
///
/// # Errors
/// [`Fault::CertificateAddress`]: it may not.
pub(super) fn check_address(address: &str, wanted: &Certificate) -> Result<(), Fault> {
    let Certificate { hosts, root, end, .. } = wanted;
    let fits = |path: &str| path.starts_with(root.as_str()) && path.ends_with(end.as_str());
    match path(address, hosts) {
        Some(path) if fits(path) => Ok(()),
        _ => Err(Fault::CertificateAddress(hosts.join(", "))),
    }
}

/// The path of an address that may be asked: https, a host of the list, the usual port, no login, no query, and nothing
/// in the path that somebody could read otherwise.
pub(super) fn path<'a>(address: &'a str, hosts: &[String]) -> Option<&'a str> {
    let rest = address.strip_prefix("https://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let known = host.chars().all(plain) && hosts.iter().any(|known| is_host(host, known));
    let kept = path.chars().all(|c| plain(c) || c == '/') && !path.contains("..");
    (known && kept && path.len() <= PATH_MAX_BYTES).then_some(path)
}

pub(super) fn is_host(host: &str, known: &str) -> bool {
    let host = host.to_ascii_lowercase();
    if let Some(domain) = known.strip_prefix("*.") {
        let name = host.strip_suffix(domain).and_then(|name| name.strip_suffix('.'));
        return name.is_some_and(|name| !name.is_empty() && !name.starts_with('.'));
    }
    match known.split_once("{region}") {
        Some((before, after)) => {
            let region = host.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            region.is_some_and(is_region)
        }
        None => host == known,
    }
}

/// `us-east-1`, `us-gov-west-1`: two letters, words, a number.
fn is_region(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let Some((number, words)) = parts.split_last() else { return false };
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numbered && words.len() >= 2 && words[0].len() == 2 && words.iter().all(word)
}

impl Certificate {
    /// An address that its provider might keep it at, and does not.
    pub(super) fn example(&self) -> String {
        let host = self.hosts.first().map(String::as_str).unwrap_or_default();
        let host = host.replace("{region}", "us-east-1");
        format!("https://{host}{}signed-here{}", self.root, self.end)
    }
}

/// The public key of a certificate.
///
/// # Errors
/// [`Fault::Certificate`]: it is none.
pub(super) fn public_key(pem: &[u8]) -> Result<Vec<u8>, Fault> {
    Ok(read(pem)?.key)
}

/// Reads the first certificate of a PEM text.
///
/// # Errors
/// [`Fault::Certificate`]: there is none.
pub(super) fn read(pem: &[u8]) -> Result<Read, Fault> {
    let unreadable = || Fault::Certificate("cannot be read");
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| unreadable())?;
    let certificate = webpki::EndEntityCert::try_from(&der).map_err(|_| unreadable())?;
    let term = term(&der).ok_or_else(unreadable)?;
    let names = certificate.valid_dns_names().take(NAMES_MAX).map(str::to_ascii_lowercase);
    let names = names.collect();
    let key = certificate.subject_public_key_info().as_ref().to_vec();
    Ok(Read { key, names, term })
}

impl Read {
    /// The same, called by its subject where it has no other name: old ones have none.
    pub(super) fn or_by_subject(mut self, pem: &[u8]) -> Self {
        if self.names.is_empty() {
            let name = read_pem(pem).and_then(|read| read.cn);
            self.names.extend(name.map(|name| name.to_ascii_lowercase()));
        }
        self
    }

    /// Its key, if it is for one of those names and counts at that moment.
    ///
    /// # Errors
    /// [`Fault::Certificate`]: what speaks against it.
    pub(super) fn public_key(&self, wanted: &[String], now: Option<i64>) -> Result<&[u8], Fault> {
        if now.is_some_and(|now| !self.term.holds(now)) {
            return Err(Fault::Certificate("does not count now"));
        }
        let is_for = |name: &String| wanted.iter().any(|wanted| is_host(name, wanted));
        if !wanted.is_empty() && !self.names.iter().any(is_for) {
            return Err(Fault::Certificate("is for other names"));
        }
        Ok(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNS: &[u8] = include_bytes!("../../../tests/data/fetched/sns.pem");
    const ENDED: &[u8] = include_bytes!("../../../tests/data/fetched/ended.pem");

    #[test]
    fn a_certificate_counts_for_its_names_and_in_its_term() {
        let names =
            ["sns-signing.{region}.amazonaws.com".to_owned(), "sns.amazonaws.com".to_owned()];
        let certificate = read(SNS).expect("a certificate");
        let at = |text: &str| Some(text.parse::<jiff::Timestamp>().expect("a moment").as_second());
        let (start, end) = (at("2020-01-01T00:00:00Z"), at("2120-01-01T00:00:00Z"));
        for (now, counts) in [
            (start, true),
            (start.map(|start| start - 1), false),
            (end, true),
            (end.map(|end| end + 1), false),
            (None, true),
        ] {
            assert_eq!(certificate.public_key(&names, now).is_ok(), counts, "{now:?}");
        }
        assert!(certificate.public_key(&["*.amazonaws.com".to_owned()], start).is_ok());
        assert!(certificate.public_key(&["sns.example.com".to_owned()], start).is_err());
        let ended = read(ENDED).expect("a certificate");
        assert_eq!(Some(ended.term.until), at("2021-01-01T00:00:00Z"));
    }
}
