use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{HeaderName, SET_COOKIE};
use http::{HeaderMap, Request, Response};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::InvalidSetting;
use crate::http::{cookie, key};
use crate::time::now;

/// Remembers which backend has given out which session id, for [`Sticky::learned`](super::Sticky).
///
/// The id is learnt from a response and looked for in requests. Of an id only a 128-bit hash is
/// kept, so that its length costs nothing.
///
/// # Bounds
///
/// At most [`capacity`](Self::capacity) sessions, of about 64 bytes each. When there are more,
/// those go that have not been used for longest, roughly: a session that is used stays until half
/// as many others have been since. A session that has not been used for
/// [`max_idle`](Self::max_idle) is forgotten.
///
/// Each request and each response with an id takes a lock that one in 16 sessions share, for the
/// length of a look into a table; once in a while, for as long as it takes to get memory for a new
/// one.
///
/// One [`Sticky`](super::Sticky) is for one pool: its ids mean nothing in another.
///
/// # Examples
///
/// ```
/// use evenkeel::http::sticky::{Learned, Sticky};
/// use std::time::Duration;
///
/// // Servers of the Model Context Protocol name a session in this header.
/// let sessions = Learned::header("mcp-session-id")?.max_idle(Duration::from_secs(3_600))?;
/// let sticky = Sticky::learned(sessions);
/// # let _ = sticky;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Learned {
    id: Id,
    capacity: usize,
    max_idle: Duration,
}

/// Where the id of a session is found.
#[derive(Clone, Debug)]
enum Id {
    Cookie(String),
    Header(HeaderName),
}

/// The sessions that have been learnt.
pub(super) struct Sessions {
    id: Id,
    shards: Box<[Mutex<Shard>]>,
    /// So that nobody can choose ids that collide.
    seed: u64,
    /// Each generation of each shard has so many.
    most: usize,
    max_idle: Duration,
}

/// Sessions of two generations: those used since the last turn, and those not used since. When
/// there are enough of the young, the old ones go and the young ones become old.
#[derive(Default)]
struct Shard {
    young: HashMap<u128, Session>,
    old: HashMap<u128, Session>,
}

struct Session {
    backend: Arc<str>,
    used: Instant,
}

const CAPACITY: usize = 100_000;
const MAX_IDLE: Duration = Duration::from_secs(600);
const SHARDS: usize = 16;

impl Learned {
    /// Sessions named by a cookie that the application sets, such as `JSESSIONID`.
    ///
    /// # Errors
    ///
    /// When it is no name for a cookie.
    pub fn cookie(name: impl Into<String>) -> Result<Self, InvalidSetting> {
        let name = name.into();
        // Refuses what is no name.
        key::cookie(&name)?;
        Ok(Self::new(Id::Cookie(name)))
    }

    /// Sessions named by a header, in responses and requests.
    ///
    /// # Errors
    ///
    /// When it is no name for a header.
    pub fn header(name: &str) -> Result<Self, InvalidSetting> {
        Ok(Self::new(Id::Header(key::header(name)?.name().clone())))
    }

    /// Sets how many sessions are remembered at most. Default 100,000.
    ///
    /// # Errors
    ///
    /// When it is less than 2.
    pub fn capacity(self, capacity: usize) -> Result<Self, InvalidSetting> {
        match capacity {
            0..2 => Err(InvalidSetting::new(
                "capacity",
                capacity,
                "2 or more sessions",
            )),
            _ => Ok(Self { capacity, ..self }),
        }
    }

    /// Sets how long a session is remembered after its last use. Default 10 minutes.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn max_idle(self, max_idle: Duration) -> Result<Self, InvalidSetting> {
        if max_idle.is_zero() {
            let expected = "more than zero";
            return Err(InvalidSetting::new("time to be idle", "0s", expected));
        }
        Ok(Self { max_idle, ..self })
    }

    fn new(id: Id) -> Self {
        Self {
            id,
            capacity: CAPACITY,
            max_idle: MAX_IDLE,
        }
    }
}

impl Sessions {
    pub(super) fn new(settings: Learned) -> Self {
        let shards = if settings.capacity < 64 * SHARDS {
            1
        } else {
            SHARDS
        };
        Self {
            id: settings.id,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            seed: fastrand::u64(..),
            most: settings.capacity / shards / 2,
            max_idle: settings.max_idle,
        }
    }

    /// Returns a request's session, and the backend that it belongs to.
    pub(super) fn of<B>(&self, request: &Request<B>) -> Option<(u128, Arc<str>)> {
        let id = match &self.id {
            Id::Cookie(name) => {
                let mut values = cookie::values(request.headers(), name);
                values.find(|value| !value.is_empty())?
            }
            Id::Header(name) => request.headers().get(name)?.as_bytes(),
        };
        let hash = self.hash(id);
        let mut shard = self.shard(hash);
        let mut session = shard.take(hash)?;
        let now = now();
        if now.saturating_duration_since(session.used) > self.max_idle {
            return None;
        }
        session.used = now;
        let backend = Arc::clone(&session.backend);
        let retired = shard.put(hash, session, self.most);
        drop(shard);
        drop(retired);
        Some((hash, backend))
    }

    pub(super) fn forget(&self, session: u128) {
        let forgotten = self.shard(session).take(session);
        drop(forgotten);
    }

    /// Takes note of the session that a backend names in its response, or of a new one only.
    pub(super) fn learn<B>(&self, response: &Response<B>, backend: &Arc<str>, only_new: bool) {
        let id = match &self.id {
            Id::Cookie(name) => set_cookie(response.headers(), name),
            Id::Header(name) => response
                .headers()
                .get(name)
                .map(http::HeaderValue::as_bytes),
        };
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return;
        };
        let hash = self.hash(id);
        let session = Session {
            backend: Arc::clone(backend),
            used: now(),
        };
        let mut shard = self.shard(hash);
        let before = shard.take(hash);
        let (session, before) = match before {
            Some(known) if only_new => (known, None),
            before => (session, before),
        };
        let retired = shard.put(hash, session, self.most);
        drop(shard);
        drop((before, retired));
    }

    fn hash(&self, id: &[u8]) -> u128 {
        xxh3_128_with_seed(id, self.seed)
    }

    fn shard(&self, hash: u128) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[hash as usize % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn take(&mut self, hash: u128) -> Option<Session> {
        let young = self.young.remove(&hash);
        young.or_else(|| self.old.remove(&hash))
    }

    /// Returns the old generation, if it is to go: many sessions, to be dropped without the lock.
    fn put(&mut self, hash: u128, session: Session, most: usize) -> Option<HashMap<u128, Session>> {
        let retired = (self.young.len() >= most).then(|| {
            // At its full size at once, since growing takes long, too.
            let young = HashMap::with_capacity(most);
            std::mem::replace(&mut self.old, std::mem::replace(&mut self.young, young))
        });
        self.young.insert(hash, session);
        retired
    }
}

/// The value of the last cookie of a name that a response sets.
fn set_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let cookies = headers.get_all(SET_COOKIE).iter().rev();
    let mut values = cookies.filter_map(|cookie| {
        let pair = cookie.as_bytes().split(|&byte| byte == b';').next()?;
        cookie::value_of(pair, name)
    });
    values.next()
}
