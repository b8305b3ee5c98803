//! Whom to trust: the certificates of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` count) and those that were named.

use crate::endpoint::BuildError;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// TLS 1.2 and 1.3 by rustls with ring. The provider is named, so that others in the same program do not matter.
pub(crate) fn client_config(trusted: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, BuildError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    for certificate in trusted {
        roots.add(certificate.clone()).map_err(|error| BuildError::Certificates(error.to_string()))?;
    }
    if roots.is_empty() {
        let errors: Vec<_> = system.errors.iter().map(ToString::to_string).collect();
        let problem =
            format!("the system has none; install ca-certificates or name one: {}", errors.join("; "));
        return Err(BuildError::Certificates(problem));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Certificates(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Every certificate of a PEM text; at least one.
pub(crate) fn read_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates =
        certificates.map_err(|error| BuildError::Certificates(format!("no PEM text: {error}")))?;
    if certificates.is_empty() {
        return Err(BuildError::Certificates("the PEM text holds no certificate".into()));
    }
    Ok(certificates)
}
