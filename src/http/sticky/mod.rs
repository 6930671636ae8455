//! Sticky sessions: a client stays with the backend that it was sent to first.
//!
//! [`Sticky`] is a layer around a [`Balance`](crate::Balance) of HTTP. It finds out to which
//! backend a request belongs and [binds](crate::balance::Attempt) it; a request that belongs to
//! nobody is picked for as usual, and its client bound to whoever answers.
//!
//! | when | use |
//! | --- | --- |
//! | browsers: nothing to store, and no id or address to see | [`Sticky::cookie`] |
//! | clients that keep no cookies, but a header or a link | [`Sticky::header`], [`Sticky::query`] |
//! | the application sets a session id already | [`Sticky::learned`] |
//! | an uneven share per client is worse than a cold cache | a [hash](crate::picker::hash) of the session instead |
//!
//! A drained backend, or one of weight 0, keeps its sessions and gets no new ones. When a backend
//! has left, [`OnGone`] says what becomes of its sessions.
//!
//! A backend that is not ready, behind a concurrency limit or while it is being connected to, is
//! passed over for that one request. Where that costs more than a wait, let it wait:
//! [`Balance::affinity_wait`](crate::Balance::affinity_wait).
//!
//! # What a client can do
//!
//! It can keep a token, compare two, and use one that another was given: whoever has a token is
//! bound to its backend. It cannot make one, and so not choose among backends that it was never
//! sent to, nor learn an id or address.
//!
//! # Examples
//!
//! ```
//! use evenkeel::http::sticky::{SessionCookie, Sticky, Tokens};
//! use evenkeel::{Backend, Balance, Pool};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = [7; 32];
//! let app = service_fn(|_request: Request<()>| async {
//!     Ok::<_, std::io::Error>(Response::new(String::new()))
//! });
//! let pool = Pool::from([Backend::new("a", app), Backend::new("b", app), Backend::new("c", app)]);
//! let balance = Balance::least_requests(pool).count_to_body_end();
//!
//! // `key`: 32 random bytes, from your configuration.
//! let sticky = Sticky::cookie(Tokens::new("shop", [key])?, SessionCookie::new("route")?)?;
//! let service = sticky.layer(balance);
//!
//! let first = service.clone().oneshot(Request::new(())).await?;
//! let cookie = first.headers()["set-cookie"].to_str()?.split(';').next().unwrap().to_owned();
//! for _ in 0..10 {
//!     let request = Request::get("/").header("cookie", &cookie).body(())?;
//!     let next = service.clone().oneshot(request).await?;
//!     assert_eq!(next.body().backend(), first.body().backend());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! As the fallback of an axum router:
//!
//! ```
//! use evenkeel::http::sticky::{SessionCookie, Sticky, Tokens};
//! use evenkeel::{Balance, InvalidSetting, Pool};
//! use tower::Layer;
//!
//! fn site(replicas: Pool<axum::Router>, key: [u8; 32]) -> Result<axum::Router, InvalidSetting> {
//!     let sticky = Sticky::cookie(Tokens::new("shop", [key])?, SessionCookie::new("route")?)?;
//!     let balance = Balance::least_requests(replicas).count_to_body_end();
//!     let service = sticky.layer(balance).into_http_responses();
//!     Ok(axum::Router::new().fallback_service(service))
//! }
//! ```

mod cookie;
mod directory;
mod layer;
mod learned;
mod service;
mod tokens;

pub use self::cookie::{SameSite, SessionCookie};
pub use self::layer::{OnGone, Sticky};
pub use self::learned::Learned;
pub use self::service::{StickyBalance, StickyFuture};
pub use self::tokens::Tokens;
