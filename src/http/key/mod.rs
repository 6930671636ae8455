//! Keys of HTTP requests, for [`hash::Keyed`](crate::picker::hash::Keyed).
//!
//! | key | what counts |
//! | --- | --- |
//! | [`client_address`] | where the request comes from |
//! | [`path`] | the path, or its first segments or bytes |
//! | [`uri`] | path and query |
//! | [`query`] | one parameter of the query |
//! | [`header`] | one header |
//! | [`cookie`] | one cookie |
//! | [`host`] | the name of the site |
//! | [`key_of`](crate::picker::hash::key_of) | what a function of yours returns |
//!
//! A tuple of keys is a list: the first that is present counts. All are read as they stand, without
//! decoding: `%41` and `A` are different. Nothing is copied but addresses and names of sites that
//! are not in lower case.
//!
//! # Examples
//!
//! ```
//! use evenkeel::http::key;
//! use evenkeel::picker::hash::Key;
//! use http::Request;
//!
//! let session = (key::cookie("session")?, key::header("x-session")?, key::client_address());
//! let request = Request::get("/").header("cookie", "a=1; session=s7").body(())?;
//! assert_eq!(session.of(&request).unwrap().as_bytes(), b"s7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client_address;
mod parts;

pub use self::client_address::{ClientAddress, ForwardedIn, PeerAddress, client_address};
pub use self::parts::{
    Cookie, Header, Host, Path, QueryParameter, Uri, cookie, header, host, path, query, uri,
};
