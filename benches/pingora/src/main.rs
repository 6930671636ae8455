//! The same picks through evenkeel and through pingora-load-balancing, in the same rounds.
//!
//! ```text
//! cargo run --release --manifest-path benches/pingora/Cargo.toml
//! ```
//!
//! It is a package of its own, for pingora is large: its tree has 190 crates, a minute or two to build. It needs
//! cmake and a C compiler (`apt-get install cmake build-essential`) for zlib, which pingora-core
//! does not build without. None of its TLS features is on.
//!
//! Two things are compared, since the two crates put the line in different places:
//!
//! * **select**: what a proxy calls for each request. Pingora's `LoadBalancer::select` looks up the
//!   backend's health and returns a clone of the backend: an address, a weight, extensions. Ours,
//!   `Selector::select`, returns a clone of the value, here the address, and a `Completion` that
//!   counts the request in; it is finished at once, which counts it out.
//! * **the pick alone**: pingora's `BackendSelection::iter(key).next()`, which returns a reference;
//!   ours is `Picker::pick` from the pool's set, which returns a rank, and the id at that rank.
//!
//! Keys have 8 bytes, all backends the same weight. `Consistent` is NGINX's ring, so
//! [`NginxConsistent`] has to place keys as it does; that is checked first.
//!
//! How the noise of a shared machine is kept out is said in `benches/requests`. An argument is the
//! number of rounds; with 1 it only tries that everything runs.

#[path = "../../common/mod.rs"]
mod common;
mod ours;
mod theirs;

use std::env;
use std::time::Duration;

use evenkeel::picker::hash::{Keyed, Libketama, Maglev, Modulo, NginxConsistent, RingHash};
use evenkeel::picker::{Random, RoundRobin};
use pingora_load_balancing::selection;

use self::common::measure::{BATCHES, Case, Effort, Samples, interleave};
use self::common::report::{Table, Target, figure, ratio, thousands};

/// The key of a request.
type Bytes = [u8; 8];

/// Which line is drawn.
#[derive(Clone, Copy)]
enum What {
    Select,
    PickAlone,
}

struct Row {
    name: &'static str,
    case: fn(What, usize) -> Case,
}

/// One of pingora's and those of ours that do the same, or do as well.
struct Group {
    theirs: Row,
    ours: &'static [Row],
    /// Those that have to do more, and so have no target.
    more: &'static [Row],
}

const GROUPS: [Group; 4] = [
    Group {
        theirs: row("pingora Consistent", theirs::case::<selection::Consistent>),
        ours: &[
            row("nginx-consistent", |what, size| {
                ours::case(what, size, Keyed::new(NginxConsistent::new(), ours::key()))
            }),
            row("ring-hash", |what, size| {
                ours::case(what, size, Keyed::new(RingHash::new(), ours::key()))
            }),
            row("maglev", |what, size| {
                ours::case(what, size, Keyed::new(Maglev::new(), ours::key()))
            }),
        ],
        // An MD5 for each key.
        more: &[row("libketama", |what, size| {
            ours::case(what, size, Keyed::new(Libketama::new(), ours::key()))
        })],
    },
    Group {
        theirs: row("pingora FNVHash", theirs::case::<selection::FNVHash>),
        ours: &[row("modulo", |what, size| {
            ours::case(what, size, Keyed::new(Modulo::new(), ours::key()))
        })],
        more: &[],
    },
    Group {
        theirs: row("pingora RoundRobin", theirs::case::<selection::RoundRobin>),
        ours: &[row("round-robin", |what, size| {
            ours::case(what, size, RoundRobin::new())
        })],
        more: &[],
    },
    Group {
        theirs: row("pingora Random", theirs::case::<selection::Random>),
        ours: &[row("random", |what, size| {
            ours::case(what, size, Random::new())
        })],
        more: &[],
    },
];

const SIZES: [usize; 3] = [10, 100, 1_000];

