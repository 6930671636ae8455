use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use super::PickLog;
use super::layer::Settings;

pin_project! {
    /// The response of an [`Explain`](super::Explain).
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point.
    #[must_use = "futures do nothing unless polled"]
    pub struct ExplainFuture<F> {
        #[pin]
        future: F,
        answer: Option<(PickLog, Settings)>,
    }
}

impl<F> ExplainFuture<F> {
    pub(super) fn new(future: F, answer: Option<(PickLog, Settings)>) -> Self {
        Self { future, answer }
    }
}

impl<F, B, E> Future for ExplainFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = ready!(this.future.poll(cx));
        if let Some((log, settings)) = this.answer.take()
            && let Ok(response) = &mut result
            && let Ok(value) = HeaderValue::from_str(&line(&log, settings.max_length))
        {
            response.headers_mut().insert(settings.header, value);
        }
        Poll::Ready(result)
    }
}

/// A line of visible ASCII, so long at most.
fn line(log: &PickLog, max: usize) -> String {
    const DOTS: &str = "...";
    let mut line = String::new();
    // Where it is cut if it is too long: never within an escape.
    let mut cut = 0;
    for letter in log.to_string().chars() {
        match letter {
            ' '..='~' => line.push(letter),
            _ => line.extend(letter.escape_default()),
        }
        if line.len() > max {
            line.truncate(cut);
            return line + DOTS;
        }
        if line.len() + DOTS.len() <= max {
            cut = line.len();
        }
    }
    line
}

impl<F> fmt::Debug for ExplainFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainFuture").finish_non_exhaustive()
    }
}
