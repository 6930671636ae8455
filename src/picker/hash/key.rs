use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

/// Says which part of a request is its key: requests with the same key go to the same backend.
///
/// For HTTP requests, [`http::key`](crate::http::key) has them ready-made. For anything else,
/// [`key_of`] takes a function, and [`WholeRequest`] is for requests that are keys themselves. A
/// tuple of keys is a list: the first one that is present counts. An empty key counts as absent.
///
/// # Examples
///
/// The user's name, or else the address that the request came from:
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::picker::hash::{Keyed, Maglev, key_of};
/// use evenkeel::Picker;
/// use std::net::IpAddr;
///
/// struct Query {
///     user: Option<String>,
///     from: IpAddr,
/// }
///
/// let user = key_of(|query: &Query| query.user.as_deref().map(Into::into));
/// let from = key_of(|query: &Query| Some(query.from.into()));
/// let picker = Keyed::new(Maglev::new(), (user, from));
///
/// let query = Query { user: None, from: [192, 0, 2, 1].into() };
/// let pick = || picker.pick(&["a", "b", "c"], &query, &mut Context::new());
/// assert_eq!(pick(), pick());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of a `{Req}`",
    label = "not a key of this request type",
    note = "`evenkeel::http::key` has keys of HTTP requests; `key_of` makes one from a function; a tuple of keys is one"
)]
pub trait Key<Req: ?Sized>: Send + Sync {
    /// Returns the request's key, or `None` if it has none.
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>>;
}

/// The bytes of a key: borrowed from the request, or short and kept in place.
///
/// Integers are their little-endian bytes, addresses their text: `192.0.2.1`, `2001:db8::1`. Arrays
/// of up to 46 bytes are kept in place, longer ones are copied.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::hash::KeyBytes;
/// use std::net::IpAddr;
///
/// assert_eq!(KeyBytes::from("user-1").as_bytes(), b"user-1");
/// assert_eq!(KeyBytes::from(258_u16).as_bytes(), [2, 1]);
/// assert_eq!(KeyBytes::from(IpAddr::from([192, 0, 2, 1])).as_bytes(), b"192.0.2.1");
/// ```
#[derive(Clone)]
pub struct KeyBytes<'r>(Repr<'r>);

#[derive(Clone)]
enum Repr<'r> {
    Borrowed(&'r [u8]),
    Inline(u8, [u8; INLINE]),
    Owned(Vec<u8>),
}

/// The longest text of an IP address has 45 bytes.
const INLINE: usize = 46;

/// The whole request is the key: a text, bytes, or a number.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::picker::hash::{Keyed, Modulo, WholeRequest};
/// use evenkeel::Picker;
///
/// let shards = ["shard-0", "shard-1", "shard-2"];
/// let picker = Keyed::new(Modulo::new(), WholeRequest);
/// assert!(picker.pick(&shards, "customer 17", &mut Context::new()).is_some());
/// assert!(picker.pick(&shards, &17_u64, &mut Context::new()).is_some());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WholeRequest;

/// A function as a [`Key`], from [`key_of`].
#[derive(Clone, Copy)]
pub struct KeyOf<F>(F);

/// Makes a [`Key`] from a function of the request, which returns `None`, or `Some` of what can be
/// made into [`KeyBytes`].
///
/// A closure is written where it is passed, so that the compiler sees that it may borrow from the
/// request; otherwise, write a function.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::hash::key_of;
///
/// struct Job {
///     tenant: String,
///     number: u64,
/// }
///
/// let by_tenant = key_of(|job: &Job| Some(job.tenant.as_str().into()));
/// let by_number = key_of(|job: &Job| Some(job.number.into()));
/// # let _ = (by_tenant, by_number);
/// ```
pub fn key_of<Req, F>(function: F) -> KeyOf<F>
where
    Req: ?Sized,
    F: for<'r> Fn(&'r Req) -> Option<KeyBytes<'r>> + Send + Sync,
{
    KeyOf(function)
}

impl KeyBytes<'_> {
    /// Returns the bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Borrowed(bytes) => bytes,
            Repr::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Repr::Owned(bytes) => bytes,
        }
    }

    #[inline]
    fn inline(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE {
            return Self(Repr::Owned(bytes.to_vec()));
        }
        let mut inline = [0; INLINE];
        inline[..bytes.len()].copy_from_slice(bytes);
        Self(Repr::Inline(bytes.len() as u8, inline))
    }
}

