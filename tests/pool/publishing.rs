//! What a change means for the balances over the pool.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::backend::BackendInfo;
use evenkeel::picker::{Algorithm, Context, Update};
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use tower::{Service, service_fn};

use crate::{Value, answer, backend, poll};

/// Picks the first, and counts how often it is prepared: once for each set that was published.
struct Counting(Arc<AtomicUsize>);

impl Picker<()> for Counting {
    fn pick(&self, _set: &dyn BackendSet, _request: &(), _cx: &mut Context) -> Option<usize> {
        Some(0)
    }

    fn prepare(&self, _update: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// A balance over the pool, and how often the pool has published since.
struct Publications {
    _balance: Balance<Value, ()>,
    count: Arc<AtomicUsize>,
}

impl Publications {
    fn of(pool: &Pool<Value>) -> Self {
        let count = Arc::default();
        let balance = Balance::new(pool.clone(), Counting(Arc::clone(&count)));
        assert_eq!(
            count.swap(0, Ordering::Relaxed),
            1,
            "prepared once at the start"
        );
        Self {
            _balance: balance,
            count,
        }
    }

    /// Returns how many there were since this was last asked.
    fn take(&self) -> usize {
        self.count.swap(0, Ordering::Relaxed)
    }
}

#[test]
fn an_update_that_changes_nothing_publishes_nothing() {
    let list = || {
        [
            backend("a", 1).zone("z"),
            backend("b", 2).weight(2).metadata("k", "v"),
        ]
    };
    let pool = Pool::from(list());
    pool.drain("b");
    let published = Publications::of(&pool);

    pool.set_weight("b", 2);
    pool.drain("b");
    pool.undrain("a");
    pool.remove("c");
    pool.set_weight("c", 1);
    pool.drain("c");
    assert!(!pool.replace_all(list()).any());
    assert!(!pool.replace_all_with(list(), |value| value).any());
    assert!(!pool.edit(|_| {}).any());
    let changes = pool.edit(|edit| {
        edit.set_weight("a", 1);
        edit.remove("c");
    });
    assert_eq!((changes.any(), changes.unchanged()), (false, 1));
    assert_eq!(published.take(), 0);
}

#[test]
fn a_list_in_another_order_counts_as_a_change_if_it_is_published() {
    let pool = Pool::from([backend("a", 1), backend("b", 2)]);
    let published = Publications::of(&pool);
    let changes = pool.replace_all([backend("b", 2), backend("a", 1)]);
    assert_eq!(changes.any(), published.take() == 1);
}

#[test]
fn each_call_publishes_once() {
    let pool = Pool::from([backend("a", 1), backend("b", 2)]);
    let published = Publications::of(&pool);
    let changes: [fn(&Pool<Value>) -> bool; 9] = [
        |pool| pool.insert(backend("c", 3)),
        |pool| !pool.insert(backend("c", 3)),
        |pool| pool.set_weight("c", 0),
        |pool| pool.drain("c"),
        |pool| pool.undrain("c"),
        |pool| pool.remove("c"),
        |pool| pool.replace_all([backend("d", 4), backend("b", 2)]).any(),
        |pool| {
            pool.replace_all_with([backend("f", 6), backend("g", 7)], |value| value)
                .any()
        },
        |pool| {
            let changes = pool.edit(|edit| {
                edit.remove("f");
                edit.insert(backend("h", 8));
                edit.set_weight("h", 3);
                edit.drain("g");
            });
            changes.any()
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        assert!(change(&pool), "change {at}");
        assert_eq!(published.take(), 1, "change {at}");
    }
}

#[test]
fn a_change_is_visible_to_every_clone_of_every_balance_when_its_call_returns() {
    for &algorithm in Algorithm::ALL {
        let pool = Pool::new();
        let balance = || Balance::new(pool.clone(), algorithm.picker()).max_wait(Duration::ZERO);
        let (first, second) = (balance(), balance());
        let clones = [first.clone(), first, second.clone(), second];
        let assert_answer = |expected| {
            for clone in &clones {
                assert_eq!(answer(clone).ok(), expected, "{algorithm}");
            }
        };
        for round in 0..20 {
            pool.insert(backend("a", round));
            assert_answer(Some(round));
            pool.insert(backend("b", round + 100));
            pool.remove("a");
            assert_answer(Some(round + 100));
            pool.drain("b");
            assert_answer(None);
            pool.undrain("b");
            assert_answer(Some(round + 100));
            pool.set_weight("b", 0);
            assert_answer(None);
            pool.remove("b");
        }
    }
}

/// Is overtaken when it is prepared for a set with "first" in it: by then there is another set.
struct Overtaken(Pool<Value>);

impl Picker<()> for Overtaken {
    fn pick(&self, set: &dyn BackendSet, _request: &(), _cx: &mut Context) -> Option<usize> {
        set.len().checked_sub(1)
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        if update.eligible().len() == 1 {
            self.0.insert(backend("second", 2));
        }
        None
    }
}

#[test]
fn a_set_that_took_long_to_prepare_for_does_not_replace_a_newer_one() {
    let pool = Pool::new();
    let balance = Balance::new(pool.clone(), Overtaken(pool.clone()));
    pool.insert(backend("first", 1));
    assert_eq!(answer(&balance).unwrap(), 2);
}

#[test]
fn two_balances_over_one_pool_see_the_same_in_flight() {
    // Each backend keeps its first request for ever.
    let hang = || service_fn(|(): ()| pending::<Result<(), Infallible>>());
    let service = hang();
    let pool = Pool::from([Backend::new("a", service), Backend::new("b", service)]);
    let mut one = Balance::exact_least_requests(pool.clone());
    let mut two = Balance::exact_least_requests(pool.clone());
    let in_flight = || {
        pool.list()
            .iter()
            .map(BackendInfo::in_flight)
            .collect::<Vec<_>>()
    };

    let first = one.call(());
    let second = two.call(());
    assert_eq!(
        in_flight(),
        [1, 1],
        "the second avoided the backend of the first"
    );
    let (third, fourth) = (two.call(()), one.call(()));
    assert_eq!(in_flight(), [2, 2]);
    drop((first, second));
    assert_eq!(in_flight().iter().sum::<usize>(), 2);
    drop((third, fourth));
    assert_eq!(in_flight(), [0, 0]);
}

#[test]
fn when_all_weights_are_0_the_error_says_so() {
    let pool = Pool::from([backend("a", 1).weight(0), backend("b", 2).weight(0)]);
    let balance = Balance::weighted_random(pool.clone()).max_wait(Duration::ZERO);
    let error = answer(&balance).unwrap_err().to_string();
    assert!(error.contains("a: weight 0, b: weight 0"), "{error}");
    pool.set_weight("b", u32::MAX);
    assert_eq!(answer(&balance).unwrap(), 2);
}

#[test]
fn the_largest_weights_are_shared_like_any_others() {
    for &algorithm in Algorithm::ALL {
        let pool: Pool<_> = (0..300)
            .map(|at| backend(&at.to_string(), at).weight(u32::MAX))
            .collect();
        let balance = Balance::new(pool.clone(), algorithm.picker()).seed(1);
        assert!(answer(&balance).unwrap() < 300);
        pool.edit(|edit| (0..299).for_each(|at| edit.set_weight(&at.to_string(), 0)));
        assert_eq!(answer(&balance).unwrap(), 299, "{algorithm}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_a_backend_gets_the_one_that_joins() {
    let pool = Pool::new();
    let mut balance = Balance::least_requests(pool.clone());
    let mut waiting = pin!(balance.call(()));
    assert!(poll(waiting.as_mut()).is_pending());
    pool.insert(backend("a", 1).weight(0));
    assert!(poll(waiting.as_mut()).is_pending());
    pool.set_weight("a", 1);
    assert_eq!(waiting.await.unwrap(), 1);
}
