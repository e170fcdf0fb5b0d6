//! TLS for listeners. In: PEM files. Out: an acceptor that uses them as they are now: changed files are read again, and
//! bad ones leave the last good ones in use; what a client's certificate says, and when our own, or a list of revoked
//! ones, ends. Never a key in a message.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::AcceptError;
use super::ledger::Ledger;
use super::options::TlsFiles;
use crate::clock::Time;
use crate::request::ClientCertificate;
use crate::verify::certificate::{Standing, Term, list_term, read as read_names, term};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);
/// Between two words of one certificate.
const WORD_SECONDS: i64 = 86_400;

/// Certificate and key in use.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Seen>,
    ledger: Arc<Ledger>,
}

/// When and how a file was written.
type Stamp = Option<(SystemTime, u64)>;

#[derive(Debug)]
struct Seen {
    looked: Instant,
    stamps: [Stamp; 4],
    terms: Terms,
    /// When it was said last that the certificate ends soon or counts not now, in seconds since 1970.
    said: Option<i64>,
    /// The same of lists of revoked ones.
    said_of_lists: Option<i64>,
}

/// How long what was read counts.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    /// The certificate that is shown.
    own: Option<Term>,
    /// Of the lists of revoked ones, that which is followed by another first.
    lists: Option<Term>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(files: TlsFiles, ledger: Arc<Ledger>) -> Result<Self, AcceptError> {
        let stamps = stamps(&files);
        let (config, terms) = read(&files)?;
        let looked = Instant::now();
        let seen = Mutex::new(Seen { looked, stamps, terms, said: None, said_of_lists: None });
        let tls = Self { files, current: ArcSwap::from_pointee(config), seen, ledger };
        tls.tell(terms.own);
        Ok(tls)
    }

    /// For one more connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.refresh(Instant::now());
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again when they changed, and says what is odd about the certificate's term.
    pub(super) fn mind(&self, now: Instant, time: Time) {
        self.refresh(now);
        for word in [self.word(time), self.word_of_lists(time)].into_iter().flatten() {
            tracing::warn!("{word}");
        }
    }

    /// What is to be said of lists of revoked certificates that are too old: as often.
    fn word_of_lists(&self, time: Time) -> Option<String> {
        let now = time.micros().div_euclid(1_000_000);
        let mut seen = self.seen.lock().expect("nothing panics under this lock");
        if seen.said_of_lists.is_some_and(|said| (said..said + WORD_SECONDS).contains(&now)) {
            return None;
        }
        let path = self.files.client_crl.as_ref()?.display();
        // The next one comes at the end of its term: that it is near is no news.
        let standing = seen.terms.lists?.standing(now);
        if !matches!(standing, Standing::Ended(_)) {
            return None;
        }
        seen.said_of_lists = Some(now);
        Some(format!(
            "a list of revoked certificates in {path} {standing}, and no newer one is there"
        ))
    }

    /// What is to be said of the certificate: when it was read, and once a day from then on.
    fn word(&self, time: Time) -> Option<String> {
        let now = time.micros().div_euclid(1_000_000);
        let mut seen = self.seen.lock().expect("nothing panics under this lock");
        if seen.said.is_some_and(|said| (said..said + WORD_SECONDS).contains(&now)) {
            return None;
        }
        let path = self.files.certificate.display();
        let word = match seen.terms.own?.standing(now) {
            Standing::Good => return None,
            standing => format!("the TLS certificate {path} {standing}"),
        };
        seen.said = Some(now);
        Some(word)
    }

    fn tell(&self, term: Option<Term>) {
        if let Some(term) = term {
            self.ledger.certificate_ends(term.until);
        }
    }

    /// Reads the files again when they changed and the last look was a while ago.
    fn refresh(&self, now: Instant) {
        let Ok(mut seen) = self.seen.try_lock() else { return };
        if now.saturating_duration_since(seen.looked) < LOOK {
            return;
        }
        seen.looked = now;
        let stamps = stamps(&self.files);
        if stamps == seen.stamps {
            return;
        }
        seen.stamps = stamps;
        match read(&self.files) {
            Ok((config, terms)) => {
                // What was agreed under the former authorities is not resumed: it is part of the former settings.
                self.current.store(Arc::new(config));
                (seen.terms, seen.said, seen.said_of_lists) = (terms, None, None);
                self.tell(terms.own);
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the changed TLS certificate is bad: the last stays in use");
            }
        }
    }
}

