use std::sync::Arc;

use evenkeel::backend::{Handle, Observation};
use evenkeel::picker::{Adaptive, Algorithm, Context, Needs, Picker, Update};
use evenkeel::sim::{Report, Scenario};
use evenkeel::{BackendSet, InvalidSetting};

use crate::contestant::Contestant;

/// A row of the tables: who picks, and what the servers tell. Without probes or reports where it
/// says so, else what the scenario has.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Row {
    Of(Contestant),
    /// The same picker three times.
    AdaptiveByResponses,
    AdaptiveByReports,
    AdaptiveByProbes,
}

impl Row {
    pub(super) const ALL: [Self; 10] = [
        Self::Of(Contestant::Picker(Algorithm::Random)),
        Self::Of(Contestant::Picker(Algorithm::LeastRequests)),
        Self::Of(Contestant::Picker(Algorithm::ExactLeastRequests)),
        Self::Of(Contestant::Picker(Algorithm::LeastResponseTime)),
        Self::AdaptiveByResponses,
        Self::Of(Contestant::Picker(Algorithm::C3)),
        Self::AdaptiveByReports,
        Self::Of(Contestant::Picker(Algorithm::Prequal)),
        Self::AdaptiveByProbes,
        Self::Of(Contestant::CentralQueue),
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Of(contestant) => contestant.to_string(),
            Self::AdaptiveByResponses => "adaptive, responses only".to_owned(),
            Self::AdaptiveByReports => "adaptive, reports".to_owned(),
            Self::AdaptiveByProbes => "adaptive, reports and probes".to_owned(),
        }
    }

    /// How much the servers have to tell for it: nothing, reports, probes.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::AdaptiveByReports | Self::Of(Contestant::Picker(Algorithm::C3)) => 1,
            Self::AdaptiveByProbes | Self::Of(Contestant::Picker(Algorithm::Prequal)) => 2,
            Self::Of(_) | Self::AdaptiveByResponses => 0,
        }
    }

    pub(super) fn is_adaptive(self) -> bool {
        !matches!(self, Self::Of(_))
    }

    pub(super) fn is_central_queue(self) -> bool {
        self == Self::Of(Contestant::CentralQueue)
    }

    pub(super) fn run(self, scenario: &Scenario, seed: u64) -> Result<Report, InvalidSetting> {
        let unprobed = |_client| Unprobed(Arc::new(Adaptive::new()));
        Ok(match self {
            Self::Of(contestant) => contestant.run(scenario, seed),
            Self::AdaptiveByResponses => {
                let silent = scenario.to_builder().reports(false).build()?;
                silent.run(seed, unprobed)
            }
            Self::AdaptiveByReports => scenario.run(seed, unprobed),
            Self::AdaptiveByProbes => scenario.run(seed, |_client| Adaptive::new()),
        })
    }
}

/// A picker for which nobody sends probes.
struct Unprobed(Arc<dyn Picker<()>>);

impl Picker<()> for Unprobed {
    fn pick(&self, set: &dyn BackendSet, request: &(), cx: &mut Context) -> Option<usize> {
        let mut without = Context::new().at(cx.now()).seed(cx.random());
        self.0.pick(set, request, &mut without)
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        Some(Arc::new(Self(self.0.prepare(update)?)))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        self.0.observe(backend, observation);
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }
}
