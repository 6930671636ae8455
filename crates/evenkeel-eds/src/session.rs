//! One stream from the management server, from its connection to its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use evenkeel::discover::{Update, Updates};
use evenkeel::http::Address;
use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::failure::Failure;
use crate::policy::Policy;
use crate::protocol::{News, Protocol, Taken, Wanted};

/// What streams leave to those after them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// That of the last assignment, if the pool has it still.
    version: Option<String>,
    /// When it is no good any more.
    expires: Option<Instant>,
}

/// What all streams of a source have in common.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) server: Endpoint,
    pub(crate) node: core::Node,
    pub(crate) wanted: Wanted,
    pub(crate) initial_fetch_timeout: Option<Duration>,
    pub(crate) max_message: usize,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) policy: watch::Sender<Arc<Policy>>,
}

/// Calls the method of the service.
pub(crate) type Call<P> = fn(Channel, usize, Requests<P>) -> Calling<P>;
pub(crate) type Requests<P> = ReceiverStream<<P as Protocol>::Request>;
pub(crate) type Calling<P> = Pin<Box<dyn Future<Output = Called<P>> + Send>>;
type Called<P> = Result<Box<Streaming<<P as Protocol>::Response>>, Status>;

/// So many answers may be on their way to the server. It reads them one after the other.
const ANSWERS: usize = 64;

/// How long the second NACK in a row is held back; from there it doubles. A server that sends the
/// same again at once would otherwise keep both sides busy.
const HOLD: Duration = Duration::from_millis(100);
const LONGEST_HOLD: Duration = Duration::from_secs(10);

struct Session<P: Protocol> {
    setup: Setup,
    protocol: P,
    call: Call<P>,
    stage: Stage<P>,
    /// The stream that goes on where another one has stopped has not been taken yet.
    resumes: bool,
    /// It lives for as long as the stream does.
    channel: Option<Channel>,
    /// Where answers go.
    answers: Option<mpsc::Sender<P::Request>>,
    /// Until when there has to be an assignment.
    deadline: Option<Deadline>,
    /// So many responses in a row were refused.
    refused: u32,
    held: Option<(Instant, P::Request)>,
}

enum Stage<P: Protocol> {
    Begin,
    /// Some servers send the head only with the first response.
    Calling(Calling<P>),
    Open(Box<Streaming<P::Response>>),
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    for_what: For,
}

#[derive(Clone, Copy)]
enum For {
    /// The first assignment of all.
    First(Duration),
    /// A word of the server, who knows what we have.
    Resumption,
    /// Another assignment, before the last one is no good any more.
    Next,
}

/// What a session waits for.
enum Event<P: Protocol> {
    Deadline(Deadline),
    /// A NACK was held back for long enough.
    Released,
    Called(Called<P>),
    Response(Option<Result<P::Response, Status>>),
}

pub(crate) fn updates<P: Protocol>(setup: Setup, protocol: P, call: Call<P>) -> Updates<Address> {
    let session = Session {
        setup,
        protocol,
        call,
        stage: Stage::Begin,
        resumes: false,
        channel: None,
        answers: None,
        deadline: None,
        refused: 0,
        held: None,
    };
    let updates = stream::try_unfold(session, |mut session| async move {
        let update = session.next().await?;
        Ok(Some((update, session)))
    });
    updates.boxed()
}

impl<P: Protocol> Session<P> {
    async fn next(&mut self) -> Result<Update<Address>, Failure> {
        if let Stage::Begin = self.stage {
            self.begin().await?;
        }
        loop {
            let update = match self.event().await {
                Event::Deadline(deadline) => self.late(deadline)?,
                Event::Released => {
                    self.release()?;
                    None
                }
                Event::Called(called) => {
                    let called = called.map_err(|status| Failure::Stream(Box::new(status)))?;
                    self.stage = Stage::Open(called);
                    self.resumed()
                }
                Event::Response(Some(Ok(response))) => self.take(response)?,
                Event::Response(Some(Err(status))) => {
                    return Err(Failure::Stream(Box::new(status)));
                }
                Event::Response(None) => return Err(Failure::Closed),
            };
            if let Some(update) = update {
                return Ok(update);
            }
        }
    }

    /// Connects, and calls the server.
    async fn begin(&mut self) -> Result<(), Failure> {
        let version = self.known_version();
        self.resumes = version.is_some();
        let within = self.setup.initial_fetch_timeout;
        self.deadline = within.and_then(|within| {
            let for_what = match &version {
                None => For::First(within),
                Some(_) => For::Resumption,
            };
            let at = Instant::now().checked_add(within)?;
            Some(Deadline { at, for_what })
        });
        let channel = match self.deadline {
            None => self.setup.server.connect().await,
            Some(deadline) => tokio::select! {
                channel = self.setup.server.connect() => channel,
                () = sleep_until(deadline.at) => {
                    let resource = Arc::clone(&self.setup.wanted.resource);
                    let within = within.unwrap_or_default();
                    return Err(Failure::NoAssignment { resource, within });
                }
            },
        };
        let channel = channel.map_err(Failure::Connect)?;
        let (answers, requests) = mpsc::channel(ANSWERS);
        let node = self.setup.node.clone();
        let hello = self.protocol.hello(node, version.as_deref());
        answers.try_send(hello).map_err(|_| Failure::NotRead)?;
        self.answers = Some(answers);
        self.channel = Some(channel.clone());
        let requests = ReceiverStream::new(requests);
        self.stage = Stage::Calling((self.call)(channel, self.setup.max_message, requests));
        Ok(())
    }

