//! Certificates that providers sign with. In: an address and the hosts it may be at; the certificate as PEM. Out:
//! whether it may be fetched at all, and its public key. Fetches nothing.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::fault::Fault;

/// Whether a certificate may be fetched from there: https, the usual port, no login, a `.pem` where SNS keeps them, and
/// a host of the list.
///
/// # Errors
/// [`Fault::CertificateAddress`]: it may not.
pub(super) fn check_address(address: &str, hosts: &[String]) -> Result<(), Fault> {
    let refused = || Fault::CertificateAddress(hosts.join(", "));
    let rest = address.strip_prefix("https://").ok_or_else(refused)?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let known = host.chars().all(plain) && hosts.iter().any(|known| is_host(host, known));
    let regional = hosts.iter().any(|known| known.contains("{region}"));
    let kept = !regional || (is_pem(path) && !path.contains(['?', '#']));
    if known && kept && path.starts_with('/') { Ok(()) } else { Err(refused()) }
}

fn is_pem(path: &str) -> bool {
    path.as_bytes().ends_with(b".pem")
}

fn is_host(host: &str, known: &str) -> bool {
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

/// The public key of a certificate.
///
/// # Errors
/// [`Fault::Certificate`]: it is none.
pub(super) fn public_key(pem: &[u8]) -> Result<Vec<u8>, Fault> {
    let unreadable = || Fault::Certificate("cannot be read");
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| unreadable())?;
    let certificate = webpki::EndEntityCert::try_from(&der).map_err(|_| unreadable())?;
    Ok(certificate.subject_public_key_info().as_ref().to_vec())
}
