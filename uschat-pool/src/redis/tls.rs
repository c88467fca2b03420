//! TLS to a Redis server, by rustls with the provider that the application installed.

use std::{error::Error, io, path::Path, sync::Arc};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::CryptoProvider,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

use super::{RedisError, error::unreachable};

/// Trusts the certificates of `ca`, or else the system's, and nothing more.
pub(super) fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, RedisError> {
    let provider = CryptoProvider::get_default().ok_or(RedisError::NoTlsProvider)?;
    let roots = match ca {
        Some(pem) => private_roots(pem)?,
        None => system_roots()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates of a file in PEM format.
pub(super) fn read_ca(path: &Path) -> Result<Vec<u8>, RedisError> {
    std::fs::read(path).map_err(|cause| tls(format!("the file {} cannot be read: {cause}", path.display())))
}

fn private_roots(pem: &[u8]) -> Result<RootCertStore, RedisError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| tls("the file of the private CA is not in PEM format"))?;
        roots.add(certificate).map_err(tls)?;
    }
    if roots.is_empty() {
        return Err(tls("the file of the private CA holds no certificate"));
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, RedisError> {
    let mut roots = RootCertStore::empty();
    // Systems carry single certificates that rustls does not take; without any, nothing could be verified.
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(tls("this system has no usable certificates of authorities; name a file with ?ca="));
    }
    Ok(roots)
}

/// A hand-shake that failed: over a certificate or the protocol, or because the connection was lost.
pub(super) fn refused(cause: io::Error) -> RedisError {
    if cause.kind() == io::ErrorKind::InvalidData { tls(cause) } else { unreachable(cause) }
}

fn tls(cause: impl Into<Box<dyn Error + Send + Sync>>) -> RedisError {
    RedisError::Tls(cause.into())
}
