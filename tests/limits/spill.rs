use std::time::Duration;

use evenkeel::picker::hash::{Key, KeyBytes, Keyed, Maglev, Rendezvous, RingHash, key_of};
use evenkeel::picker::{Algorithm, NoBackend, Selector};
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Picker, Pool};
use tower::Service;

use crate::setup::{Server, pool, task};

fn limits() -> Limits {
    Limits::new().max_in_flight(2).queue(0)
}

#[tokio::test(start_paused = true)]
async fn with_every_picker_a_pool_is_filled_to_its_limits_and_no_further() {
    for algorithm in Algorithm::ALL {
        let (pool, servers) = pool::<5>(limits());
        let mut balance = Balance::new(pool.clone(), algorithm.picker());
        let mut running: Vec<_> = (0..10).map(|at| task(balance.call(at))).collect();
        for task in &mut running {
            assert!(task.poll().is_pending(), "{algorithm}");
        }
        assert!(
            servers.iter().all(|server| server.now() == 2),
            "{algorithm}"
        );
        let error = balance.call(10).await.unwrap_err();
        assert!(error.is_overloaded(), "{algorithm}: {error}");

        drop(running);
        let selector = Selector::new(pool.clone(), algorithm.picker());
        let held: Vec<_> = (0..10).map(|_| selector.select(&()).unwrap()).collect();
        assert!(
            pool.list().iter().all(|info| info.in_flight() == 2),
            "{algorithm}"
        );
        let error = selector.select(&()).map(|_| ()).unwrap_err();
        assert_eq!(error, NoBackend::Full, "{algorithm}");
        drop(held);
    }
}

fn passes_over_and_comes_back(picker: impl Picker<u32> + 'static, name: &str) {
    let (pool, servers) = pool::<5>(limits());
    let mut balance = Balance::new(pool, picker).max_wait(Duration::from_secs(1));
    let mut own = vec![task(balance.call(7)), task(balance.call(7))];
    let server = servers.iter().find(|server| server.now() == 2);
    let home = server.expect(name);
    let mut elsewhere = [task(balance.call(7)), task(balance.call(7))];
    for task in &mut elsewhere {
        assert!(task.poll().is_pending(), "{name}");
    }
    let second = servers.iter().filter(|server| server.now() > 0).count();
    assert_eq!(
        (home.now(), second),
        (2, 2),
        "{name}: both are at the next choice"
    );
    own.pop();
    let _third = balance.call(7);
    assert_eq!(home.now(), 2, "{name}");
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_backend_is_full_goes_to_the_next_and_comes_back() {
    let picker = Keyed::new(Maglev::new(), key());
    passes_over_and_comes_back(picker, "maglev");
    let picker = Keyed::new(RingHash::new(), key());
    passes_over_and_comes_back(picker, "ring hash");
    let picker = Keyed::new(Rendezvous::new(), key());
    passes_over_and_comes_back(picker, "rendezvous");
}

fn key() -> impl Key<u32> {
    key_of(|request: &u32| Some(KeyBytes::from(*request)))
}

/// How many of four requests are at each of two backends that take 2.
fn divided(rules: Rules, backends: [Backend<Server>; 2], servers: &[Server; 2]) -> [usize; 2] {
    let pool = Pool::from(backends);
    pool.set_rules(rules.limits(limits()));
    let mut balance = Balance::round_robin(pool).seed(1);
    let mut running: Vec<_> = (0..4).map(|at| task(balance.call(at))).collect();
    for task in &mut running {
        let _ = task.poll();
    }
    servers.each_ref().map(Server::now)
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_gets_nothing_gets_nothing_when_the_one_before_it_is_full() {
    let servers = ["a", "b"].map(Server::new);
    let [a, b] = &servers;
    let backends = [
        Backend::new("a", a.clone()),
        Backend::new("b", b.clone()).priority(1),
    ];
    assert_eq!(divided(Rules::new(), backends, &servers), [2, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_gets_a_part_takes_the_requests_of_one_that_is_full() {
    // This one has a third of the capacity and half of the callers.
    let servers = ["a", "b"].map(Server::new);
    let [a, b] = &servers;
    let backends = [
        Backend::new("a", a.clone()).zone("here"),
        Backend::new("b", b.clone()).zone("there").weight(2),
    ];
    let rules = Rules::new().local_zone("here");
    assert_eq!(divided(rules, backends, &servers), [2, 2]);
}
