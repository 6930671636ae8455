use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::failure::Failure;

/// So many answers may be on their way to the server. It reads them one after the other.
const AT_ONCE: usize = 64;

/// How long the second NACK in a row is held back; from there it doubles. A server that sends the
/// same again at once would otherwise keep both sides busy.
const HOLD: Duration = Duration::from_millis(100);
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// What the server is told: requests, and answers to its responses.
pub(super) struct Answers<R> {
    sender: mpsc::Sender<R>,
    /// So many responses in a row were refused.
    refused: u32,
    held: Option<(Instant, R)>,
}

impl<R> Answers<R> {
    /// And where they come out.
    pub(super) fn new() -> (Self, ReceiverStream<R>) {
        let (sender, receiver) = mpsc::channel(AT_ONCE);
        let answers = Self {
            sender,
            refused: 0,
            held: None,
        };
        (answers, ReceiverStream::new(receiver))
    }

    pub(super) fn accept(&mut self, ack: R) -> Result<(), Failure> {
        self.refused = 0;
        self.send(ack)
    }

    /// Sends a NACK, perhaps a while later, when [`release`](Self::release) is called.
    pub(super) fn refuse(&mut self, nack: R) -> Result<(), Failure> {
        self.refused = self.refused.saturating_add(1);
        if self.refused == 1 {
            return self.send(nack);
        }
        let doubled = HOLD.saturating_mul(1 << (self.refused - 2).min(16));
        let until = Instant::now() + doubled.min(LONGEST_HOLD);
        self.held = Some((until, nack));
        Ok(())
    }

    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|&(until, _)| until)
    }

    /// Sends what was held back, if there is anything.
    pub(super) fn release(&mut self) -> Result<(), Failure> {
        match self.held.take() {
            Some((_, nack)) => self.send(nack),
            None => Ok(()),
        }
    }

    pub(super) fn send(&self, request: R) -> Result<(), Failure> {
        match self.sender.try_send(request) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Failure::NotRead),
            // When nobody takes it any more, the stream says why.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}
