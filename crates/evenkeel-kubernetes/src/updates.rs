use std::net::SocketAddr;

use evenkeel::discover::{Update, Updates};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event};

use crate::breaks::Breaks;
use crate::endpoint::Slice;
use crate::slices::Slices;
use crate::source::Settings;

type Events = BoxStream<'static, watcher::Result<Event<EndpointSlice>>>;

/// What the API server tells, as updates. The first error that is not forgiven is the end.
pub(crate) fn updates(
    events: impl Stream<Item = watcher::Result<Event<EndpointSlice>>> + Send + 'static,
    settings: Settings,
    breaks: Breaks,
) -> Updates<SocketAddr> {
    let watching = Watching {
        events: events.boxed(),
        settings,
        slices: Slices::default(),
        listed: None,
        breaks,
        paused: false,
    };
    let updates = stream::unfold(Some(watching), async |watching| {
        let mut watching = watching?;
        let next = watching.next().await?;
        let rest = next.is_ok().then_some(watching);
        Some((next.map_err(Into::into), rest))
    });
    updates.boxed()
}

struct Watching {
    events: Events,
    settings: Settings,
    slices: Slices,
    /// What has come of a list that has not come to its end.
    listed: Option<Slices>,
    breaks: Breaks,
    paused: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<Update<SocketAddr>, watcher::Error>> {
        if !std::mem::replace(&mut self.paused, true) {
            self.breaks.begin();
        }
        loop {
            match self.events.next().await? {
                Ok(event) => {
                    if self.take(event) {
                        let zone = self.settings.hinted_for.as_deref();
                        return Some(Ok(self.slices.update(zone)));
                    }
                }
                Err(error) if self.breaks.forgive(&error) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Returns whether there is something to tell.
    fn take(&mut self, event: Event<EndpointSlice>) -> bool {
        match event {
            Event::Init => {
                self.listed = Some(Slices::default());
                false
            }
            Event::InitApply(slice) => {
                let (name, slice) = self.read(slice);
                self.listed.get_or_insert_default().put(name, slice);
                false
            }
            Event::InitDone => {
                self.slices = self.listed.take().unwrap_or_default();
                true
            }
            Event::Apply(slice) => {
                let (name, slice) = self.read(slice);
                self.slices.put(name, slice);
                true
            }
            Event::Delete(slice) => {
                self.slices.remove(&slice.metadata.name.unwrap_or_default());
                true
            }
        }
    }

    fn read(&self, slice: EndpointSlice) -> (String, Slice) {
        let name = slice.metadata.name.clone().unwrap_or_default();
        let slice = Slice::new(slice, &self.settings.port, self.settings.family);
        (name, slice)
    }
}
