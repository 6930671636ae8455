//! What becomes of the connection below the stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::set::SourceState;
use evenkeel_eds::Eds;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use crate::follow;
use crate::manager::{Manager, any, plain, response, source, until, until_ids};

/// Passes on what is said, until it is told not to: then it is as if a cable was cut.
struct Wire {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    /// How many of the first connections are cut.
    cut: watch::Sender<usize>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::<AtomicUsize>::default();
        let (cut, cuts) = watch::channel(0);
        let counted = Arc::clone(&open);
        tokio::spawn(async move {
            for number in 1.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = TcpStream::connect(server).await.unwrap();
                let (open, mut cuts) = (Arc::clone(&counted), cuts.clone());
                open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {
                            open.fetch_sub(1, Ordering::SeqCst);
                        }
                        () = async { drop(cuts.wait_for(|&cut| cut >= number).await) } => {
                            // Both sides stay open, and hear nothing.
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Self { address, open, cut }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }
}

#[tokio::test]
async fn a_connection_that_is_dead_is_noticed_and_replaced() {
    let mut manager = Manager::start().await;
    let wire = Wire::to(manager.address).await;
    let endpoint = wire
        .endpoint()
        .http2_keep_alive_interval(Duration::from_millis(100))
        .keep_alive_timeout(Duration::from_millis(500))
        .keep_alive_while_idle(true);
    let (pool, _feeding) = follow(Eds::with_endpoint(endpoint, "shop").unwrap());
    let mut stream = manager.stream().await;
    stream.request().await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("7", "n1", [any(&message)]));
    until_ids(&pool, &["127.0.0.1:81"]).await;
    let mut events = pool.events();

    wire.cut.send_replace(1);
    let mut stream = manager.stream().await;
    assert_eq!(stream.request().await.version_info, "7");
    until("stale", || {
        events
            .try_next()?
            .to_string()
            .contains("stale (")
            .then_some(())
    })
    .await;
    until("fresh", || {
        (source(&pool).state() == SourceState::Fresh).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_connection_ends_with_the_stream() {
    let mut manager = Manager::start().await;
    let wire = Wire::to(manager.address).await;
    let (_pool, feeding) = follow(Eds::with_endpoint(wire.endpoint(), "shop").unwrap());
    let mut stream = manager.stream().await;
    stream.request().await;
    assert_eq!(wire.open.load(Ordering::SeqCst), 1);
    drop(feeding);
    until("it is closed", || {
        (wire.open.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tls_with_certificates_of_both_sides_is_what_the_endpoint_says() {
    let keys = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (server, client) = (keys("management.example"), keys("client.example"));
    let identity = |keys: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        Identity::from_pem(keys.cert.pem(), keys.signing_key.serialize_pem())
    };
    let trusted =
        |keys: &rcgen::CertifiedKey<rcgen::KeyPair>| Certificate::from_pem(keys.cert.pem());
    let tls = ServerTlsConfig::new().identity(identity(&server));
    let tls = tls.client_ca_root(trusted(&client));
    let builder = Server::builder().tls_config(tls).unwrap();
    let mut manager = Manager::start_as(builder, SocketAddr::from(([127, 0, 0, 1], 0))).await;

    let endpoint = |tls: ClientTlsConfig| {
        let tls = tls.domain_name("management.example");
        let endpoint = Endpoint::from_shared(format!("https://{}", manager.address)).unwrap();
        Eds::with_endpoint(endpoint.tls_config(tls).unwrap(), "shop").unwrap()
    };
    let tls = || ClientTlsConfig::new().ca_certificate(trusted(&server));
    let nobody = follow(endpoint(tls()));
    let (pool, _feeding) = follow(endpoint(tls().identity(identity(&client))));
    let mut stream = manager.stream().await;
    stream.request().await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("7", "n1", [any(&message)]));
    until_ids(&pool, &["127.0.0.1:81"]).await;
    until("who has no certificate is refused", || {
        source(&nobody.0).error().map(drop)
    })
    .await;
    assert!(nobody.0.is_empty());
}
