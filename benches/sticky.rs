//! What it costs to keep a client with its backend.
//!
//! ```text
//! cargo bench --bench sticky --features sticky
//! ```
//!
//! Requests through a `Balance` of services that do nothing, 100 backends, with and without
//! `Sticky` around it: ready, call, response, and the drop of the body. How the noise of a shared
//! machine is kept out is said in `benches/requests`. Without `--bench` it only tries that
//! everything runs.

#[path = "common/mod.rs"]
mod common;

use std::convert::Infallible;
use std::env;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use evenkeel::http::sticky::{Learned, SessionCookie, Sticky, Tokens};
use evenkeel::{Balance, InvalidSetting};
use http::header::{COOKIE, HeaderValue};
use http::{Request, Response};
use tower::{Layer, Service};

use self::common::measure::{Case, Effort, interleave};
use self::common::pool::{Weights, pool};
use self::common::report::{Table, figure, ratio};

#[derive(Clone)]
struct App {
    /// What the application sets as its own cookie.
    set: Option<HeaderValue>,
}

impl Service<Request<()>> for App {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        let mut response = Response::new(String::new());
        if let Some(set) = &self.set {
            response.headers_mut().insert("set-cookie", set.clone());
        }
        ready(Ok(response))
    }
}

fn main() -> Result<(), InvalidSetting> {
    let flags: Vec<String> = env::args().skip(1).collect();
    let full = flags.iter().any(|flag| flag == "--bench");
    if !full {
        println!("Only a try: the figures say nothing.");
    }
    let effort = Effort {
        batch: Duration::from_micros(if full { 400 } else { 5 }),
        rounds: if full { 15 } else { 1 },
    };

    let silent = App { set: None };
    let names = App {
        set: Some(HeaderValue::from_static("id=s1; Path=/")),
    };
    let cookie = || {
        let tokens = Tokens::new("shop", [[7; 32]])?;
        Sticky::cookie(tokens, SessionCookie::new("route")?)
    };
    let bound = cookie()?.layer(balance(&silent));
    let token = token(bound.clone());
    let learned = Sticky::learned(Learned::cookie("id")?).layer(balance(&names));

    let rows = [
        ("not sticky", case(balance(&silent), None)),
        (
            "by cookie, of a client that is known",
            case(bound.clone(), Some(token)),
        ),
        ("by cookie, of a new client", case(bound, None)),
        (
            "not sticky, with the app's cookie",
            case(balance(&names), Some(id())),
        ),
        ("learnt, named again each time", case(learned, Some(id()))),
    ];
    let (names, mut cases): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let samples = interleave(&mut cases, &effort);
    let columns = ["ns", "allocations"].map(str::to_owned);
    let mut table = Table::new("One request", columns);
    for ((name, samples), case) in names.iter().zip(&samples).zip(&mut cases) {
        table.row(
            name,
            [figure(samples.undisturbed()), ratio(case.allocations())],
        );
    }
    table.print();
    Ok(())
}

fn balance(
    app: &App,
) -> Balance<App, Request<()>, evenkeel::balance::Direct, evenkeel::http::OnBodyEnd> {
    Balance::least_requests(pool(100, Weights::Equal, app)).count_to_body_end()
}

fn id() -> HeaderValue {
    HeaderValue::from_static("id=s1")
}

/// The cookie that a new client is given.
fn token<S, B>(mut service: S) -> HeaderValue
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let future = pin!(service.call(Request::new(())));
    let Poll::Ready(Ok(response)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("no backend ever fails or has to be waited for");
    };
    let set = response.headers()["set-cookie"].as_bytes();
    let pair = set.split(|&byte| byte == b';').next().unwrap_or_default();
    HeaderValue::from_bytes(pair).expect("a part of a header")
}

fn case<S>(service: S, cookie: Option<HeaderValue>) -> Case
where
    S: Service<Request<()>> + Clone + 'static,
{
    Case::new(move |n| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..n {
            let mut request = Request::new(());
            // Always one header, so that its cost is the same.
            let value = cookie.clone().unwrap_or(HeaderValue::from_static("a=1"));
            request.headers_mut().insert(COOKIE, value);
            let mut service = black_box(&service).clone();
            assert!(service.poll_ready(&mut cx).is_ready());
            let future = pin!(service.call(black_box(request)));
            let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
                unreachable!("no backend ever fails or has to be waited for");
            };
            black_box(response);
        }
    })
}
