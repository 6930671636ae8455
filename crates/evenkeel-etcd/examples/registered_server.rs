//! A server that registers itself in etcd, and takes itself out before it ends.
//!
//! ```text
//! cargo run -p evenkeel-etcd --example registered_server -- \
//!     /services/api/ api-7 10.0.1.7:8080 2 http://127.0.0.1:2379
//! ```
//!
//! The arguments: the prefix, an id, its address, seconds of its lease, the nodes of etcd. Ends with
//! Ctrl-C.

use std::time::Duration;

use evenkeel::Backend;
use evenkeel_etcd::Registrar;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prefix, id, address, seconds, nodes @ ..] = &arguments[..] else {
        return Err("PREFIX ID ADDRESS SECONDS NODE…".into());
    };
    let registrar = Registrar::new(nodes, prefix)?.lease(Duration::from_secs(seconds.parse()?))?;
    let mut registration = registrar.register(Backend::new(id.as_str(), address.parse()?))?;

    let telling = async {
        while let Some(state) = registration.changed().await {
            println!("{state}");
        }
        // Its task is there for as long as this is.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = telling => {}
        stop = tokio::signal::ctrl_c() => stop?,
    }
    // Clients go elsewhere; what is running here can end in peace.
    registration.shutdown().await;
    println!("taken out");
    Ok(())
}
