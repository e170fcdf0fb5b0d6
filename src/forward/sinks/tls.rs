//! How servers are trusted. In: the machine's certificate authorities. Out: a client's side of TLS, which always checks
//! whom it speaks to.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::forward::ForwardError;

/// The machine's certificate authorities, or those of the file that `SSL_CERT_FILE` names.
pub(super) fn roots() -> Result<RootCertStore, ForwardError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 { Err(ForwardError::NoRoots) } else { Ok(roots) }
}

/// A client that trusts these.
pub(super) fn client(roots: RootCertStore) -> Result<ClientConfig, ForwardError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| ForwardError::Tls(fault.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
