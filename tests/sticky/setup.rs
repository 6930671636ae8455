//! A balance over backends that do nothing, and clients with a memory.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use evenkeel::balance::{Attempts, Direct};
use evenkeel::http::OnBodyEnd;
use evenkeel::http::sticky::{Sticky, StickyBalance, Tokens};
use evenkeel::{Backend, Balance, Error, Pool};
use http::{HeaderMap, Request, Response};
use tower::{Layer, Service, ServiceExt};

/// Answers at once with the headers that it was made with.
#[derive(Clone, Default)]
pub(crate) struct App {
    pub(crate) headers: HeaderMap,
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
        *response.headers_mut() = self.headers.clone();
        ready(Ok(response))
    }
}

pub(crate) type Site = StickyBalance<Attempts<App, Request<()>, Direct, OnBodyEnd>>;

/// Whom a request went to, and the headers of the response.
pub(crate) type Answer = (String, HeaderMap);

pub(crate) fn pool() -> Pool<App> {
    ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
        .into_iter()
        .map(|id| Backend::new(id, App::default()))
        .collect()
}

pub(crate) fn tokens() -> Tokens {
    Tokens::new("shop", [[7; 32]]).unwrap()
}

/// Round robin, so that a client that is not bound moves with each request.
pub(crate) fn site(pool: &Pool<App>, sticky: &Sticky) -> Site {
    sticky.layer(Balance::round_robin(pool.clone()).count_to_body_end())
}

pub(crate) async fn ask(site: &Site, request: Request<()>) -> Result<Answer, Error> {
    let response = site.clone().oneshot(request).await?;
    let backend = response.body().backend().to_owned();
    Ok((backend, response.headers().clone()))
}

/// Asks with one header, or none.
pub(crate) async fn ask_with(site: &Site, header: Option<(&str, &str)>) -> Answer {
    let mut request = Request::get("/");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    ask(site, request.body(()).unwrap()).await.unwrap()
}

/// The cookie that a response sets, as the client will send it: `route=…`.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<String> {
    let set = headers.get("set-cookie")?.to_str().unwrap();
    Some(set.split(';').next().unwrap().to_owned())
}
