//! Bodies that come slowly or break off, and backends that answer when they have read all.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::backend::{Counts, State};
use evenkeel::balance::Direct;
use evenkeel::http::{HttpOutcomes, OnBodyEnd, ReplayBody};
use evenkeel::picker::Ordered;
use evenkeel::{Backend, Balance, Pool};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, Sleep, sleep};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

pub(crate) type Sent<B> = Request<ReplayBody<B>>;
pub(crate) type Server<B> = BoxCloneSyncService<Sent<B>, Response<Full<Bytes>>, BoxError>;
pub(crate) type Lb<B> = Balance<Server<B>, Sent<B>, Direct, OnBodyEnd<HttpOutcomes>>;

/// What a client sends: so many bytes, one each time, and perhaps an error.
pub(crate) struct Upload {
    left: u32,
    every: Duration,
    next: Pin<Box<Sleep>>,
    breaks_off: bool,
}

impl Upload {
    pub(crate) fn new(bytes: u32, every: Duration) -> Self {
        Self {
            left: bytes,
            every,
            next: Box::pin(sleep(every)),
            breaks_off: false,
        }
    }

    pub(crate) fn breaking_off(mut self) -> Self {
        self.breaks_off = true;
        self
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(self.breaks_off.then(|| Err("the client is gone".into())));
        }
        ready!(self.next.as_mut().poll(cx));
        let next = Instant::now() + self.every;
        self.next.as_mut().reset(next);
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Does {
    /// Reads the body, and answers.
    Answers,
    /// Reads the body, and answers after so long.
    AnswersAfter(Duration),
    /// Reads the body, and never answers.
    Hangs,
    /// Does not even read it.
    Ignores,
    Fails,
}

/// Who was asked, with which headers, and the pool.
pub(crate) struct World<B> {
    pub(crate) pool: Pool<Server<B>>,
    log: Arc<Mutex<Vec<(&'static str, HeaderMap)>>>,
}

impl<B> World<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    pub(crate) fn new<const N: usize>(backends: [(&'static str, Does); N]) -> Self {
        let log = Arc::<Mutex<Vec<_>>>::default();
        let backends = backends.map(|(name, does)| {
            let log = Arc::clone(&log);
            let service = service_fn(move |request: Sent<B>| {
                let (head, body) = request.into_parts();
                log.lock().unwrap().push((name, head.headers));
                act(does, body)
            });
            Backend::new(name, BoxCloneSyncService::new(service))
        });
        Self {
            pool: Pool::from(backends),
            log,
        }
    }

    /// Those that joined first are asked first.
    pub(crate) fn ordered(&self) -> Lb<B> {
        Balance::new(self.pool.clone(), Ordered::new()).count_to_body_end()
    }

    pub(crate) fn round_robin(&self) -> Lb<B> {
        Balance::round_robin(self.pool.clone()).count_to_body_end()
    }

    /// Who was asked since the last time this was.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        let mut log = self.log.lock().unwrap();
        log.drain(..).map(|(name, _)| name).collect()
    }

    /// What the last attempt was told of the time that it has.
    pub(crate) fn timeout_told(&self) -> Option<String> {
        let log = self.log.lock().unwrap();
        let (_, headers) = log.last().expect("somebody was asked");
        let told = headers.get("grpc-timeout");
        told.map(|value| value.to_str().expect("text").to_owned())
    }

    pub(crate) fn counts(&self, id: &str) -> Counts {
        self.pool.get(id).expect("a member").counts()
    }

    pub(crate) fn state(&self, id: &str) -> State {
        self.pool.get(id).expect("a member").state()
    }

    /// Failures of all of them.
    pub(crate) fn failures(&self) -> u64 {
        let list = self.pool.list();
        list.iter().map(|info| info.counts().failures()).sum()
    }
}

async fn act<B>(does: Does, body: ReplayBody<B>) -> Result<Response<Full<Bytes>>, BoxError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if does == Does::Fails {
        return Err(io::Error::other("out of order").into());
    }
    if does != Does::Ignores {
        body.collect().await?;
    }
    match does {
        Does::AnswersAfter(time) => sleep(time).await,
        Does::Hangs | Does::Ignores => pending().await,
        _ => {}
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"well"))))
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn get() -> Request<Empty<Bytes>> {
    empty(Request::get("/"))
}

pub(crate) fn empty(head: http::request::Builder) -> Request<Empty<Bytes>> {
    head.body(Empty::new()).expect("a request")
}
