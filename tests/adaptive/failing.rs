//! Backends that fail, or do not answer.

use evenkeel::backend::{Failure, Outcome};
use evenkeel::load::LoadReport;

use crate::world::{Request, World};
use crate::{in_flight, millis};

const FAILED: Outcome = Outcome::Failure(Failure::Connect);

/// What the backend of a request says: our own requests there, and two of others.
fn as_it_is(world: &World, request: &Request) -> LoadReport {
    let info = world.pool.get(request.completion.backend());
    in_flight(info.expect("a member").in_flight() as u32 + 2)
}

/// Five backends with two requests each, of 100 ms, for so many steps of 10 ms. What becomes
/// of a request at backend 0 is for the test to say, which gives back what works; returns how many
/// were sent to each.
fn serve(
    world: &World,
    steps: u32,
    reports: bool,
    at_0: impl Fn(Request) -> Option<Request>,
) -> [u32; 5] {
    let mut sent = [0; 5];
    let mut running: Vec<(u32, Request)> = Vec::new();
    for now in 0..steps {
        let done = running.extract_if(.., |(since, _)| *since + 10 <= now);
        for (_, mut request) in done.collect::<Vec<_>>() {
            if reports {
                request.report(as_it_is(world, &request));
            }
            request.succeed();
        }
        let (picked, request) = world.begin();
        sent[picked] += 1;
        let works = if picked == 0 {
            at_0(request)
        } else {
            Some(request)
        };
        running.extend(works.map(|request| (now, request)));
        world.pass(millis(10));
    }
    sent
}

fn fails_at_once(request: Request) -> Option<Request> {
    request.finish(FAILED);
    None
}

#[test]
fn a_backend_that_fails_at_once_gets_few_requests_and_is_tried_again() {
    for reports in [false, true] {
        let world = World::new(5);
        let before = serve(&world, 2_000, reports, Some);
        assert!(before[0] > 300, "{before:?}, reports: {reports}");
        // With the fewest requests in flight, it would get all that the others can wait for.
        let failing = serve(&world, 3_000, reports, fails_at_once);
        assert!(
            (1..60).contains(&failing[0]),
            "{failing:?}, reports: {reports}"
        );
        // It is tried within 10 s, and then has its share again.
        let tried = serve(&world, 1_000, reports, Some);
        assert!(tried[0] > 0, "{tried:?}, reports: {reports}");
        let again = serve(&world, 2_000, reports, Some);
        assert!(again[0] > 350, "{again:?}, reports: {reports}");
    }
}

#[test]
fn one_that_has_never_done_anything_but_fail_is_tried_again_too() {
    for reports in [false, true] {
        let world = World::new(5);
        let failing = serve(&world, 3_000, reports, fails_at_once);
        assert!(
            (1..60).contains(&failing[0]),
            "{failing:?}, reports: {reports}"
        );
        let tried = serve(&world, 1_000, reports, Some);
        assert!(tried[0] > 0, "{tried:?}, reports: {reports}");
        let again = serve(&world, 2_000, reports, Some);
        assert!(again[0] > 350, "{again:?}, reports: {reports}");
    }
}

#[test]
fn rejecting_counts_as_failing() {
    let world = World::new(5);
    serve(&world, 500, false, Some);
    let rejecting = serve(&world, 3_000, false, |request| {
        request.finish(Outcome::Rejected);
        None
    });
    assert!((1..60).contains(&rejecting[0]), "{rejecting:?}");
}

#[test]
fn when_all_fail_requests_are_spread_over_all() {
    let world = World::new(4);
    let mut counts = [0_u32; 4];
    for _ in 0..400 {
        let (picked, request) = world.begin();
        request.finish(FAILED);
        world.pass(millis(10));
        counts[picked] += 1;
    }
    assert!(
        counts.iter().all(|count| (60..140).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_backend_that_hangs_gets_few_requests_though_each_is_cancelled_in_the_end() {
    for reports in [false, true] {
        let world = World::new(5);
        serve(&world, 500, reports, Some);
        let mut hanging: Vec<(u32, Request)> = Vec::new();
        let mut running: Vec<(u32, Request)> = Vec::new();
        let mut sent = 0;
        for now in 0..4_000_u32 {
            // 100 ms, and a timeout of 2 s.
            let done = running.extract_if(.., |(since, _)| *since + 10 <= now);
            for (_, mut request) in done.collect::<Vec<_>>() {
                if reports {
                    request.report(as_it_is(&world, &request));
                }
                request.succeed();
            }
            let over = hanging.extract_if(.., |(since, _)| *since + 200 <= now);
            over.for_each(|(_, request)| request.cancel());
            let (picked, request) = world.begin();
            if picked == 0 {
                sent += 1;
                hanging.push((now, request));
            } else {
                running.push((now, request));
            }
            world.pass(millis(10));
        }
        // A fair share would be 800.
        assert!((1..120).contains(&sent), "{sent}, reports: {reports}");
    }
}
