//! From a request's header to a backend, by way of the layer and of a balance.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Ready;

use evenkeel::http::{BalanceLayer, key};
use evenkeel::picker::RoundRobin;
use evenkeel::picker::hash::{Keyed, Maglev};
use evenkeel::{Backend, Balance, Pool};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::request;

const USERS: usize = 200;

fn pool() -> Pool<evenkeel::http::Address> {
    let addresses = (1..=5).map(|host| format!("10.0.0.{host}:8080"));
    Pool::of_addresses(addresses).expect("these are addresses")
}

fn by_user() -> Keyed<Maglev, (key::Header, key::Cookie), RoundRobin> {
    let key = (key::header("x-user").unwrap(), key::cookie("user").unwrap());
    Keyed::new(Maglev::new(), key).fallback(RoundRobin::starting_at(0))
}

/// Where the client that a layer is around was sent to.
async fn sent_to<S>(client: &S, request: Request<()>) -> String
where
    S: Service<Request<()>, Response = Response<evenkeel::http::TrackedBody<String>>> + Clone,
    S::Error: std::fmt::Debug,
{
    let response = client.clone().oneshot(request).await.expect("an answer");
    response.body().get_ref().clone()
}

#[tokio::test]
async fn through_the_layer_a_user_stays_with_a_backend_until_it_is_drained_and_comes_back() {
    let pool = pool();
    let client = service_fn(async |request: Request<()>| {
        let authority = request.uri().authority().map(ToString::to_string);
        Ok::<_, Infallible>(Response::new(authority.unwrap_or_default()))
    });
    let client = BalanceLayer::new(pool.clone(), by_user()).layer(client);
    let homes = async || {
        let mut homes = BTreeMap::new();
        for user in 0..USERS {
            let (name, cookie) = (format!("user-{user}"), format!("a=b; user=user-{user}"));
            let by_header = request("http://site/", &[("x-user", &name)]);
            let home = sent_to(&client, by_header).await;
            let by_cookie = request("http://site/cart", &[("x-user", ""), ("cookie", &cookie)]);
            assert_eq!(sent_to(&client, by_cookie).await, home, "{name}");
            homes.insert(user, home);
        }
        homes
    };
    let before = homes().await;
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 5);

    pool.drain("10.0.0.2:8080");
    for (user, now) in homes().await {
        assert_ne!(now, "10.0.0.2:8080");
        assert!(now == before[&user] || before[&user] == "10.0.0.2:8080");
    }
    pool.undrain("10.0.0.2:8080");
    assert_eq!(homes().await, before);

    // Without a key it is round robin's turn.
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        seen.insert(sent_to(&client, request("http://site/", &[])).await);
    }
    assert_eq!(seen.len(), 5);
}

/// A replica within the program, which answers with its number.
#[derive(Clone)]
struct Replica(usize);

impl Service<Request<()>> for Replica {
    type Response = usize;
    type Error = Infallible;
    type Future = Ready<Result<usize, Infallible>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        std::future::ready(Ok(self.0))
    }
}

#[tokio::test]
async fn through_a_balance_a_user_stays_with_a_replica_while_others_come() {
    let pool: Pool<_> = (0..5)
        .map(|at| Backend::new(at.to_string(), Replica(at)))
        .collect();
    let balance = Balance::new(pool.clone(), by_user());
    let homes = async || {
        let mut homes = Vec::new();
        for user in 0..USERS {
            let request = request("/", &[("x-user", &format!("user-{user}"))]);
            homes.push(balance.clone().oneshot(request).await.expect("an answer"));
        }
        homes
    };
    let before = homes().await;
    assert_eq!(homes().await, before);
    pool.insert(Backend::new("5", Replica(5)));
    let after = homes().await;
    // A sixth of them moves to the new one, and hardly anyone else.
    let to_new = after.iter().filter(|&&at| at == 5).count();
    assert!((10..=60).contains(&to_new), "{to_new}");
    let others = before
        .iter()
        .zip(&after)
        .filter(|(from, to)| from != to && **to != 5);
    assert!(others.count() <= USERS / 20);
}