/// What the other end showed for itself; that an authority vouches for it was found in the handshake.
pub(super) fn shown(connection: &ServerConnection) -> Option<Arc<ClientCertificate>> {
    let own = connection.peer_certificates()?.first()?;
    let read = read_names(own);
    if read.is_none() {
        tracing::debug!("a client certificate was not understood");
    }
    read.map(Arc::new)
}

/// From and until when the first certificate of a PEM file counts: the one that is shown to clients.
///
/// # Errors
/// [`AcceptError::Tls`]: it cannot be read.
pub fn own_term(path: &Path) -> Result<Term, AcceptError> {
    let own = CertificateDer::from_pem_file(path).map_err(|error| bad(path, &error))?;
    term(&own).ok_or_else(|| bad(path, &"it is no certificate"))
}

/// The term of the list of a PEM file which is followed by another first.
///
/// # Errors
/// [`AcceptError::Tls`]: it has none, or they cannot be read.
pub fn lists_term(path: &Path) -> Result<Term, AcceptError> {
    let terms = lists(path)?.iter().map(|list| list_term(list)).collect::<Option<Vec<_>>>();
    let first = terms.and_then(|terms| terms.into_iter().min_by_key(|term| term.until));
    first.ok_or_else(|| bad(path, &"a list of revoked certificates has no term"))
}

/// Lists of revoked certificates.
fn lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, AcceptError> {
    let lists = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(path, &error))?;
    if lists.is_empty() {
        // With none, everything would be taken that is on them.
        return Err(bad(path, &"no list of revoked certificates is in it"));
    }
    Ok(lists)
}

fn bad(path: &Path, reason: &dyn std::fmt::Display) -> AcceptError {
    AcceptError::Tls { path: path.to_owned(), reason: reason.to_string() }
}

fn stamps(files: &TlsFiles) -> [Stamp; 4] {
    let stamp = |path: &Path| {
        let facts = fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    };
    let [authorities, lists] =
        [&files.client_ca, &files.client_crl].map(|file| file.as_deref().and_then(stamp));
    [stamp(&files.certificate), stamp(&files.key), authorities, lists]
}

/// What the files say, and how long it counts.
fn read(files: &TlsFiles) -> Result<(ServerConfig, Terms), AcceptError> {
    let chain = certificates(&files.certificate)?;
    let lists = files.client_crl.as_deref().map(lists_term).transpose()?;
    let terms = Terms { own: chain.first().and_then(|own| term(own)), lists };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = match &files.client_ca {
        Some(path) => authorities(path, files.client_crl.as_deref(), &provider)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_client_cert_verifier(verifier))
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| bad(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, terms))
}

