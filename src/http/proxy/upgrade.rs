//! Connections that go on as another protocol, such as WebSocket.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{select, try_join};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Version};
use http_body::Body;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::sleep;

use super::hop_by_hop::has_token;

/// What a client has asked its connection to become.
#[derive(Debug)]
pub(super) struct Upgrade {
    protocol: HeaderValue,
    client: OnUpgrade,
}

impl Upgrade {
    /// What a request asks for, if it is allowed. To be called before its headers are removed.
    pub(super) fn asked<B: Body>(
        request: &mut Request<B>,
        allowed: &[HeaderValue],
    ) -> Option<Self> {
        let headers = request.headers();
        let protocol = headers.get(UPGRADE)?;
        let allowed = allowed.iter().find(|allowed| same(allowed, protocol))?;
        // A body would be the first that the new protocol reads.
        let can_upgrade = request.version() == Version::HTTP_11
            && request.method() == Method::GET
            && request.body().is_end_stream()
            && has_token(headers, &CONNECTION, "upgrade");
        can_upgrade.then(|| Self {
            protocol: allowed.clone(),
            client: hyper::upgrade::on(request),
        })
    }

    /// Asks a backend for the same.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }

    /// Whether a backend that switches has switched to what it was asked for.
    pub(super) fn is(&self, answer: &HeaderMap) -> bool {
        is(&self.protocol, answer)
    }

    /// Carries bytes both ways, until both have ended, one has failed, or nothing has come for some
    /// time. Then, and no sooner, `held` is dropped.
    pub(super) async fn carry<H>(self, backend: OnUpgrade, idle: Duration, held: H) {
        // Whoever went away meanwhile takes the other along.
        if let Ok((client, backend)) = try_join(self.client, backend).await {
            carry(client, backend, idle).await;
        }
        drop(held);
    }
}

/// Whether an answer names this protocol, and no other.
pub(super) fn is(asked: &HeaderValue, answer: &HeaderMap) -> bool {
    let mut lines = answer.get_all(UPGRADE).into_iter();
    let protocol = lines.next();
    protocol.is_some_and(|protocol| same(asked, protocol)) && lines.next().is_none()
}

fn same(a: &HeaderValue, b: &HeaderValue) -> bool {
    a.as_bytes().eq_ignore_ascii_case(b.as_bytes())
}

async fn carry(client: Upgraded, backend: Upgraded, idle: Duration) {
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Counted::new(client, &moved);
    let mut backend = Counted::new(backend, &moved);
    let still = async {
        if idle == Duration::MAX {
            std::future::pending::<()>().await;
        }
        let mut before = None;
        loop {
            let now = moved.load(Ordering::Relaxed);
            if before.replace(now) == Some(now) {
                return;
            }
            sleep(idle).await;
        }
    };
    // That one end broke off is how such connections end.
    let both_ways = copy_bidirectional(&mut client, &mut backend);
    select(pin!(both_ways), pin!(still)).await;
}

/// Counts what is read.
struct Counted {
    io: TokioIo<Upgraded>,
    /// Of both directions. `Relaxed`: a number, and nothing with it.
    moved: Arc<AtomicU64>,
}

impl Counted {
    fn new(io: Upgraded, moved: &Arc<AtomicU64>) -> Self {
        Self {
            io: TokioIo::new(io),
            moved: Arc::clone(moved),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.moved.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A protocol's name as `Upgrade` has it: a token, perhaps with a version.
pub(super) fn protocol(name: &str) -> Option<HeaderValue> {
    let (name_alone, version) = name.split_once('/').unwrap_or((name, "1"));
    let is_token = |text: &str| text.parse::<HeaderName>().is_ok();
    let valid = is_token(name_alone) && is_token(version);
    HeaderValue::from_str(name).ok().filter(|_| valid)
}
