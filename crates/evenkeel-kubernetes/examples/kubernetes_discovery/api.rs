//! An API server with nothing but the `EndpointSlice`s of one namespace, inside this process. It can
//! be told to fail.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::service_fn;

type Chunk = Result<Bytes, std::io::Error>;
type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>>;

#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    slices: BTreeMap<String, Value>,
    /// What has happened after `forgotten`.
    log: Vec<(u64, Value)>,
    forgotten: u64,
    watches: Vec<mpsc::UnboundedSender<Chunk>>,
    failures: u32,
    requests: Vec<String>,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let answer = api.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        Client::new(service, "default")
    }

    /// Puts a slice, new or changed.
    pub(crate) fn put(&self, mut slice: Value) {
        let mut state = self.state();
        state.version += 1;
        slice["metadata"]["resourceVersion"] = state.version.to_string().into();
        let name = slice["metadata"]["name"].as_str().unwrap_or_default();
        let known = state.slices.insert(name.to_owned(), slice.clone());
        state.tell(if known.is_some() { "MODIFIED" } else { "ADDED" }, &slice);
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut state = self.state();
        if let Some(mut slice) = state.slices.remove(name) {
            state.version += 1;
            slice["metadata"]["resourceVersion"] = state.version.to_string().into();
            state.tell("DELETED", &slice);
        }
    }

    /// Changes what it has without a word to anybody, as if it were told elsewhere.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn delete_unseen(&self, name: &str) {
        let mut state = self.state();
        state.slices.remove(name);
        state.version += 1;
        state.forgotten = state.version;
        state.log.clear();
    }

    /// Tells those who watch how far they are.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn bookmark(&self) {
        let mut state = self.state();
        let version = state.version.to_string();
        let object = json!({
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": version, "creationTimestamp": null},
            "endpoints": null, "ports": null, "addressType": "",
        });
        state.send(&line("BOOKMARK", object));
    }

    /// Says 500 to so many requests.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn fail(&self, requests: u32) {
        self.state().failures = requests;
    }

    /// Ends all watches as they end when their time is up.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn end_watches(&self) {
        self.state().watches.clear();
    }

    /// Ends all watches in the middle of a line.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn break_watches(&self) {
        let mut state = self.state();
        state.send("{\"type\":\"ADDED\",\"object\":{\"kin");
        for watch in state.watches.drain(..) {
            let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            let _ = watch.send(Err(error));
        }
    }

    /// Says to those who watch that they are too far behind, and ends that.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn expire(&self) {
        let mut state = self.state();
        state.forgotten = state.version;
        state.log.clear();
        state.send(&gone());
        state.watches.clear();
    }

    /// How many watch, and have not hung up.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn watches(&self) -> usize {
        let mut state = self.state();
        state.watches.retain(|watch| !watch.is_closed());
        state.watches.len()
    }

    /// The paths and queries that were asked for.
    #[allow(dead_code, reason = "only tests do this")]
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn answer(&self, request: &Request<Body>) -> Answer {
        let mut state = self.state();
        let uri = request.uri();
        state.requests.push(uri.to_string());
        if state.failures > 0 {
            state.failures -= 1;
            return status(500, "InternalError", "etcd has no leader");
        }
        let query = query(uri.query().unwrap_or_default());
        let number = |name: &str| {
            query
                .get(name)
                .and_then(|number| number.parse::<u64>().ok())
        };
        if query.get("watch").is_some_and(|&watch| watch == "true") {
            state.watch(number("resourceVersion").unwrap_or(0))
        } else {
            state.list(number("limit"), number("continue").unwrap_or(0))
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, kind: &str, slice: &Value) {
        let event = json!({"type": kind, "object": slice});
        self.send(&format!("{event}\n"));
        self.log.push((self.version, event));
    }

    fn send(&mut self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.watches
            .retain(|watch| watch.send(Ok(bytes.clone())).is_ok());
    }

    fn watch(&mut self, after: u64) -> Answer {
        let (watch, chunks) = mpsc::unbounded_channel::<Chunk>();
        if after < self.forgotten {
            let _ = watch.send(Ok(gone().into()));
        } else {
            let missed = self.log.iter().filter(|(version, _)| *version > after);
            for (_, event) in missed {
                let _ = watch.send(Ok(format!("{event}\n").into()));
            }
            self.watches.push(watch);
        }
        let chunks = stream::unfold(chunks, async |mut chunks| {
            Some((chunks.recv().await?, chunks))
        });
        answer(200, chunks.boxed())
    }

    fn list(&self, limit: Option<u64>, skip: u64) -> Answer {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let limit = limit
            .filter(|&limit| limit > 0)
            .and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(usize::MAX);
        let items: Vec<_> = self.slices.values().skip(skip).take(limit).collect();
        let left = self.slices.len().saturating_sub(skip + items.len());
        let next = if left > 0 {
            (skip + items.len()).to_string()
        } else {
            String::new()
        };
        let list = json!({
            "kind": "EndpointSliceList",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": self.version.to_string(), "continue": next},
            "items": items,
        });
        answer(200, whole(list.to_string()))
    }
}

/// One slice of a Service, with one port.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it reads better where it is called"
)]
pub(crate) fn slice(service: &str, name: &str, port: u16, endpoints: Value) -> Value {
    json!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// An endpoint that is ready.
pub(crate) fn ready(address: &str) -> Value {
    endpoint(address, true, true, false)
}

/// One that is about to leave, and still answers.
pub(crate) fn leaving(address: &str) -> Value {
    endpoint(address, false, true, true)
}

pub(crate) fn endpoint(address: &str, ready: bool, serving: bool, terminating: bool) -> Value {
    json!({
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "nodeName": "node-1",
        "zone": "zone-a",
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": format!("pod-{}", address.replace('.', "-"))},
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it reads better where it is called"
)]
fn line(kind: &str, object: Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn gone() -> String {
    line("ERROR", failure(410, "Expired", "too old resource version"))
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    answer(code, whole(failure(code, reason, message).to_string()))
}

fn whole(text: String) -> BoxStream<'static, Chunk> {
    stream::iter([Ok(text.into())]).boxed()
}

fn answer(code: u16, chunks: BoxStream<'static, Chunk>) -> Answer {
    let frames = chunks.map(|chunk| chunk.map(Frame::data)).boxed();
    let mut answer = Response::new(StreamBody::new(frames));
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    answer
}

fn query(query: &str) -> BTreeMap<&str, &str> {
    query
        .split('&')
        .filter_map(|part| part.split_once('='))
        .collect()
}
