use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{Format, HEADER};
use crate::http::HeldBody;
use crate::load::{Guard, LoadMeter};

pin_project! {
    /// The response of a [`ReportLoad`](super::ReportLoad).
    #[must_use = "futures do nothing unless polled"]
    pub struct ReportLoadFuture<F> {
        #[pin]
        state: State<F>,
        format: Format,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Probe {
            meter: LoadMeter,
        },
        Called {
            // Dropped before the guard is: until then it may be at work.
            #[pin]
            future: F,
            guard: Option<Guard>,
        },
    }
}

impl<F> ReportLoadFuture<F> {
    pub(super) fn probe(meter: LoadMeter, format: Format) -> Self {
        let state = State::Probe { meter };
        Self { state, format }
    }

    pub(super) fn called(future: F, guard: Guard, format: Format) -> Self {
        let guard = Some(guard);
        let state = State::Called { future, guard };
        Self { state, format }
    }
}

impl<F, B, E> Future for ReportLoadFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + Default,
{
    type Output = Result<Response<HeldBody<B, Guard>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut response, meter) = match this.state.project() {
            StateProj::Probe { meter } => {
                let mut response = Response::new(HeldBody::holding_nothing(B::default()));
                *response.status_mut() = StatusCode::NO_CONTENT;
                (response, meter.report())
            }
            StateProj::Called { future, guard } => {
                let result = ready!(future.poll(cx));
                let mut guard = guard.take().expect("polled after it was ready");
                match &result {
                    Ok(response) if !response.status().is_server_error() => guard.answered(),
                    Ok(_) | Err(_) => guard.failed(),
                }
                // With this request in flight still.
                let report = guard.meter().report();
                let response = result?.map(|body| HeldBody::new(body, guard));
                (response, report)
            }
        };
        let value = this.format.header_value(&meter);
        response.headers_mut().insert(HEADER, value);
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ReportLoadFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportLoadFuture").finish_non_exhaustive()
    }
}
