//! A pool that has the endpoints of a Service.
//!
//! With a cluster, and the kubeconfig or the `ServiceAccount` that leads to it:
//! `cargo run -p evenkeel-kubernetes --example kubernetes_discovery -- NAMESPACE SERVICE PORT`
//!
//! Without one, with an API server that is played: `... -- --demo`, which ends by itself.

mod api;

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::Follow;
use evenkeel::http::Address;
use evenkeel_kubernetes::{EndpointSlices, Port};
use lexopt::{Arg, Parser};
use serde_json::json;

use self::api::{Api, leaving, ready, slice};

const USAGE: &str = "usage: kubernetes_discovery (--demo | NAMESPACE SERVICE [PORT])";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut demo = false;
    let mut values = Vec::new();
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("demo") => demo = true,
            Arg::Value(value) => values.push(value.to_string_lossy().into_owned()),
            _ => return Err(USAGE.into()),
        }
    }
    match (demo, values.as_slice()) {
        (true, []) => play().await,
        (false, [namespace, service]) => follow(namespace, service, Port::Only).await,
        (false, [namespace, service, port]) => {
            let port = match port.parse::<u16>() {
                Ok(number) => Port::from(number),
                Err(_) => Port::from(port.as_str()),
            };
            follow(namespace, service, port).await
        }
        _ => Err(USAGE.into()),
    }
}

/// Tells what happens until it is interrupted.
async fn follow(
    namespace: &str,
    service: &str,
    port: Port,
) -> Result<(), Box<dyn std::error::Error>> {
    let client = kube::Client::try_default().await?;
    let source = EndpointSlices::new(client, namespace, service)?.port(port);
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = Follow::new(source).spawn(&pool);
    while let Some(event) = events.next().await {
        println!("{event}");
    }
    Ok(())
}

async fn play() -> Result<(), Box<dyn std::error::Error>> {
    let api = Api::new();
    let put = |endpoints| api.put(slice("checkout", "checkout-1", 8080, endpoints));
    put(json!([ready("10.0.0.1"), ready("10.0.0.2")]));

    let source = EndpointSlices::new(api.client(), "shop", "checkout")?.port("http");
    let pool = Pool::<Address>::new();
    let _feeding = Follow::new(source).spawn(&pool);
    show(&pool, "two pods").await;

    put(json!([
        leaving("10.0.0.1"),
        ready("10.0.0.2"),
        ready("10.0.0.3")
    ]));
    show(
        &pool,
        "a rolling update: one is about to leave, a new one is ready",
    )
    .await;

    put(json!([ready("10.0.0.2"), ready("10.0.0.3")]));
    show(&pool, "it has left").await;

    api.delete("checkout-1");
    show(&pool, "no slice is left: the last good set stays").await;
    Ok(())
}

async fn show(pool: &Pool<Address>, what: &str) {
    tokio::time::sleep(Duration::from_millis(300)).await;
    println!("{what}:");
    for backend in pool.list() {
        let pod = backend.metadata("kubernetes.pod").unwrap_or_default();
        println!("  {} {} {pod}", backend.id(), backend.state());
    }
    for source in pool.status().sources() {
        println!("  {source}");
    }
}
