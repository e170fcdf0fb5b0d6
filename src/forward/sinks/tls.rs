//! How servers are trusted. In: the machine's certificate authorities, or a file of them, and what proves who calls.
//! Out: a client's side of TLS, which always checks whom it speaks to.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::fetch::machine_roots;
use crate::forward::ForwardError;
use crate::forward::options::TlsFiles;

/// A client that trusts the file's authorities, or else the machine's, and shows its own certificate if it has one.
pub(super) fn client(files: &TlsFiles) -> Result<ClientConfig, ForwardError> {
    let roots = match &files.authorities {
        Some(path) => Arc::new(read_roots(path)?),
        None => machine_roots().ok_or(ForwardError::NoRoots)?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| ForwardError::Tls(fault.to_string()))?
        .with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = read_certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|fault| unread(key, &fault))?;
    builder.with_client_auth_cert(chain, secret).map_err(|fault| unread(certificate, &fault))
}

/// A client that trusts nobody: for addresses that need no TLS, on a machine that may have no authorities.
pub(super) fn distrustful() -> Result<ClientConfig, ForwardError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| ForwardError::Tls(fault.to_string()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn read_roots(path: &Path) -> Result<RootCertStore, ForwardError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|fault| unread(path, &fault))?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ForwardError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|fault| unread(path, &fault))?;
    let chain: Result<Vec<_>, _> = found.collect();
    let chain = chain.map_err(|fault| unread(path, &fault))?;
    if chain.is_empty() { Err(unread(path, &"holds no certificate in PEM")) } else { Ok(chain) }
}

fn unread(path: &Path, why: &dyn std::fmt::Display) -> ForwardError {
    ForwardError::File { path: path.to_owned(), why: why.to_string() }
}
