use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;
use std::thread;

use crate::backend::Backend;
use crate::set::Subset;

/// A fleet of clients each of which uses a subset of the backends: how even that is, and what
/// changes when a backend leaves or joins.
///
/// # Examples
///
/// ```
/// use evenkeel::set::Subset;
/// use evenkeel::sim::{Fleet, FleetReport};
/// use std::num::NonZeroU32;
///
/// let fleet = Fleet::new(NonZeroU32::new(300).unwrap(), NonZeroU32::new(300).unwrap());
/// println!("{}", FleetReport::HEAD);
/// let report = fleet.subsets(|client| Subset::ringsteady(client, 30).unwrap());
/// assert_eq!((report.least(), report.most()), (1.0, 1.0));
/// println!("{report}");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    clients: NonZeroU32,
    backends: NonZeroU32,
}

/// What came of it, from [`Fleet::subsets`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetReport {
    size: f64,
    least: f64,
    most: f64,
    deviation: f64,
    leaving: f64,
    joining: f64,
}

type Chosen = Vec<HashSet<u32>>;

impl Fleet {
    /// So many clients of so many backends, which are numbered and have ids `backend-0`,
    /// `backend-1` and so on.
    pub fn new(clients: NonZeroU32, backends: NonZeroU32) -> Self {
        Self { clients, backends }
    }

    /// Returns how the clients' subsets are, given each client's by its number.
    ///
    /// # Cost
    ///
    /// As many steps as clients times backends, three times, on all cores: some seconds for 10,000
    /// of both.
    pub fn subsets(&self, subset: impl Fn(u32) -> Subset + Sync) -> FleetReport {
        self.choices(|client, backends| {
            let chosen = subset(client).choose(backends);
            chosen.into_iter().map(|backend| *backend.value()).collect()
        })
    }

    /// The same for any other rule: which of the backends, whose values are their numbers, a client
    /// uses. Numbers of none are left out; if nobody uses any, what is relative to the mean is NaN.
    pub fn choices(&self, choose: impl Fn(u32, &[Backend<u32>]) -> Vec<u32> + Sync) -> FleetReport {
        let count = self.backends.get();
        let backend = |number: u32| Backend::new(format!("backend-{number}"), number);
        let mut backends: Vec<Backend<u32>> = (0..count).map(backend).collect();
        let before = self.chosen(&backends, &choose);

        let mut connections = vec![0u32; count as usize];
        for &backend in before.iter().flatten() {
            if let Some(connections) = connections.get_mut(backend as usize) {
                *connections += 1;
            }
        }
        let all: f64 = connections.iter().map(|&number| f64::from(number)).sum();
        let mean = all / f64::from(count);
        let relative = || connections.iter().map(|&number| f64::from(number) / mean);
        let variance = relative().map(|part| (part - 1.0).powi(2)).sum::<f64>() / f64::from(count);

        backends.push(backend(count));
        let joining = self.dropped(&before, &self.chosen(&backends, &choose), None);
        let _last = backends.pop();
        let gone = count / 2;
        let _gone = backends.remove(gone as usize);
        let leaving = self.dropped(&before, &self.chosen(&backends, &choose), Some(gone));
        FleetReport {
            size: all / f64::from(self.clients.get()),
            least: relative().fold(f64::INFINITY, f64::min),
            most: relative().fold(0.0, f64::max),
            deviation: variance.sqrt(),
            leaving,
            joining,
        }
    }

    /// What each client uses.
    fn chosen(
        self,
        backends: &[Backend<u32>],
        choose: &(impl Fn(u32, &[Backend<u32>]) -> Vec<u32> + Sync),
    ) -> Chosen {
        let clients: Vec<u32> = (0..self.clients.get()).collect();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let parts = clients.chunks(clients.len().div_ceil(cores)).map(|part| {
                let choose = move |&client: &u32| choose(client, backends).into_iter().collect();
                scope.spawn(move || part.iter().map(choose).collect::<Chosen>())
            });
            let parts: Vec<_> = parts.collect();
            let parts = parts.into_iter().map(|part| {
                let chosen = part.join();
                chosen.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            parts.flatten().collect()
        })
    }

    /// How many connections a client gives up, in the mean, though the backend is still there.
    fn dropped(self, before: &Chosen, after: &Chosen, gone: Option<u32>) -> f64 {
        let pairs = before.iter().zip(after);
        let given_up = pairs.map(|(before, after)| {
            let dropped = before.difference(after);
            dropped.filter(|&&backend| Some(backend) != gone).count()
        });
        given_up.sum::<usize>() as f64 / f64::from(self.clients.get())
    }
}

impl FleetReport {
    /// The line above those that [`Display`](fmt::Display) writes.
    pub const HEAD: &str = "  in a subset     least      most  deviation  one leaves  one joins";

    /// Returns how many backends a client uses, in the mean.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Returns how many clients the backend has that has the fewest, relative to the mean.
    pub fn least(&self) -> f64 {
        self.least
    }

    /// Returns how many clients the backend has that has the most, relative to the mean.
    pub fn most(&self) -> f64 {
        self.most
    }

    /// Returns the standard deviation of the clients of a backend, relative to the mean.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// Returns how many connections a client gives up, in the mean, when a backend in the middle
    /// leaves, those to it not counted. None of that is needed.
    pub fn dropped_when_one_leaves(&self) -> f64 {
        self.leaving
    }

    /// Returns how many connections a client gives up, in the mean, when a backend joins. What is
    /// needed, if it is to have its part, is the subset's size by the number of backends.
    pub fn dropped_when_one_joins(&self) -> f64 {
        self.joining
    }
}

impl fmt::Display for FleetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:13.1} {:9.2} {:9.2} {:10.2} {:11.3} {:10.3}",
            self.size, self.least, self.most, self.deviation, self.leaving, self.joining
        )
    }
}
