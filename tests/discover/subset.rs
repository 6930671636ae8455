//! A client of many that uses some of many backends.

use std::time::Duration;

use evenkeel::backend::Hint;
use evenkeel::discover::{Follow, Update, fixed, once};
use evenkeel::set::Subset;
use evenkeel::{Backend, Pool};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::ids;

#[tokio::test(start_paused = true)]
async fn a_subset_is_followed_and_who_leaves_is_replaced_by_one() {
    for subset in [
        Subset::ringsteady(3, 5).unwrap(),
        Subset::rendezvous("client-3", 5).unwrap(),
    ] {
        let pool: Pool<u32> = Pool::new();
        let (says, updates) = mpsc::unbounded_channel();
        let updates = UnboundedReceiverStream::new(updates);
        let follow = Follow::new(once("list", updates)).subset(subset);
        let _feeding = follow.spawn(&pool);
        let backends = (0..40u32).map(|at| Backend::new(format!("web-{at}"), at));
        says.send(Ok(Update::all(backends))).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = ids(&pool);
        assert_eq!(before.len(), 5);
        assert_eq!(pool.status().sources()[0].members(), 5);

        let gone = before[2].clone();
        says.send(Ok(Update::changes().remove(gone.as_str())))
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let after = ids(&pool);
        assert_eq!(after.len(), 5);
        let stay = before.iter().filter(|&id| after.contains(id)).count();
        assert_eq!(stay, 4);

        let back = gone.rsplit('-').next().unwrap().parse().unwrap();
        says.send(Ok(Update::changes().put(Backend::new(gone, back))))
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (mut again, mut first) = (ids(&pool), before);
        again.sort();
        first.sort();
        assert_eq!(again, first);
    }
}

#[test]
fn there_are_so_many_of_each_priority() {
    let backends: Vec<_> = (0..60)
        .map(|at| Backend::new(format!("web-{at}"), at).priority(at % 3))
        .collect();
    let subset = Subset::ringsteady(7, 4).unwrap();
    let chosen = subset.choose(&backends);
    for priority in 0..3 {
        let of_it = chosen.iter().filter(|b| b.value() % 3 == priority);
        assert_eq!(of_it.count(), 4);
    }
}

#[test]
fn a_small_fleet_is_used_as_a_whole() {
    let backends: Vec<_> = (0..3).map(|at| Backend::new(at.to_string(), ())).collect();
    assert_eq!(
        Subset::rendezvous("a", 20).unwrap().choose(&backends).len(),
        3
    );
}

#[test]
fn the_order_in_which_backends_are_listed_does_not_matter() {
    let mut backends: Vec<_> = (0..50)
        .map(|at| Backend::new(format!("10.0.0.{at}:80"), ()))
        .collect();
    for subset in [
        Subset::ringsteady(11, 8).unwrap(),
        Subset::rendezvous("b", 8).unwrap(),
    ] {
        let names = |backends: &[Backend<()>]| -> Vec<String> {
            let chosen = subset.choose(backends);
            chosen
                .iter()
                .map(|backend| backend.id().to_owned())
                .collect()
        };
        let before = names(&backends);
        backends.reverse();
        assert_eq!(names(&backends), before);
        backends.rotate_left(17);
        assert_eq!(names(&backends), before);
    }
}

#[test]
fn an_ordinal_is_said_by_metadata_or_found_in_the_id() {
    // The first client begins at the place of the first backend.
    let first =
        |backends: &[Backend<()>], subset: &Subset| subset.choose(backends)[0].id().to_owned();
    let subset = Subset::ringsteady(0, 1).unwrap();
    let by_id = [Backend::new("web-1", ()), Backend::new("web-0", ())];
    assert_eq!(first(&by_id, &subset), "web-0");
    let by_metadata = [
        Backend::new("web-0", ()).metadata("ordinal", "1"),
        Backend::new("x", ()).metadata("ordinal", "0"),
    ];
    assert_eq!(first(&by_metadata, &subset), "x");
    let by_hand = [Backend::new("1/web", ()), Backend::new("0/web", ())];
    let subset = subset.ordinal_of(|id| id.split_once('/')?.0.parse().ok());
    assert_eq!(first(&by_hand, &subset), "0/web");
}

#[test]
fn a_subset_of_nobody_is_refused() {
    let error = Subset::rendezvous("a", 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid size of a subset 0: expected one backend or more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_subset_grows_with_the_clients_own_load_and_exchanges_nobody() {
    let pool: Pool<u32> = Pool::new();
    let backends = (0..100u32).map(|at| Backend::new(format!("web-{at}"), at));
    let subset = Subset::ringsteady(3, 5).unwrap().grow_to(40).unwrap();
    let _feeding = Follow::new(fixed(backends)).subset(subset).spawn(&pool);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let small = ids(&pool);
    assert_eq!(small.len(), 5);

    let mut requests: Vec<_> = (0..20)
        .map(|at| pool.start(|set| Some(at % set.len())))
        .collect();
    tokio::time::sleep(Duration::from_secs(120)).await;
    let large = ids(&pool);
    assert!((18..=21).contains(&large.len()), "{}", large.len());
    assert!(small.iter().all(|id| large.contains(id)));
    assert_eq!(pool.status().sources()[0].members(), large.len());

    requests.extend((0..200).map(|at| pool.start(|set| Some(at % set.len()))));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(pool.len(), 40);
    requests.clear();
    tokio::time::sleep(Duration::from_secs(240)).await;
    assert_eq!(ids(&pool), small);

    let error = Subset::ringsteady(3, 5).unwrap().grow_to(4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid bound of a subset 4, where 5 are the least: expected no less than the size"
    );
}

#[test]
fn those_that_drain_do_not_count() {
    let backends: Vec<_> = (0..60u32)
        .map(|at| {
            let backend = Backend::new(format!("web-{at}"), at);
            if at % 2 == 0 {
                backend.hint(Hint::Draining)
            } else {
                backend
            }
        })
        .collect();
    let chosen = Subset::ringsteady(7, 4).unwrap().choose(&backends);
    let stay = chosen.iter().filter(|backend| *backend.value() % 2 == 1);
    assert_eq!(stay.count(), 4);
    assert!(chosen.len() < 12, "{chosen:?}");
}