    /// That of what the pool has, if it is good still.
    fn known_version(&self) -> Option<String> {
        let mut memory = self.memory();
        if memory.expires.is_some_and(|at| at <= Instant::now()) {
            *memory = Memory::default();
        }
        memory.version.clone()
    }

    async fn event(&mut self) -> Event<P> {
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.at).await,
                None => std::future::pending().await,
            }
        };
        let held = self.held.as_ref().map(|&(until, _)| until);
        let release = async {
            match held {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let said = async {
            match &mut self.stage {
                Stage::Begin => std::future::pending().await,
                Stage::Calling(calling) => Event::Called(calling.await),
                Stage::Open(stream) => Event::Response(stream.next().await),
            }
        };
        tokio::select! {
            biased;
            event = said => event,
            () = release => Event::Released,
            () = late => match deadline {
                Some(deadline) => Event::Deadline(deadline),
                None => Event::Released,
            },
        }
    }

    fn late(&mut self, deadline: Deadline) -> Result<Option<Update<Address>>, Failure> {
        match deadline.for_what {
            For::First(within) => Err(Failure::NoAssignment {
                resource: Arc::clone(&self.setup.wanted.resource),
                within,
            }),
            // It knows which version we have, and has nothing to add.
            For::Resumption => Ok(self.resumed()),
            For::Next => {
                *self.memory() = Memory::default();
                Err(Failure::Expired)
            }
        }
    }

    /// The server takes the stream. If it knows what we have, nothing has changed so far.
    fn resumed(&mut self) -> Option<Update<Address>> {
        std::mem::take(&mut self.resumes).then(|| {
            self.expect_next();
            Update::changes()
        })
    }

    fn expect_next(&mut self) {
        let expires = self.memory().expires;
        self.deadline = expires.map(|at| Deadline {
            at,
            for_what: For::Next,
        });
    }

    fn take(&mut self, response: P::Response) -> Result<Option<Update<Address>>, Failure> {
        // The server does not wait for it.
        self.release()?;
        let answer = self.protocol.answer(response);
        if let News::Refused(_) = answer.news {
            self.refused = self.refused.saturating_add(1);
        } else {
            self.refused = 0;
        }
        if self.refused > 1 {
            let doubled = HOLD.saturating_mul(1 << (self.refused - 2).min(16));
            let until = Instant::now() + doubled.min(LONGEST_HOLD);
            self.held = Some((until, answer.reply));
        } else {
            self.send(answer.reply)?;
        }
        let update = self.hear(answer.news);
        let Some(trouble) = answer.trouble else {
            return Ok(update);
        };
        let update = update.unwrap_or_else(Update::changes);
        Ok(Some(update.skip(&*self.setup.wanted.resource, trouble)))
    }

    fn hear(&mut self, news: News) -> Option<Update<Address>> {
        match news {
            News::Nothing => None,
            News::Assignment(taken) => {
                let Taken {
                    assignment,
                    version,
                    good_for,
                } = *taken;
                self.memory().version = Some(version);
                self.good_for(good_for);
                let policy = Arc::clone(&assignment.policy);
                self.setup.policy.send_if_modified(|last| {
                    let differs = *last != policy;
                    *last = policy;
                    differs
                });
                Some(assignment.into_update())
            }
            News::StillGood(good_for) => {
                // Nothing was said before that could be good still.
                self.memory().version.as_ref()?;
                self.good_for(good_for);
                None
            }
            News::Gone => {
                *self.memory() = Memory::default();
                self.deadline = None;
                Some(Update::all([]))
            }
            News::Refused(why) => {
                let resource = &*self.setup.wanted.resource;
                Some(Update::changes().skip(resource, format_args!("refused, {why}")))
            }
        }
    }

    fn good_for(&mut self, good_for: Option<Duration>) {
        let expires = good_for.and_then(|good_for| Instant::now().checked_add(good_for));
        self.memory().expires = expires;
        self.expect_next();
    }

    /// Sends the answer that was held back, if there is one.
    fn release(&mut self) -> Result<(), Failure> {
        match self.held.take() {
            Some((_, reply)) => self.send(reply),
            None => Ok(()),
        }
    }

    fn send(&self, reply: P::Request) -> Result<(), Failure> {
        match self.answers.as_ref().map(|answers| answers.try_send(reply)) {
            Some(Err(mpsc::error::TrySendError::Full(_))) => Err(Failure::NotRead),
            // When nobody takes it any more, the stream says why.
            _ => Ok(()),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = self.setup.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }
}
