//! How even subsets are over a fleet, and what they do when a backend leaves or joins.
//!
//! ```text
//! cargo run --release --features sim --example subsets
//! cargo run --release --features sim --example subsets -- 300 300 30
//! ```
//!
//! The numbers are those of clients, of backends, and of backends in a subset. Beside the two rules
//! of this crate stands the one of the book Site Reliability Engineering, chapter 20: clients in
//! rounds, each of which divides a shuffled list of all backends.

use std::num::NonZeroU32;

use evenkeel::Backend;
use evenkeel::set::Subset;
use evenkeel::sim::{Fleet, FleetReport};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number = |default: u32| numbers.next().map_or(Ok(default), |text| text.parse());
    let (clients, backends, size) = (number(10_000)?, number(10_000)?, number(30)?);
    let not_zero = |number| NonZeroU32::new(number).ok_or("a fleet has some clients and backends");
    let fleet = Fleet::new(not_zero(clients)?, not_zero(backends)?);
    // What is wrong with a subset's size is known before there are threads.
    let _subset = Subset::ringsteady(0, size as usize)?;

    println!("{clients} clients of {backends} backends\n");
    println!("             {}", FleetReport::HEAD);
    let ringsteady = |client| Subset::ringsteady(client, size as usize).expect("checked above");
    println!("ringsteady   {}", fleet.subsets(ringsteady));
    let rendezvous = |client: u32| {
        let name = format!("client {client}");
        Subset::rendezvous(name, size as usize).expect("checked above")
    };
    println!("rendezvous   {}", fleet.subsets(rendezvous));
    let rounds = |client, backends: &[Backend<u32>]| by_rounds(client, backends, size);
    println!("by rounds    {}", fleet.choices(rounds));
    Ok(())
}

fn by_rounds(client: u32, backends: &[Backend<u32>], size: u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = backends.iter().map(|backend| *backend.value()).collect();
    let in_a_round = (numbers.len() as u32 / size).max(1);
    let mut random = fastrand::Rng::with_seed(u64::from(client / in_a_round));
    random.shuffle(&mut numbers);
    let first = (client % in_a_round * size) as usize;
    let chosen = numbers.into_iter().skip(first).take(size as usize);
    chosen.collect()
}
