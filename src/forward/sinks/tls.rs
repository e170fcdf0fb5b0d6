//! How servers are trusted. In: the machine's certificate authorities, or others by name, and what proves who calls.
//! Out: a client's side of TLS, which always checks whom it speaks to.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::fetch::machine_roots;
use crate::forward::ForwardError;
use crate::forward::options::TlsPapers;
use crate::forward::paper::Paper;

/// A client that trusts the named authorities, or else the machine's, and shows its own certificate if it has one.
pub(super) fn client(papers: &TlsPapers) -> Result<ClientConfig, ForwardError> {
    let roots = match &papers.authorities {
        Some(paper) => Arc::new(read_roots(paper)?),
        None => machine_roots().ok_or(ForwardError::NoRoots)?,
    };
    trusting(roots, papers)
}

/// Whether such a client can be made, on a machine that has authorities.
pub(super) fn check(papers: &TlsPapers) -> Result<(), ForwardError> {
    let roots = papers.authorities.as_ref().map(read_roots).transpose()?;
    trusting(Arc::new(roots.unwrap_or_else(RootCertStore::empty)), papers).map(drop)
}

fn trusting(roots: Arc<RootCertStore>, papers: &TlsPapers) -> Result<ClientConfig, ForwardError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| ForwardError::Tls(fault.to_string()))?
        .with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (&papers.certificate, &papers.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = read_certificates(certificate)?;
    // The parser's own words may repeat a line of the key.
    let secret = PrivateKeyDer::from_pem_slice(&key.bytes()?)
        .map_err(|_| key.unfit("holds no private key in PEM"))?;
    builder
        .with_client_auth_cert(chain, secret)
        .map_err(|fault| certificate.unfit(fault.to_string()))
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

fn read_roots(paper: &Paper) -> Result<RootCertStore, ForwardError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(paper)? {
        roots.add(certificate).map_err(|fault| paper.unfit(fault.to_string()))?;
    }
    Ok(roots)
}

fn read_certificates(paper: &Paper) -> Result<Vec<CertificateDer<'static>>, ForwardError> {
    let bytes = paper.bytes()?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    // What stands there may be a key by mistake: it is not repeated.
    let chain = chain.unwrap_or_default();
    if chain.is_empty() { Err(paper.unfit("holds no certificate in PEM")) } else { Ok(chain) }
}
