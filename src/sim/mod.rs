//! Pickers tried in virtual time, before they are deployed.
//!
//! A [`Scenario`] says what there is: servers, clients, traffic, failures. [`Scenario::run`] plays
//! it through the crate's own pickers and pools, the very types that serve traffic, and returns a
//! [`Report`]: latencies, shares, probes. No time passes, nothing is sent, and the same seed gives
//! the same report.
//!
//! ```
//! use std::time::Duration;
//! use evenkeel::picker::{LeastRequests, LeastResponseTime};
//! use evenkeel::sim::{Report, Scenario, ServiceTime};
//!
//! let scenario = Scenario::builder(10)
//!     .clients(5)
//!     .load(0.7)
//!     .service(ServiceTime::log_normal(Duration::from_millis(40), 1.5))
//!     .speeds(|server| if server == 0 { 0.25 } else { 1.0 })
//!     .requests(50_000)
//!     .build()?;
//!
//! println!("{}", Report::HEAD);
//! println!("{}", scenario.run(1, |_client| LeastRequests::new()));
//! println!("{}", scenario.run(1, |_client| LeastResponseTime::new()));
//! # Ok::<(), evenkeel::InvalidSetting>(())
//! ```
//!
//! # The model
//!
//! ```text
//!  arrivals ──> client: pool, picker ──delay──> server: queue, slots ──delay──> client
//! ```
//!
//! * Every client has a pool and a picker of its own, and knows what it sees: its own requests,
//!   [reports](ScenarioBuilder::reports) on responses, answers to [probes](ScenarioBuilder::probes).
//!   With one client, requests in flight are the servers' queues.
//! * The [law of the service time](ServiceTime) says how much work each request is; a server's
//!   speed, its [`Discipline`] and what else it does say how long that takes.
//! * A response is all there at once: its head is its end.
//! * Nobody retries, and no backend is ejected: what is seen is the picker alone.
//!
//! Times are those of a clock, in [`Duration`](std::time::Duration)s, since pickers have settings
//! in seconds, too. The literature divides them by [the mean service
//! time](Scenario::mean_service_time).
//!
//! # What it has been checked against
//!
//! Theory, to within 2 %: random picks are M/M/1 queues, two choices follow their mean field
//! (Mitzenmacher), the [central queue](Scenario::run_central_queue) is Erlang's M/M/n, and a server
//! that shares itself has the mean of M/G/1 processor sharing.
//!
//! # Fleets
//!
//! [`Fleet`] is another model: which of many backends each of many clients uses, by a
//! [`Subset`](crate::set::Subset), and what that is when backends come and go.
//!
//! # Cost
//!
//! About a microsecond for each request, and no allocation; memory for each client and server, as
//! in a pool, and for the requests in flight. Servers that report their load, or answer probes,
//! take 63 KB each and some hundreds of nanoseconds more for each request.

mod agenda;
mod arrivals;
mod builder;
mod changes;
mod check;
mod clients;
mod clock;
mod fleet;
mod jobs;
mod named;
mod report;
mod run;
mod scenario;
mod server;
mod service_time;
mod tally;

pub use self::arrivals::Arrivals;
pub use self::builder::ScenarioBuilder;
pub use self::changes::{Capacities, When};
use self::changes::{Change, To};
pub use self::fleet::{Fleet, FleetReport};
pub use self::report::{Period, Report};
pub use self::scenario::Scenario;
pub use self::server::Discipline;
pub use self::service_time::ServiceTime;
