//! The proxy: the recommended stack around a client, with a log on stderr.

use std::convert::Infallible;

use evenkeel::http::proxy::{Client, IdleBody, Proxy, ProxyBody};
use evenkeel::http::{BalanceLayer, HeldBody, ReplayBody, TrackedBody, recommended};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tower::{Layer, Service};

/// What the proxy answers with: a backend's body, passed on as it comes, or a line of its own.
pub(crate) type Body = ProxyBody<HeldBody<TrackedBody<evenkeel::http::proxy::ClientBody>>>;

/// A client's body, of which what has passed is kept, so that it can be sent again.
pub(crate) type RequestBody = ReplayBody<IdleBody<Incoming>>;

/// Puts the recommended stack around a client, and makes errors responses. What went wrong is
/// printed.
pub(crate) fn service(
    balance: &BalanceLayer<RequestBody>,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    Proxy::new(recommended(balance.layer(Client::new())))
        .on_problem(|problem| eprintln!("{problem}"))
}
