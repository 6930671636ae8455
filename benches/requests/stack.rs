//! What retries, limits and ejection cost a request that goes well.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use evenkeel::health::Health;
use evenkeel::http::{ByMethod, OnBodyEnd, Replay, ReplayBody, ReplayLayer, recommended};
use evenkeel::limit::LimitLayer;
use evenkeel::retry::RetryLayer;
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Pool};
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::Bytes;
use tower::{Layer, Service, ServiceBuilder};

use super::Plan;
use super::common::measure::{Case, Samples, interleave};
use super::common::report::{Table, Target, figure, ratio};

type Body = Empty<Bytes>;
type Plain = Balance<Answers, Request<ReplayBody<Body>>, evenkeel::balance::Direct, OnBodyEnd>;

/// Answers at once, without a body.
#[derive(Clone, Copy)]
struct Answers;

impl Service<Request<ReplayBody<Body>>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Body>>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(Response::new(Empty::new())))
    }
}

const BACKENDS: usize = 10;

fn balance() -> Plain {
    let backends = (0..BACKENDS).map(|n| Backend::new(format!("backend-{n}"), Answers));
    Balance::least_requests(backends.collect::<Pool<_>>()).count_to_body_end()
}

fn request(headers: usize) -> Request<Body> {
    let mut request = Request::new(Body::new());
    for header in 0..headers {
        let name = format!("x-header-{header}").parse::<http::HeaderName>();
        let value = HeaderValue::from_static("a value of usual length");
        request
            .headers_mut()
            .insert(name.expect("a valid name"), value);
    }
    request
}

/// A request for each turn, and a clone of the service.
fn through<S>(service: S, headers: usize) -> Case
where
    S: Service<Request<Body>> + Clone + 'static,
{
    let request = request(headers);
    Case::new(move |n| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..n {
            let mut service = black_box(&service).clone();
            assert!(service.poll_ready(&mut cx).is_ready());
            let future = pin!(service.call(black_box(&request).clone()));
            let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
                unreachable!("no backend ever fails or has to be waited for");
            };
            black_box(response);
        }
    })
}

/// The copy that is kept for a retry.
fn copies(headers: usize) -> Case {
    let request = request(headers).map(ReplayBody::new);
    Case::new(move |n| {
        for _ in 0..n {
            black_box(black_box(&request).clone());
        }
    })
}

/// Makes a case, for so many headers.
type Make = Box<dyn Fn(usize) -> Case>;

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    let sizes = [0, 8];
    let watched = balance();
    let _watching = Health::new().spawn(watched.pool());
    let limited = balance();
    let limits = Limits::new().max_in_flight(100);
    limited.pool().set_rules(Rules::new().limits(limits));
    let whole = LimitLayer::new(1024).expect("a valid limit");
    let retry = RetryLayer::new(ByMethod::new());

    let kinds: Vec<(&str, Make)> = vec![
        ("a balance, bare", {
            let service = Replay::new(balance());
            Box::new(move |headers| through(service.clone(), headers))
        }),
        ("    watched for ejection", {
            let service = Replay::new(watched);
            Box::new(move |headers| through(service.clone(), headers))
        }),
        ("    a limit for each backend", {
            let service = Replay::new(limited);
            Box::new(move |headers| through(service.clone(), headers))
        }),
        ("    a limit of all together", {
            let layers = ServiceBuilder::new().layer(ReplayLayer::new());
            let layers = layers.layer(whole.count_to_body_end());
            let service = layers.service(balance());
            Box::new(move |headers| through(service.clone(), headers))
        }),
        ("    retry, with its copy", {
            let service = Replay::new(retry.layer(balance()));
            Box::new(move |headers| through(service.clone(), headers))
        }),
        ("the recommended stack", {
            let service = recommended(balance());
            Box::new(move |headers| through(service.clone(), headers))
        }),
        ("a copy of the request", Box::new(copies)),
    ];
    let mut cases: Vec<_> = sizes
        .iter()
        .flat_map(|&headers| kinds.iter().map(move |(_, kind)| kind(headers)))
        .collect();
    let samples = interleave(&mut cases, &plan.effort);
    let allocations: Vec<_> = cases.iter_mut().map(Case::allocations).collect();

    let title = format!("least-requests over {BACKENDS} HTTP services: ns for one request");
    let columns = ["no headers", "8 headers", "allocations", "8 headers"];
    let mut table = Table::new(&title, columns.map(str::to_owned));
    for (at, (name, _)) in kinds.iter().enumerate() {
        let of = |size: usize| at + size * kinds.len();
        let nanos = [of(0), of(1)].map(|at| figure(samples[at].undisturbed()));
        let counts = [of(0), of(1)].map(|at| ratio(allocations[at]));
        table.row(name, nanos.into_iter().chain(counts));
    }
    let (stack, copy) = (kinds.len() - 2, kinds.len() - 1);
    let added = |size: usize| {
        let of = |kind: usize| &samples[kind + size * kinds.len()];
        added(of(stack), of(0), of(copy))
    };
    let more = |size: usize| {
        let of = |kind: usize| allocations[kind + size * kinds.len()];
        of(stack) - of(0) - of(copy)
    };
    let figures = [
        figure(added(0)),
        figure(added(1)),
        ratio(more(0)),
        ratio(more(1)),
    ];
    table.row("what the stack adds beside the copy", figures);
    table.print();

    let what = "the recommended stack over a bare balance, beside the copy";
    targets.push(Target::at_most(150.0, added(1), "ns", what));
    let what = "the same, allocations";
    targets.push(Target::at_most(0.0, more(0).max(more(1)), "", what));
}

/// The median of what each round says.
fn added(stack: &Samples, bare: &Samples, copy: &Samples) -> f64 {
    stack.beyond(bare) - copy.median()
}
