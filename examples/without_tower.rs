//! Pickers in a program that knows neither tower nor HTTP.
//!
//! First a shard map: a plain array is a set of backends, so any picker can choose from it.
//! Then a job queue on threads: a `Selector` over a `Pool` counts the jobs that each worker has, so
//! a slow worker gets fewer of them.
//!
//! ```text
//! cargo run --example without_tower
//! cargo run --example without_tower --no-default-features
//! ```

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use evenkeel::backend::{Completion, Outcome};
use evenkeel::picker::{Context, LeastRequests, Selector, Update, WeightedRoundRobin};
use evenkeel::{Backend, Picker, Pool};

fn main() {
    shard_map();
    println!();
    job_queue();
}

/// Reads are spread over the replicas of a database by their sizes.
fn shard_map() {
    let replicas = [("db-large", 3), ("db-small", 1)];

    // Some pickers build a table from the set. A pool would have it done at each change; for a set
    // of one's own it is one call, and another one when the set has changed.
    let picker = WeightedRoundRobin::starting_at(0);
    let picker = picker
        .prepare(&Update::new(&replicas, &replicas))
        .expect("this picker has a table");

    let mut cx = Context::new();
    println!("A shard map, db-large three times the size of db-small:");
    for query in ["users", "carts", "orders", "prices"] {
        let rank = picker
            .pick(&replicas, query, &mut cx)
            .expect("there are replicas");
        println!("  {query:<6} from {}", replicas[rank].0);
    }
}

/// What travels to a worker: the job, and what ends it in the pool's books.
type Job = (u32, Completion);

fn job_queue() {
    const JOBS: u32 = 300;

    let pool = Pool::new();
    let workers = [("quick-1", 1), ("quick-2", 1), ("slow", 8)].map(|(name, millis)| {
        let (sender, jobs) = mpsc::channel();
        pool.insert(Backend::new(name, sender));
        let worker = thread::spawn(move || work(&jobs, Duration::from_millis(millis)));
        (name, worker)
    });

    let selector: Selector<Sender<Job>, u32> = Selector::new(pool, LeastRequests::new());
    for job in 0..JOBS {
        let (worker, completion) = selector.select(&job).expect("there are workers");
        worker
            .send((job, completion))
            .expect("workers outlive the queue");
        thread::sleep(Duration::from_millis(1));
        if job == JOBS / 2 {
            println!("A job queue, halfway through:");
            for backend in selector.pool().list() {
                println!("  {backend}");
            }
        }
    }

    // The last senders go with the pool; then the workers come home.
    drop(selector);
    println!("Jobs done, the slow worker taking 8 ms for each, the others 1 ms:");
    for (name, worker) in workers {
        let done = worker.join().expect("workers do not panic");
        println!("  {name:<7} {done}");
    }
}

/// Works until the queue is gone; returns how many jobs it did.
fn work(jobs: &Receiver<Job>, each_takes: Duration) -> usize {
    jobs.iter()
        .map(|(_job, completion)| {
            thread::sleep(each_takes);
            // A job whose completion is dropped without a word counts as cancelled.
            completion.finish(Outcome::Success);
        })
        .count()
}
