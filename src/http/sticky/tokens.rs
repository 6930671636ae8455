use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::InvalidSetting;

/// Makes and reads tokens: texts that say to which backend of a pool a client belongs, without
/// saying so to the client.
///
/// # What is in a token
///
/// 60 characters of URL-safe base64, of 45 bytes:
///
/// | bytes | |
/// | --- | --- |
/// | 1 | version: 1 |
/// | 4 | which key has signed it |
/// | 8 | when it expires, in seconds since 1970 |
/// | 16 | a pseudonym of the backend: HMAC-SHA256 over the names of the pool and the backend |
/// | 16 | HMAC-SHA256 over all of the above and the pool's name |
///
/// Both codes are cut to 16 bytes, as RFC 2104 allows, and have keys of their own that are derived
/// from yours. The last one is compared in constant time. Neither the backend's id nor its address
/// is in it, not even encoded; that two tokens are for the same backend can be seen, and a token
/// works for whoever has it.
///
/// A token that is forged, cut short, expired, of another pool or version, or signed by a key that
/// is not in the list any more, counts as none.
///
/// # Keys
///
/// Of 32 bytes or more, from a good random source, and the same in all programs that serve the same
/// clients. The first one signs; the others are accepted, and their tokens replaced. To change
/// keys: add the new one at the end everywhere, then move it to the front, then, after a
/// [lifetime](Self::lifetime), drop the old one.
///
/// # Examples
///
/// ```
/// use evenkeel::http::sticky::Tokens;
///
/// # let (new, old) = ([7; 32], [8; 32]);
/// let tokens = Tokens::new("shop", [new, old])?;
///
/// let error = Tokens::new("shop", ["secret"]).unwrap_err();
/// assert_eq!(error.to_string(), "invalid key of 6 bytes: expected 32 or more random bytes");
/// # let _ = tokens;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Tokens {
    pool: Arc<str>,
    keys: Arc<[Key]>,
    lifetime: Duration,
    clock: fn() -> SystemTime,
}

/// One key, and what is derived from it.
struct Key {
    id: [u8; KEY_ID],
    signing: Hmac<Sha256>,
    naming: Hmac<Sha256>,
}

/// What stands for a backend in a token.
pub(super) type Pseudonym = [u8; PSEUDONYM];

/// What an authentic token says.
pub(super) struct Claim {
    pub(super) backend: Pseudonym,
    /// Whether it should be replaced by a new one.
    pub(super) renew: bool,
}

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const PSEUDONYM: usize = 16;
const CODE: usize = 16;
const SIGNED: usize = 1 + KEY_ID + 8 + PSEUDONYM;
const BYTES: usize = SIGNED + CODE;
const CHARACTERS: usize = BYTES / 3 * 4;

const SHORTEST_KEY: usize = 32;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(400 * DAY.as_secs());

impl Tokens {
    /// Makes tokens for the backends of a pool, which is named so that those of another do not
    /// count. The first key signs.
    ///
    /// # Errors
    ///
    /// When the pool's name is empty, when there is no key, or one of less than 32 bytes.
    pub fn new<K: AsRef<[u8]>>(
        pool: impl Into<Arc<str>>,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, InvalidSetting> {
        let pool = pool.into();
        if pool.is_empty() {
            return Err(InvalidSetting::new("name of a pool", "\"\"", "a text"));
        }
        let key = |key: K| match key.as_ref() {
            secret if secret.len() >= SHORTEST_KEY => Ok(Key::derived_from(secret)),
            // The message is for logs, so the key is not in it.
            secret => Err(InvalidSetting::new(
                "key",
                format_args!("of {} bytes", secret.len()),
                "32 or more random bytes",
            )),
        };
        let keys: Arc<[Key]> = keys.into_iter().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(InvalidSetting::new("number of keys", 0, "1 or more"));
        }
        Ok(Self {
            pool,
            keys,
            lifetime: DAY,
            clock: SystemTime::now,
        })
    }

