//! One stream from the management server, from its connection to its end.

mod answers;
mod setup;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::discover::{Update, Updates};
use evenkeel::http::Address;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use self::answers::Answers;
pub(crate) use self::setup::{Memory, Setup};
use crate::failure::Failure;
use crate::protocol::{News, Protocol, Taken};

/// Calls the method of the service.
pub(crate) type Call<P> = fn(Channel, usize, Requests<P>) -> Calling<P>;
pub(crate) type Requests<P> = ReceiverStream<<P as Protocol>::Request>;
pub(crate) type Calling<P> = Pin<Box<dyn Future<Output = Called<P>> + Send>>;
type Called<P> = Result<Box<Streaming<<P as Protocol>::Response>>, Status>;

struct Session<P: Protocol> {
    setup: Setup,
    protocol: P,
    call: Call<P>,
    stage: Stage<P>,
    /// The stream that goes on where another one has stopped has not been taken yet.
    resumes: bool,
    answers: Answers<P::Request>,
    /// Where they come out, until that is with the server.
    requests: Option<Requests<P>>,
    /// Until when there has to be an assignment.
    deadline: Option<Deadline>,
    /// What was wrong with the last response that was refused.
    refusal: Option<String>,
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
    let (answers, requests) = Answers::new();
    let session = Session {
        setup,
        protocol,
        call,
        stage: Stage::Begin,
        resumes: false,
        answers,
        requests: Some(requests),
        deadline: None,
        refusal: None,
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
                    self.answers.release()?;
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
        let version = self.setup.known_version();
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
                    return Err(self.no_assignment(within.unwrap_or_default()));
                }
            },
        };
        let channel = channel.map_err(Failure::Connect)?;
        let node = self.setup.node.clone();
        let hello = self.protocol.hello(node, version.as_deref());
        self.answers.send(hello)?;
        // It is there: a stream begins once.
        let requests = self.requests.take().ok_or(Failure::Closed)?;
        self.stage = Stage::Calling((self.call)(channel, self.setup.max_message, requests));
        Ok(())
    }

    async fn event(&mut self) -> Event<P> {
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.at).await,
                None => std::future::pending().await,
            }
        };
        let held = self.answers.held_until();
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
            For::First(within) => Err(self.no_assignment(within)),
            // It knows which version we have, and has nothing to add.
            For::Resumption => Ok(self.resumed()),
            // The next stream does not begin with its version.
            For::Next => Err(Failure::Expired),
        }
    }

    fn no_assignment(&mut self, within: Duration) -> Failure {
        Failure::NoAssignment {
            resource: Arc::clone(&self.setup.wanted.resource),
            within,
            refused: self.refusal.take(),
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
        let expires = self.setup.memory().expires;
        self.deadline = expires.map(|at| Deadline {
            at,
            for_what: For::Next,
        });
    }

    fn take(&mut self, response: P::Response) -> Result<Option<Update<Address>>, Failure> {
        // The server does not wait for it.
        self.answers.release()?;
        let answer = self.protocol.answer(response);
        match answer.news {
            News::Refused(_) => self.answers.refuse(answer.reply)?,
            _ => self.answers.accept(answer.reply)?,
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
                self.setup.memory().version = Some(version);
                self.good_for(good_for);
                self.setup.tell_policy(&assignment.policy);
                Some(assignment.into_update())
            }
            News::StillGood(good_for) => {
                // Nothing was said before that could be good still.
                self.setup.memory().version.as_ref()?;
                self.good_for(good_for);
                None
            }
            News::Gone => {
                *self.setup.memory() = Memory::default();
                self.deadline = None;
                Some(Update::all([]))
            }
            News::Refused(why) => {
                let resource = &*self.setup.wanted.resource;
                let update = Update::changes().skip(resource, format_args!("refused, {why}"));
                self.refusal = Some(why);
                Some(update)
            }
        }
    }

    fn good_for(&mut self, good_for: Option<Duration>) {
        let expires = good_for.and_then(|good_for| Instant::now().checked_add(good_for));
        self.setup.memory().expires = expires;
        self.expect_next();
    }
}
