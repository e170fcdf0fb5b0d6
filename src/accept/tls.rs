//! TLS for listeners. In: PEM files. Out: an acceptor that uses them as they are now: changed files are read again, and
//! bad ones leave the last good ones in use. Never a key in a message.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::AcceptError;
use super::options::TlsFiles;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// Certificate and key in use.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    looked: Instant,
    stamps: [Option<(SystemTime, u64)>; 2],
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(files: TlsFiles) -> Result<Self, AcceptError> {
        let stamps = stamps(&files);
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Self { files, current, seen: Mutex::new(Seen { looked: Instant::now(), stamps }) })
    }

    /// For one more connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.refresh(Instant::now());
        TlsAcceptor::from(self.current.load_full())
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
            Ok(config) => {
                self.current.store(Arc::new(config));
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the changed TLS certificate is bad: the last stays in use");
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> [Option<(SystemTime, u64)>; 2] {
    let stamp = |path: &Path| {
        let facts = fs::metadata(path).ok()?;
        Some((facts.modified().ok()?, facts.len()))
    };
    [stamp(&files.certificate), stamp(&files.key)]
}

fn read(files: &TlsFiles) -> Result<ServerConfig, AcceptError> {
    let bad = |path: &Path, reason: &dyn std::fmt::Display| AcceptError::Tls {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| bad(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_certificate_is_read_again_and_a_bad_one_is_not_used() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let folder = std::env::temp_dir().join(format!("hookgate-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let files =
            TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        let lay = || {
            fs::copy(kept.join("certificate.pem"), &files.certificate).expect("a copy");
            fs::copy(kept.join("key.pem"), &files.key).expect("a copy");
        };
        lay();
        let tls = Tls::load(files.clone()).expect("good files");
        let (start, first) = (Instant::now(), tls.current.load_full());
        let later = |seconds| start + Duration::from_secs(seconds);
        fs::write(&files.certificate, "no certificate").expect("a write");
        tls.refresh(later(1));
        tls.refresh(later(3));
        assert!(Arc::ptr_eq(&first, &tls.current.load_full()), "the last good one stays");
        assert!(matches!(Tls::load(files.clone()), Err(AcceptError::Tls { .. })));
        lay();
        tls.refresh(later(6));
        assert!(!Arc::ptr_eq(&first, &tls.current.load_full()), "the new one is in use");
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}
