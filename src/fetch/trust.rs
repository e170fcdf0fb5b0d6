//! Whom the gateway trusts when it asks somebody over TLS. In: the machine's certificate authorities, and a file of
//! more. Out: a client's side of TLS, which always checks whom it speaks to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::FetchFault;

/// The machine's authorities are not read again before.
const ROOTS_FRESH: Duration = Duration::from_mins(1);

/// The machine's certificate authorities, or those of the file that `SSL_CERT_FILE` names; read anew after a while, and
/// shared by all until then: thousands of destinations have the same. `None`: there are none.
#[must_use]
pub fn machine_roots() -> Option<Arc<RootCertStore>> {
    static READ: Mutex<Option<(Instant, Arc<RootCertStore>)>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, roots)) = read.as_ref().filter(|(since, _)| since.elapsed() < ROOTS_FRESH) {
        return Some(Arc::clone(roots));
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        return None;
    }
    let roots = Arc::new(roots);
    *read = Some((Instant::now(), Arc::clone(&roots)));
    Some(roots)
}

/// A client that trusts the machine's authorities, and those of the file.
pub(super) fn client(more: Option<&PathBuf>) -> Result<ClientConfig, FetchFault> {
    let mut roots = machine_roots().unwrap_or_else(|| Arc::new(RootCertStore::empty()));
    if let Some(path) = more {
        let all = Arc::make_mut(&mut roots);
        let unread = |path: &Path, why: String| FetchFault::File { path: path.to_owned(), why };
        let found = CertificateDer::pem_file_iter(path);
        for certificate in found.map_err(|fault| unread(path, fault.to_string()))? {
            let certificate = certificate.map_err(|fault| unread(path, fault.to_string()))?;
            all.add(certificate).map_err(|fault| unread(path, fault.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(FetchFault::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| FetchFault::Tls(fault.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
