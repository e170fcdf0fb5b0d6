//! What is odd about certificates: our own near its end, lists of revoked ones past theirs, and webhooks that wait for
//! some that nobody is asked for. In: settings, the names of webhooks. Out: findings.

use std::path::Path;

use super::records::listed;
use super::{Findings, Severity};
use crate::accept::{lists_term, own_term};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Several;
use crate::verify::certificate::Standing;

/// The certificate that clients are shown.
pub(super) fn own(config: &Config, findings: &mut Findings) {
    let now = Clock::System.now().micros().div_euclid(1_000_000);
    if let Some(path) = &config.server.tls_certificate {
        own_at(path, now, findings);
    }
    if let Some(path) = &config.server.tls_client_crl {
        lists_at(path, now, findings);
    }
}

/// Lists of certificates that the authorities of senders revoked.
fn lists_at(path: &Path, now: i64, findings: &mut Findings) {
    match lists_term(path).map(|term| term.standing(now)) {
        Err(fault) => findings.add(
            (Severity::Error, "revocation-list"),
            fault.to_string(),
            "a gateway does not start without the lists that its settings name",
            "name a file that is there, or run this as the gateway's user",
        ),
        Ok(standing @ Standing::Ended(_)) => findings.add(
            (Severity::Warning, "revocation-list-ended"),
            format!("server.tls_client_crl {}: a list in it {standing}", path.display()),
            "it counts on, but who was revoked since then is taken as before",
            "put the newest lists in its place: they are read again without a restart",
        ),
        Ok(_) => {}
    }
}

fn own_at(path: &Path, now: i64, findings: &mut Findings) {
    let standing = match own_term(path) {
        Ok(term) => term.standing(now),
        Err(fault) => {
            return findings.add(
                (Severity::Error, "tls-certificate"),
                fault.to_string(),
                "a gateway does not start without the certificate that its settings name",
                "name a file that is there, or run this as the gateway's user",
            );
        }
    };
    let (severity, name, why) = match standing {
        Standing::Good => return,
        Standing::Early(_) => {
            (Severity::Error, "certificate-early", "senders refuse a certificate before it begins")
        }
        Standing::EndsSoon(_) => (
            Severity::Warning,
            "certificate-ends-soon",
            "senders refuse a certificate that ended, and few of them send again for long",
        ),
        Standing::Ended(_) => {
            (Severity::Error, "certificate-ended", "senders refuse a certificate that ended")
        }
    };
    findings.add(
        (severity, name),
        format!("server.tls_certificate {} {standing}", path.display()),
        why,
        "put a new one in its place: it is read again without a restart",
    );
}

/// Tells providers whose senders are known by their certificates.
pub(super) fn demanded(config: &Config) -> impl Fn(&str) -> bool {
    let providers = config.providers().ok();
    move |name| {
        let found = providers.as_ref().and_then(|providers| providers.find(name).ok());
        found.is_some_and(|provider| provider.is_certified())
    }
}

/// Webhooks that take only senders with certificates, where nobody is asked for one.
pub(super) fn unasked(config: &Config, demanding: &Several, findings: &mut Findings) {
    if demanding.count > 0 && config.server.tls_client_ca.is_none() {
        findings.add(
            (Severity::Error, "no-client-ca"),
            format!("webhooks that demand client certificates: {}", listed(demanding)),
            "server.tls_client_ca is not set: no sender is asked for a certificate, and each is refused",
            "set server.tls_client_ca to the authorities of their certificates",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_near_is_named() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls/expired.pem");
        // It counts from 2020-01-01 to 2020-02-01.
        for (now, found) in [
            (1_577_836_799, Some("error certificate-early begins in 1 day")),
            (1_577_836_800 + 86_400, None),
            (1_577_836_800 + 2 * 86_400, Some("warning certificate-ends-soon ends in 29 days")),
            (1_580_515_200 + 86_400, Some("error certificate-ended ended 1 day ago")),
        ] {
            let mut findings = Findings::default();
            own_at(&path, now, &mut findings);
            let told = findings.0.first().map(|found| {
                let end = found.what.rsplit_once(".pem ").map_or("", |(_, end)| end);
                format!("{} {} {end}", found.severity.name(), found.name)
            });
            assert_eq!(told.as_deref(), found, "{now}");
        }
        let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mtls");
        for (file, now, found) in [
            ("old.crl", 1_609_459_200, None),
            ("old.crl", 1_609_459_201, Some("revocation-list-ended")),
            ("none.crl", 1_609_459_201, None),
            ("ca.pem", 0, Some("revocation-list")),
            ("nothing.crl", 0, Some("revocation-list")),
        ] {
            let mut findings = Findings::default();
            lists_at(&lists.join(file), now, &mut findings);
            assert_eq!(findings.0.first().map(|found| found.name), found, "{file} {now}");
        }
        let mut findings = Findings::default();
        own_at(Path::new("/nowhere.pem"), 0, &mut findings);
        assert_eq!(findings.0[0].name, "tls-certificate");
    }
}