impl<Req, F> Key<Req> for KeyOf<F>
where
    Req: ?Sized,
    F: for<'r> Fn(&'r Req) -> Option<KeyBytes<'r>> + Send + Sync,
{
    #[inline]
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
        (self.0)(request)
    }
}

impl<Req: ?Sized> Key<Req> for WholeRequest
where
    for<'r> KeyBytes<'r>: From<&'r Req>,
{
    #[inline]
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
        Some(request.into())
    }
}

impl<Req: ?Sized, K: Key<Req> + ?Sized> Key<Req> for Arc<K> {
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
        (**self).of(request)
    }
}

impl<Req: ?Sized, K: Key<Req> + ?Sized> Key<Req> for Box<K> {
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
        (**self).of(request)
    }
}

/// A key that may not be configured.
impl<Req: ?Sized, K: Key<Req>> Key<Req> for Option<K> {
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
        self.as_ref()?.of(request)
    }
}

/// A list that was put together at run time.
impl<Req: ?Sized, K: Key<Req>> Key<Req> for Vec<K> {
    fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
        self.iter().find_map(|key| present(key, request))
    }
}

macro_rules! first_of {
    ($($key:ident $at:tt),+) => {
        impl<Req: ?Sized, $($key: Key<Req>),+> Key<Req> for ($($key,)+) {
            #[inline]
            fn of<'r>(&'r self, request: &'r Req) -> Option<KeyBytes<'r>> {
                None$(.or_else(|| present(&self.$at, request)))+
            }
        }
    };
}

first_of!(A 0);
first_of!(A 0, B 1);
first_of!(A 0, B 1, C 2);
first_of!(A 0, B 1, C 2, D 3);
first_of!(A 0, B 1, C 2, D 3, E 4);
first_of!(A 0, B 1, C 2, D 3, E 4, F 5);

/// The request's key, unless it is empty.
#[inline]
fn present<'r, Req: ?Sized>(
    key: &'r (impl Key<Req> + ?Sized),
    request: &'r Req,
) -> Option<KeyBytes<'r>> {
    let found = key.of(request);
    match &found {
        Some(key) if !key.as_bytes().is_empty() => found,
        _ => None,
    }
}

impl<'r> From<&'r [u8]> for KeyBytes<'r> {
    #[inline]
    fn from(bytes: &'r [u8]) -> Self {
        Self(Repr::Borrowed(bytes))
    }
}

impl<'r> From<&'r str> for KeyBytes<'r> {
    #[inline]
    fn from(text: &'r str) -> Self {
        text.as_bytes().into()
    }
}

impl<'r> From<&'r String> for KeyBytes<'r> {
    fn from(text: &'r String) -> Self {
        text.as_bytes().into()
    }
}

impl<'r> From<&'r Vec<u8>> for KeyBytes<'r> {
    fn from(bytes: &'r Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl<'r, const N: usize> From<&'r [u8; N]> for KeyBytes<'r> {
    fn from(bytes: &'r [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl<const N: usize> From<[u8; N]> for KeyBytes<'_> {
    fn from(bytes: [u8; N]) -> Self {
        Self::inline(&bytes)
    }
}

impl<'r> From<&'r Arc<str>> for KeyBytes<'r> {
    fn from(text: &'r Arc<str>) -> Self {
        text.as_bytes().into()
    }
}

/// As a `u64`, so that programs of any width agree.
impl From<usize> for KeyBytes<'_> {
    fn from(number: usize) -> Self {
        (number as u64).into()
    }
}

impl From<Vec<u8>> for KeyBytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(bytes))
    }
}

impl From<String> for KeyBytes<'_> {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<IpAddr> for KeyBytes<'_> {
    fn from(address: IpAddr) -> Self {
        let mut text = [0; INLINE];
        let mut rest = &mut text[..];
        // It fits, whatever the address.
        let _ = write!(rest, "{address}");
        let len = INLINE - rest.len();
        Self(Repr::Inline(len as u8, text))
    }
}

macro_rules! from_integers {
    ($($integer:ty)+) => {$(
        impl From<$integer> for KeyBytes<'_> {
            #[inline]
            fn from(number: $integer) -> Self {
                Self::inline(&number.to_le_bytes())
            }
        }

        impl From<&$integer> for KeyBytes<'_> {
            #[inline]
            fn from(number: &$integer) -> Self {
                Self::inline(&number.to_le_bytes())
            }
        }
    )+};
}

from_integers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

impl fmt::Debug for KeyBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyBytes(\"{}\")", self.as_bytes().escape_ascii())
    }
}

impl<F> fmt::Debug for KeyOf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOf").finish_non_exhaustive()
    }
}