    /// Sets how long a token counts. Default 24 hours. A client that comes back within it is given
    /// a new one when half of it has passed. Those that were given out with a longer life keep it,
    /// until their client comes back.
    ///
    /// # Errors
    ///
    /// When it is less than a second or more than 400 days, the most that browsers keep a cookie.
    pub fn lifetime(self, lifetime: Duration) -> Result<Self, InvalidSetting> {
        if (Duration::from_secs(1)..=LONGEST).contains(&lifetime) {
            Ok(Self { lifetime, ..self })
        } else {
            let given = format_args!("{lifetime:?}");
            let expected = "from 1 second to 400 days";
            Err(InvalidSetting::new("lifetime", given, expected))
        }
    }

    /// Sets where the time comes from. Default: [`SystemTime::now`]. For tests.
    pub fn clock(self, clock: fn() -> SystemTime) -> Self {
        Self { clock, ..self }
    }

    pub(super) fn seconds(&self) -> u64 {
        self.lifetime.as_secs()
    }

    /// The backend's pseudonyms, one for each key.
    pub(super) fn pseudonyms(&self, backend: &str) -> Box<[Pseudonym]> {
        let pseudonym = |key: &Key| {
            let mut code = key.naming.clone();
            self.name(&mut code);
            code.update(backend.as_bytes());
            cut(code)
        };
        self.keys.iter().map(pseudonym).collect()
    }

    /// A token for the backend that the first key gives this pseudonym.
    pub(super) fn sign(&self, backend: &Pseudonym) -> String {
        let key = &self.keys[0];
        let mut token = [0; BYTES];
        let (signed, code) = token.split_at_mut(SIGNED);
        let expires = self.now().saturating_add(self.lifetime.as_secs());
        signed[0] = VERSION;
        signed[1..][..KEY_ID].copy_from_slice(&key.id);
        signed[1 + KEY_ID..][..8].copy_from_slice(&expires.to_be_bytes());
        signed[1 + KEY_ID + 8..].copy_from_slice(backend);
        code.copy_from_slice(&cut(self.code(key, signed)));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Returns what a token says, if it is authentic and has not expired.
    pub(super) fn read(&self, text: &[u8]) -> Option<Claim> {
        if text.len() != CHARACTERS {
            return None;
        }
        let mut token = [0; BYTES];
        URL_SAFE_NO_PAD.decode_slice(text, &mut token).ok()?;
        let (signed, code) = token.split_at(SIGNED);
        let (version, rest) = signed.split_first()?;
        let (key_id, rest) = rest.split_at(KEY_ID);
        let (expires, backend) = rest.split_first_chunk()?;
        if *version != VERSION {
            return None;
        }
        let at = self.keys.iter().position(|key| key.id == key_id)?;
        let expected = self.code(&self.keys[at], signed);
        expected.verify_truncated_left(code).ok()?;

        let left = u64::from_be_bytes(*expires).checked_sub(self.now())?;
        let lifetime = self.lifetime.as_secs();
        let fresh = at == 0 && (lifetime / 2..=lifetime).contains(&left);
        (left > 0).then_some(Claim {
            backend: backend.try_into().ok()?,
            renew: !fresh,
        })
    }

    fn code(&self, key: &Key, signed: &[u8]) -> Hmac<Sha256> {
        let mut code = key.signing.clone();
        self.name(&mut code);
        code.update(signed);
        code
    }

    /// The pool's name, so that where it ends cannot be mistaken.
    fn name(&self, code: &mut Hmac<Sha256>) {
        code.update(&(self.pool.len() as u64).to_be_bytes());
        code.update(self.pool.as_bytes());
    }

    fn now(&self) -> u64 {
        let since = (self.clock)().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}

impl Key {
    fn derived_from(secret: &[u8]) -> Self {
        let derived = |purpose: &str| {
            let mut code = hmac(secret);
            code.update(purpose.as_bytes());
            code.finalize().into_bytes()
        };
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&derived("evenkeel token: key id")[..KEY_ID]);
        Self {
            id,
            signing: hmac(&derived("evenkeel token: signature")),
            naming: hmac(&derived("evenkeel token: pseudonym")),
        }
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn cut(code: Hmac<Sha256>) -> [u8; 16] {
    let mut cut = [0; 16];
    cut.copy_from_slice(&code.finalize().into_bytes()[..16]);
    cut
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("pool", &self.pool)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