/// Asks for a certificate, and takes none as well as one that these authorities vouch for; no other, and none that they
/// revoked. Where there are lists, each authority of a chain needs one: what none says is not known to be good.
fn authorities(
    path: &Path,
    revoked: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, AcceptError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, &error))?;
    }
    let lists = revoked.map(lists).transpose()?.unwrap_or_default();
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(lists)
        .allow_unauthenticated()
        .build();
    built.map_err(|error| match (&error, revoked) {
        (VerifierBuilderError::InvalidCrl(_), Some(revoked)) => bad(revoked, &error),
        _ => bad(path, &error),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AcceptError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;
    use crate::telemetry::accept::Facts;

    #[test]
    fn a_changed_certificate_is_read_again_and_a_bad_one_is_not_used() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let folder = std::env::temp_dir().join(format!("hookgate-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let files =
            TlsFiles { certificate, key, client_ca: Some(folder.join("ca.pem")), client_crl: None };
        let lay = || {
            fs::copy(kept.join("certificate.pem"), &files.certificate).expect("a copy");
            fs::copy(kept.join("key.pem"), &files.key).expect("a copy");
            fs::copy(kept.join("stranger.pem"), folder.join("ca.pem")).expect("a copy");
        };
        lay();
        let tls = Tls::load(files.clone(), ledger()).expect("good files");
        let (start, first) = (Instant::now(), tls.current.load_full());
        let later = |seconds| start + Duration::from_secs(seconds);
        fs::write(&files.certificate, "no certificate").expect("a write");
        tls.refresh(later(1));
        tls.refresh(later(3));
        assert!(Arc::ptr_eq(&first, &tls.current.load_full()), "the last good one stays");
        assert!(matches!(Tls::load(files.clone(), ledger()), Err(AcceptError::Tls { .. })));
        let no_list = TlsFiles { client_crl: files.client_ca.clone(), ..files.clone() };
        assert!(matches!(Tls::load(no_list, ledger()), Err(AcceptError::Tls { .. })));
        lay();
        tls.refresh(later(6));
        assert!(!Arc::ptr_eq(&first, &tls.current.load_full()), "the new one is in use");
        let second = tls.current.load_full();
        fs::write(folder.join("ca.pem"), "").expect("a write");
        tls.refresh(later(9));
        assert!(Arc::ptr_eq(&second, &tls.current.load_full()), "no authority is none to ask");
        fs::copy(kept.join("certificate.pem"), folder.join("ca.pem")).expect("a copy");
        tls.refresh(later(12));
        assert!(!Arc::ptr_eq(&second, &tls.current.load_full()), "authorities are read again");
        fs::remove_dir_all(&folder).expect("the folder goes");
    }

    fn ledger() -> Arc<Ledger> {
        Arc::new(Ledger::new(Facts::register(&Telemetry::new())))
    }

    #[test]
    fn an_end_that_is_near_is_said_when_it_is_read_and_once_a_day() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let folder = std::env::temp_dir().join(format!("hookgate-term-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (certificate, key) = (folder.join("certificate.pem"), kept.join("key.pem"));
        let client_crl = Some(kept.join("../mtls/old.crl"));
        let client_ca = Some(kept.join("../mtls/ca.pem"));
        let files = TlsFiles { certificate: certificate.clone(), key, client_ca, client_crl };
        fs::copy(kept.join("expired.pem"), &certificate).expect("a copy");
        assert_eq!(own_term(&certificate).expect("a term").until, 1_580_515_200);
        let telemetry = Telemetry::new();
        let ledger = Arc::new(Ledger::new(Facts::register(&telemetry)));
        let tls = Tls::load(files, ledger).expect("good files");
        let name = "hookgate_tls_certificate_not_after_seconds";
        assert!(telemetry.print().contains(&format!("{name} 1580515200")));
        let lists = |text: &str| tls.word_of_lists(Time::parse(text).expect("a moment"));
        assert_eq!(lists("2020-12-31T00:00:00Z"), None, "the next one comes when it is over");
        let said = lists("2021-01-03T00:00:00Z").expect("a word");
        assert!(said.contains("old.crl ended 2 days ago, and no newer"), "{said}");
        assert_eq!(lists("2021-01-03T23:59:59Z"), None, "said today");
        assert!(lists("2021-01-04T00:00:00Z").is_some());
        let word = |text: &str| tls.word(Time::parse(text).expect("a moment"));
        assert_eq!(word("2020-01-02T00:00:00Z"), None, "thirty days are left");
        let said = word("2020-01-30T00:00:00Z").expect("a word");
        assert!(said.ends_with("certificate.pem ends in 2 days"), "{said}");
        assert_eq!(word("2020-01-30T23:59:59Z"), None, "said today");
        let said = word("2020-01-31T00:00:00Z").expect("a word");
        assert!(said.ends_with("ends in 1 day"), "{said}");
        let said = word("2020-02-03T00:00:00Z").expect("a word");
        assert!(said.contains("ended 2 days ago"), "{said}");
        fs::copy(kept.join("certificate.pem"), &certificate).expect("a copy");
        tls.refresh(Instant::now() + Duration::from_secs(3));
        assert_eq!(word("2027-01-01T00:00:00Z"), None, "the new one counts");
        let said = word("2026-11-23T00:00:00Z").expect("a word");
        assert!(said.ends_with("begins in 2 days"), "{said}");
        assert!(!telemetry.print().contains("1580515200"), "the metric is of the new one");
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}
