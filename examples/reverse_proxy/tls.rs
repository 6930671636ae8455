//! TLS to backends: rustls, with the authorities of a file.

use std::io;
use std::path::Path;
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::http::Address;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, ResolveServerName};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to backends with TLS where their address says `https`, and believes those whose
/// certificate the authorities in a file of PEM have signed.
pub(crate) fn connector(
    authorities: &Path,
    pool: &Pool<Address>,
) -> io::Result<HttpsConnector<HttpConnector>> {
    let wrong = |problem: String| {
        let message = format!("--backend-ca {}: {problem}", authorities.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(authorities);
    for certificate in certificates.map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate, expected at least one in PEM".into()));
    }
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();

    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .with_server_name_resolver(NamesOf(pool.clone()))
        .enable_http1()
        .enable_http2()
        .wrap_connector(connector))
}

/// The name that a backend's certificate has to have: the one that was given with its address, or
/// its host. Asked once for a connection.
struct NamesOf(Pool<Address>);

impl ResolveServerName for NamesOf {
    fn resolve(
        &self,
        uri: &Uri,
    ) -> Result<ServerName<'static>, Box<dyn std::error::Error + Send + Sync>> {
        let authority = uri.authority().map(hyper::http::uri::Authority::as_str);
        let members = self.0.list();
        let named = members.iter().find_map(|member| {
            let address = self.0.value(member.id())?;
            let is_it = address.scheme() == "https" && Some(address.authority()) == authority;
            let name = address.server_name().filter(|_| is_it)?;
            Some(name.to_owned())
        });
        let host = uri.host().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name: Result<_, InvalidDnsNameError> = named.unwrap_or(host).try_into();
        Ok(name?)
    }
}
