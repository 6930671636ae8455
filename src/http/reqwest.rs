use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::reqwest::{Body, Client, Error};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower::BoxError;
use tower_service::Service;

use crate::backend::{Failure, Outcome};
use crate::balance::{ClientError, never_left, outcome_of};

/// reqwest's client as a service of `http::Request` and `http::Response`, as
/// [`BalanceLayer`](super::BalanceLayer) and all layers for HTTP have them.
///
/// Bodies stream in both directions, trailers included. For a request of any body whose data is
/// [`Bytes`]; so a [`ReplayBody`](super::ReplayBody), and with it [`recommended`](super::recommended),
/// is one.
///
/// # What the client should be told
///
/// * `redirect(Policy::none())`. Otherwise it follows redirects by itself: to whatever host they
///   name, past the balance, and counted as one request.
/// * `retry(reqwest::retry::never())`, so that what it sends again is within the retries' budget.
/// * No proxy, unless all backends are behind it.
/// * `connect_timeout`: one that is over counts as no connection, and the request is tried
///   elsewhere. Its other time-outs are in the way of longer streams (`timeout` goes to the end
///   of the body); [`attempt_timeout`](crate::Balance::attempt_timeout) ends with the head.
///
/// # Errors
///
/// A [`ClientError`], the cause of which is reqwest's:
///
/// | reqwest says | outcome | never left |
/// | --- | --- | --- |
/// | `is_connect()`, whatever the reason | [`Failure::Connect`] | yes |
/// | `is_timeout()` | [`Failure::Timeout`] | no |
/// | `is_builder()`: it is no request that can be sent | [`Outcome::Cancelled`] | yes |
/// | anything else | as its causes tell, or else [`Failure::Other`] | as they tell |
///
/// # Cost
///
/// A boxed body for each request that has one, and for each response; and the URI, which reqwest
/// parses again.
///
/// # Cancel safety
///
/// The future can be dropped at any point, which ends the request as reqwest does.
///
/// # Examples
///
/// ```no_run
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, ReqwestClient, recommended};
/// use http_body_util::{BodyExt, Empty};
/// use std::time::Duration;
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let client = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::none())
///     .retry(reqwest::retry::never())
///     .connect_timeout(Duration::from_secs(1))
///     .build()?;
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let client = recommended(BalanceLayer::least_requests(pool).layer(ReqwestClient::new(client)));
///
/// let request = http::Request::get("http://shop.example/cart").body(Empty::<bytes::Bytes>::new())?;
/// let response = client.clone().oneshot(request).await?;
/// println!("{:?}", response.into_body().collect().await?.to_bytes());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    client: Client,
}

impl ReqwestClient {
    /// Wraps a client. A clone shares its connections.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns the client inside.
    pub fn get_ref(&self) -> &Client {
        &self.client
    }
}

impl<B> Service<Request<B>> for ReqwestClient
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
{
    type Response = Response<Body>;
    type Error = ClientError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        self.client.poll_ready(cx).map_err(told)
    }

    fn call(&mut self, request: Request<B>) -> ReqwestFuture {
        let request = request.map(|body| {
            // One that is empty can be sent after a redirect, too, and needs no box.
            if body.is_end_stream() {
                Body::default()
            } else {
                Body::wrap(body)
            }
        });
        let state = match ::reqwest::Request::try_from(request) {
            Ok(request) => State::Sent {
                future: self.client.call(request),
            },
            Err(error) => State::Refused { error: Some(error) },
        };
        ReqwestFuture { state }
    }
}

pin_project! {
    /// The future of [`ReqwestClient`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ReqwestFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjected]
    #[derive(Debug)]
    enum State {
        Sent {
            #[pin]
            future: <Client as Service<::reqwest::Request>>::Future,
        },
        Refused {
            error: Option<Error>,
        },
    }
}

impl Future for ReqwestFuture {
    type Output = Result<Response<Body>, ClientError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.project().state.project() {
            StateProjected::Sent { future } => ready!(future.poll(cx)),
            StateProjected::Refused { error } => match error.take() {
                Some(error) => Err(error),
                // It is over already.
                None => return Poll::Pending,
            },
        };
        Poll::Ready(result.map(Response::from).map_err(told))
    }
}

/// Asks reqwest's error what it knows.
#[cold]
fn told(error: Error) -> ClientError {
    if error.is_builder() {
        ClientError::new(Outcome::Cancelled, error).never_left()
    } else if error.is_connect() {
        ClientError::new(Outcome::Failure(Failure::Connect), error).never_left()
    } else if error.is_timeout() {
        ClientError::new(Outcome::Failure(Failure::Timeout), error)
    } else {
        let (outcome, never_left) = (outcome_of(&error), never_left(&error));
        let told = ClientError::new(outcome, error);
        if never_left { told.never_left() } else { told }
    }
}
