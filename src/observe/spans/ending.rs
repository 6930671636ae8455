use http::StatusCode;
use tracing::Span;

use crate::backend::{Failure, Outcome};

/// A span that is told once how what it stands for has ended: at the latest when this is dropped,
/// as cancelled.
#[derive(Debug)]
pub(super) struct Ending {
    span: Span,
    open: bool,
}

impl Ending {
    pub(super) fn of(span: Span) -> Self {
        // Nobody asks for what ends then.
        let open = !span.is_disabled();
        Self { span, open }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Whether anybody wants to know, still.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Notes how it has ended, with the status of the response if that is what says so.
    pub(super) fn end(&mut self, outcome: Outcome, status: Option<StatusCode>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.span.record("outcome", outcome.name());
        let name = match outcome {
            Outcome::Success | Outcome::Cancelled => return,
            Outcome::Rejected => outcome.name(),
            Outcome::Failure(failure) => Failure::name(failure),
        };
        let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
        match status.filter(is_error) {
            Some(status) => self.span.record("error.type", status.as_str()),
            None => self.span.record("error.type", name),
        };
        self.span.record("otel.status_code", "ERROR");
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled, None);
    }
}
