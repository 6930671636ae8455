//! TLS to backends, whose certificate names something else than where they listen.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::backend::{Scratch, get, serve};
use super::example::Proxy;

/// A backend with a certificate for a name, and the authority that has signed it, as PEM.
async fn backend(name: &str) -> (std::net::SocketAddr, String) {
    let mut params = CertificateParams::new([]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");

    let provider = rustls::crypto::ring::default_provider();
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, "in private", Duration::ZERO).await;
                }
            });
        }
    });
    (address, authority.pem())
}

fn file(at: std::net::SocketAddr, name: &str) -> String {
    format!("[[backend]]\naddress = \"https://{at}\"\nserver_name = \"{name}\"\n")
}

#[tokio::test]
async fn a_backend_is_believed_by_its_name_and_its_authority_and_not_otherwise() {
    let (at, authority) = backend("app.example.com").await;
    let authority = Scratch::new("ca.pem", &authority);
    let none: [&str; 0] = [];

    let right = Scratch::new("right.toml", &file(at, "app.example.com"));
    let options = ["--backend-ca", authority.path(), "--config", right.path()];
    let proxy = Proxy::start_with(&options, &none).await;
    assert_eq!(get(&proxy.url("/")).await.1, "in private");

    let wrong = Scratch::new("wrong-name.toml", &file(at, "other.example.com"));
    let options = ["--backend-ca", authority.path(), "--config", wrong.path()];
    let mut proxy = Proxy::start_with(&options, &none).await;
    assert_eq!(get(&proxy.url("/")).await.0, 502);
    let complaint = proxy.complaint().await;
    assert!(complaint.contains("certificate"), "{complaint}");

    let (_, stranger) = backend("app.example.com").await;
    let stranger = Scratch::new("stranger.pem", &stranger);
    let options = ["--backend-ca", stranger.path(), "--config", right.path()];
    let proxy = Proxy::start_with(&options, &none).await;
    assert_eq!(get(&proxy.url("/")).await.0, 502);
}
