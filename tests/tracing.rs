//! What `tracing` is told of attempts.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use evenkeel::observe::TraceAttempts;
use evenkeel::retry::RetryLayer;
use evenkeel::{Backend, Balance};
use tower::{Layer, ServiceExt, service_fn};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Asks once of two backends that work or do not; returns what was logged.
fn logged(works: [bool; 2]) -> Vec<String> {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(lines.clone())
        .without_time()
        .with_ansi(false)
        .finish();
    let backends = ["a", "b"].into_iter().zip(works).map(|(id, works)| {
        let service = service_fn(move |_request: ()| async move {
            if works { Ok(()) } else { Err("out of order") }
        });
        Backend::new(id, service)
    });
    let balance = Balance::ordered(backends.collect::<evenkeel::Pool<_>>());
    let retry = RetryLayer::new(|(): &()| true);
    let retry = retry.attempts(2).unwrap().observer(TraceAttempts::new());
    let service = retry.layer(balance);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _answer =
        tracing::subscriber::with_default(subscriber, || runtime.block_on(service.oneshot(())));
    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn each_attempt_is_told_with_its_backend_and_outcome() {
    let lines = logged([false, true]);
    assert_eq!(
        lines,
        [
            " INFO evenkeel::observe: attempt failed backend=\"a\" outcome=the service failed took=0.0 attempt=0",
            "DEBUG evenkeel::observe: attempt ended backend=\"b\" outcome=success took=0.0 attempt=1",
        ]
    );
}

#[test]
fn a_request_that_failed_for_good_is_told_with_all_its_attempts() {
    let lines = logged([false, false]);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(
        lines[2],
        " WARN evenkeel::observe: request failed attempts=a: the service failed after 0.000 s, \
         b: the service failed after 0.000 s"
    );
}
