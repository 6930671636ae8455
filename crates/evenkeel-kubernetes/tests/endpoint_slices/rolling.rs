//! A rolling update while requests run.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::discover::Follow;
use evenkeel::{Balance, Pool};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};

use crate::api::{Api, leaving, ready};
use crate::{slice, source, until_ids};

type Alive = Arc<Mutex<HashSet<SocketAddr>>>;

async fn wait(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn at(pod: usize) -> String {
    format!("10.0.0.{pod}")
}

fn address(pod: usize) -> SocketAddr {
    SocketAddr::new(at(pod).parse().unwrap(), 80)
}

#[tokio::test(start_paused = true)]
async fn no_request_fails_and_none_goes_to_a_pod_that_is_withdrawn() {
    let api = Api::new();
    let put = |pods: &[Value]| api.put(slice("web-1", json!(pods)));
    put(&[ready(&at(1)), ready(&at(2)), ready(&at(3))]);
    let alive = Alive::default();
    alive.lock().unwrap().extend((1..=3).map(address));

    let pool = Pool::new();
    let pods = Arc::clone(&alive);
    let _feeding = Follow::new(source(&api)).spawn_with(&pool, move |&address| {
        let pods = Arc::clone(&pods);
        service_fn(move |(): ()| {
            let pods = Arc::clone(&pods);
            async move {
                // A request is in the pod for 5 ms, and has no answer if the pod ends meanwhile.
                let alive = || pods.lock().unwrap().contains(&address);
                let accepted = alive();
                wait(5).await;
                if accepted && alive() {
                    Ok(address)
                } else {
                    Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
                }
            }
        })
    });
    until_ids(&pool, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).await;

    let balance = Balance::least_requests(pool.clone());
    let requests = tokio::spawn(async move {
        let mut answers = Vec::new();
        for _ in 0..6000 {
            answers.push(tokio::spawn(balance.clone().oneshot(())));
            wait(1).await;
        }
        let mut reached = HashSet::new();
        for answer in answers {
            reached.insert(answer.await.unwrap().expect("no request fails"));
        }
        reached
    });

    for old in 1..=10 {
        let new = old + 3;
        alive.lock().unwrap().insert(address(new));
        let stay = [ready(&at(old + 1)), ready(&at(old + 2)), ready(&at(new))];
        // The pod is told to end; it serves for as long as others need to know.
        let mut leave = vec![leaving(&at(old))];
        leave.extend(stay.clone());
        put(&leave);
        wait(120).await;
        alive.lock().unwrap().remove(&address(old));
        put(&stay);
        wait(380).await;
    }
    let reached = requests.await.unwrap();
    assert_eq!(reached, (1..=13).map(address).collect());
    until_ids(&pool, &["10.0.0.11:80", "10.0.0.12:80", "10.0.0.13:80"]).await;
}
