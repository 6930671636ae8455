//! What an operator orders, which counts before what health shows.

use std::sync::Arc;

use super::edit::Op;
use super::pool::Pool;
use crate::backend::Drained;

impl<T: Clone> Pool<T> {
    /// Gives a backend no new requests; running ones finish, which [`drained`](Self::drained) waits
    /// for. Returns whether it is a member.
    pub fn drain(&self, id: &str) -> bool {
        self.apply(vec![Op::drain(id)]).found()
    }

    /// Drains a backend, and returns a future that is ready once its last running request has
    /// ended; `None` if it is not a member.
    ///
    /// Sessions that are [bound](crate::balance::Attempt) to it go on to send requests. With those,
    /// it is ready at the first moment without any.
    ///
    /// # Examples
    ///
    /// Before a machine is switched off, for half a minute at most:
    ///
    /// ```
    /// use evenkeel::{Backend, Pool};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let pool = Pool::from([Backend::new("a", ())]);
    /// if let Some(drained) = pool.drained("a") {
    ///     let in_time = drained.within(Duration::from_secs(30)).await;
    ///     assert!(in_time);
    /// }
    /// pool.remove("a");
    /// # }
    /// ```
    pub fn drained(&self, id: &str) -> Option<Drained> {
        let live = Arc::clone(&self.book().member(id)?.live);
        self.drain(id);
        Some(Drained::new(live))
    }

    /// Takes a drained backend back. Returns whether it is a member.
    pub fn undrain(&self, id: &str) -> bool {
        self.apply(vec![Op::undrain(id)]).found()
    }

    /// Takes a backend out, whatever its health shows: no new requests, running ones finish.
    /// Returns whether it is a member.
    ///
    /// Unlike with [`drain`](Self::drain), its sessions go elsewhere, too. Not even
    /// [panic](super::Rules::panic_threshold) brings it back. The latest of an operator's orders
    /// counts.
    pub fn force_down(&self, id: &str) -> bool {
        self.apply(vec![Op::force_down(id)]).found()
    }

    /// Uses a backend as a healthy one, whatever its health shows, until it is
    /// [left to it](Self::unforce) again. Returns whether it is a member.
    ///
    /// What is known of its health is kept, and goes on being learnt.
    pub fn force_up(&self, id: &str) -> bool {
        self.apply(vec![Op::force_up(id)]).found()
    }

    /// Leaves a backend that was forced up or down to its health again. Returns whether it is a
    /// member.
    pub fn unforce(&self, id: &str) -> bool {
        self.apply(vec![Op::unforce(id)]).found()
    }
}
