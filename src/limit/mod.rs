//! A limit on the requests in flight in all, with a queue before it.
//!
//! A balance spreads what it is given; it does not make it less. Beyond what its backends do at
//! once, more requests only make all of them slower, until clients give up on answers that are
//! still being made. [`LimitLayer`] admits so many at a time, lets some more wait for a bounded
//! time, and refuses the rest at once, with an error that says so and when to try again.
//!
//! ```text
//!              room, and nobody waits
//! request ──┬─────────────────────────────> inner service ──> response (and its body) ──> room
//!           │                                  ^                                           │
//!           └──> queue ── called, in order ────┘ <─────────────────────────────────────────┘
//!                 │ full, or `max_wait` is over
//!                 └──> Overloaded
//! ```
//!
//! # When to use
//!
//! [`tower::limit::ConcurrencyLimit`](https://docs.rs/tower/0.5/tower/limit/) makes `poll_ready`
//! wait, without a bound on who waits or for how long, and counts to the response head. Here
//! `poll_ready` is that of the inner service, and what waits is the response future, with both
//! bounds; [`count_to_body_end`](LimitLayer::count_to_body_end) counts HTTP requests to the end of
//! their bodies.
//!
//! # Who is next
//!
//! The oldest, or with [`newest_first`](LimitLayer::newest_first) the newest. Nobody who comes
//! later overtakes those who wait: while there is anybody in the queue, newcomers join it, though a
//! request may just have ended. A request is in the queue once its future is first polled.
//!
//! The queue of the backends' [`Limits`](crate::set::Limits) is another one, inside the balance.
//! There, requests that must go to a certain backend or elsewhere (bound, or retried) have a line of
//! their own, and may get room before the first of the other line.
//!
//! # Exactness
//!
//! The requests in flight and their maximum are one atomic word, so never are more in flight than
//! the maximum of that moment. A permit is given back whatever becomes of a request: a response, an
//! error, a future that is dropped, a panic.
//!
//! # Cancel safety
//!
//! A response future can be dropped at any time. One that was next by then hands that on.
//!
//! # Examples
//!
//! ```
//! use evenkeel::limit::LimitLayer;
//! use evenkeel::{Backend, Balance};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slow = service_fn(|_request: ()| async {
//!     tokio::time::sleep(std::time::Duration::from_millis(300)).await;
//!     Ok::<_, std::io::Error>("done")
//! });
//! let balance = Balance::least_requests([Backend::new("a", slow)]);
//! let limit = LimitLayer::new(1)?.queue(1);
//! let service = limit.layer(balance);
//!
//! let requests = [(); 3].map(|()| tokio::spawn(service.clone().oneshot(())));
//! let [first, second, third] = requests;
//! assert_eq!(first.await??, "done");
//! assert_eq!(second.await??, "done");
//! let error = third.await?.unwrap_err();
//! assert_eq!(error.to_string(), "overloaded: 1 request in flight and 1 in the queue");
//! # Ok(())
//! # }
//! ```
//!
//! # References
//!
//! * Maurer, "Fail at Scale", ACM Queue 13 (8), 2015: bounded queues, and newest first under load.
//! * Envoy's circuit breakers: `max_requests`, `max_pending_requests` (1024).

mod count;
mod error;
mod future;
mod hold;
mod layer;
mod permit;
mod service;
mod waiting;

pub use self::error::Overloaded;
pub use self::future::ResponseFuture;
pub use self::hold::{Hold, UntilResponse};
pub use self::layer::LimitLayer;
pub use self::permit::Permit;
pub use self::service::Limit;
