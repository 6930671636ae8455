use std::time::Duration;

use super::{Arrivals, Capacities, Discipline, Scenario, ScenarioBuilder, ServiceTime};

impl Scenario {
    /// The names that [`named`](Self::named) knows.
    pub const NAMES: &[&str] = &[
        "w1",
        "w2",
        "w6",
        "w7",
        "step",
        "failing",
        "hanging",
        "rolling",
        "disturbed",
        "bursts",
        "heavy-tail",
    ];

    /// Returns the settings of a well-known scenario, to change some or to
    /// [build](ScenarioBuilder::build) it. `None` if there is none of this name.
    ///
    /// All have 100 servers and a load of 0.9 unless it says otherwise, and as many requests as
    /// others: a million, of which the first fifth is not measured.
    ///
    /// | name | what it is |
    /// | --- | --- |
    /// | `w1` | alike servers, one request at a time, exponential service times of mean 100 ms |
    /// | `w2` | the same, where every second server is twice as fast as the others: 2/3 and 4/3 |
    /// | `w6` | the testbed of Prequal: 100 clients, servers of 4 slots that share themselves, normal service times cut at 0 of mean 80 ms, capacities that are redrawn every 25 s, a timeout of 5 s, load 0.7 |
    /// | `w7` | 100 clients, a network of 5 ms each way, otherwise as `w1` |
    /// | `step` | 10 clients; half-way, one server becomes ten times slower |
    /// | `failing` | 10 clients; in the middle third, five servers fail half of their requests at once |
    /// | `hanging` | 10 clients; for a 50th of the time one server hangs; a timeout of 5 s |
    /// | `rolling` | 10 clients; from a third on, one server after the other leaves and comes back; load 0.7 |
    /// | `disturbed` | 10 clients; each server runs at a fifth of its speed for 2 s now and then, a tenth of the time; load 0.7 |
    /// | `bursts` | 10 clients; a tenth of the time, three times as many requests arrive, for 2 s; load 0.6 |
    /// | `heavy-tail` | 10 clients; 4 slots that share themselves, and service times by a law of Pareto up to 10,000 times the lowest; load 0.7 |
    ///
    /// In all of them servers report their load on responses, and answer probes at no cost. What of it
    /// is used depends on the picker; [`reports`](ScenarioBuilder::reports) switches the former off.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::sim::Scenario;
    ///
    /// let scenario = Scenario::named("w2").expect("it is in NAMES").load(0.8).build()?;
    /// assert_eq!(scenario.servers(), 100);
    /// # Ok::<(), evenkeel::InvalidSetting>(())
    /// ```
    ///
    /// # References
    ///
    /// Wydrowski, Kleinberg, Rumble and Archer, *Load is not what you should balance: Introducing
    /// Prequal*, NSDI 2024, for `w6`.
    #[must_use]
    pub fn named(name: &str) -> Option<ScenarioBuilder> {
        let ms = Duration::from_millis;
        let plain = Self::builder(100).reports(true).probes(Duration::ZERO);
        let ten = plain.clone().clients(10);
        Some(match name {
            "w1" => plain.title("alike servers"),
            "w2" => plain
                .title("every second server twice as fast")
                .speeds(|server| [2.0 / 3.0, 4.0 / 3.0][server % 2]),
            "w6" => plain
                .title("Prequal's testbed")
                .clients(100)
                .load(0.7)
                .service(ServiceTime::normal(ms(80), 1.0))
                .discipline(Discipline::ProcessorSharing { slots: 4 })
                .capacities(
                    Capacities::redrawn(ms(25_000))
                        .range(0.15, 0.40..=0.75)
                        .range(0.85, 1.0..=2.2),
                )
                .timeout(ms(5000)),
            "w7" => plain
                .title("100 clients, 5 ms away")
                .clients(100)
                .network_delay(ms(5)),
            "step" => ten
                .title("server 0 becomes ten times slower")
                .step(0.5, [0], 0.1),
            "failing" => ten
                .title("servers 0 to 4 fail half of their requests")
                .failing(1.0 / 3.0, 2.0 / 3.0, 0..5, 0.5),
            "hanging" => ten
                .title("server 0 hangs for a while")
                .hanging(0.5, 0.52, [0])
                .timeout(ms(5000)),
            "rolling" => {
                let rolling = ten.title("one after the other is restarted").load(0.7);
                (0..100).fold(rolling, |scenario, server| {
                    let at = f64::from(server).mul_add(0.006, 1.0 / 3.0);
                    let mine = [server as usize];
                    scenario.leave(at, mine).join(at + 0.005, mine)
                })
            }
            "disturbed" => ten
                .title("servers are slow now and then")
                .load(0.7)
                .disturbances(ms(18_000), ms(2000), 0.2),
            "bursts" => ten
                .title("requests arrive in bursts")
                .load(0.6)
                .arrivals(Arrivals::bursts(3.0, 0.1, ms(2000))),
            "heavy-tail" => ten
                .title("few requests take very long")
                .load(0.7)
                .service(ServiceTime::bounded_pareto(ms(100), 1.2, 1e4))
                .discipline(Discipline::ProcessorSharing { slots: 4 }),
            _ => return None,
        })
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_scenario_with_a_title_that_can_be_built() {
        for &name in Scenario::NAMES {
            let builder = Scenario::named(name).expect(name);
            let scenario = builder.build().expect(name);
            assert!(!scenario.title().is_empty(), "{name}");
        }
        assert_eq!(Scenario::named("w0"), None);
    }
}