fn main() {
    let rounds = env::args()
        .nth(1)
        .map_or(15, |arg| arg.parse().unwrap_or(1));
    let micros = if rounds > 1 { 400 } else { 5 };
    let effort = Effort {
        batch: Duration::from_micros(micros),
        rounds,
    };
    println!(
        "Lower quartiles of {rounds} interleaved rounds of {BATCHES} batches, ratios the median \
         of those within\neach round. Columns are numbers of backends."
    );
    for size in SIZES {
        agree(size);
    }
    let mut targets = Vec::new();
    let title = "LoadBalancer::select and Selector::select: ns for one request";
    compare(&effort, title, What::Select, Some(&mut targets));
    let title = "The pick alone: ns for one pick";
    compare(&effort, title, What::PickAlone, None);
    println!("\nTargets\n");
    for target in targets {
        println!("{target}");
    }
}

const fn row(name: &'static str, case: fn(What, usize) -> Case) -> Row {
    Row { name, case }
}

/// Both place keys at the same backends, but for those at a point that two of them share: pingora
/// keeps any one of the two, NGINX and ours that of the first in the list.
fn agree(size: usize) {
    const KEYS: usize = 100_000;
    let ours = ours::owners(size, NginxConsistent::new(), KEYS);
    let theirs = theirs::owners::<selection::Consistent>(size, KEYS);
    let differ = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    println!("{differ} of {KEYS} keys differ for {size} backends.");
    assert!(differ * 10_000 <= KEYS, "{differ} keys differ");
}

fn compare(effort: &Effort, title: &str, what: What, mut targets: Option<&mut Vec<Target>>) {
    let mut table = Table::new(title, columns());
    for group in &GROUPS {
        let ours = group.ours.iter().chain(group.more);
        let rows: Vec<&Row> = [&group.theirs].into_iter().chain(ours).collect();
        // By size first: those that are compared follow each other closely.
        let samples = SIZES.map(|size| {
            let mut cases: Vec<_> = rows.iter().map(|row| (row.case)(what, size)).collect();
            let samples = interleave(&mut cases, effort);
            let allocations: Vec<f64> = cases.iter_mut().map(Case::allocations).collect();
            (samples, allocations)
        });
        for (at, row) in rows.iter().enumerate() {
            let nanos = samples.iter().map(|(samples, _)| samples[at].undisturbed());
            let most = samples.iter().map(|(_, allocations)| allocations[at]);
            let most = most.fold(0.0, f64::max);
            table.row(row.name, nanos.map(figure).chain([ratio(most)]));
            if at == 0 {
                continue;
            }
            let over = |(samples, _): &(Vec<Samples>, _)| samples[0].over(&samples[at]);
            let over = samples.each_ref().map(over);
            let name = format!("    {} over it", group.theirs.name);
            table.row(&name, over.map(ratio));
            if let Some(targets) = &mut targets
                && at <= group.ours.len()
            {
                let least = over.into_iter().fold(f64::INFINITY, f64::min);
                let what = format!(
                    "{} over {}, least of all sizes",
                    group.theirs.name, row.name
                );
                targets.push(Target::at_least(3.0, least, "x", &what));
            }
        }
    }
    table.print();
}

fn columns() -> impl Iterator<Item = String> {
    let sizes = SIZES.into_iter().map(thousands);
    sizes.chain(["allocations".to_owned()])
}

/// The address of the n-th backend.
fn address(backend: usize) -> String {
    common::pool::id(backend).to_string()
}

/// Keys all over the range, none of them twice.
fn keys() -> impl Iterator<Item = Bytes> {
    // Odd, so that it goes through all numbers before it returns.
    const STEP: u64 = 0xd134_2543_de82_ef95;
    let mut key = 0_u64;
    std::iter::repeat_with(move || {
        key = key.wrapping_add(STEP);
        key.to_le_bytes()
    })
}
