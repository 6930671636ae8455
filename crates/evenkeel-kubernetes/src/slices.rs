use std::collections::BTreeMap;
use std::net::SocketAddr;

use evenkeel::discover::Update;

use crate::endpoint::{Condition, Member, Slice};

/// The slices of a Service, by their names.
#[derive(Debug, Default)]
pub(crate) struct Slices(BTreeMap<String, Slice>);

impl Slices {
    pub(crate) fn put(&mut self, name: String, slice: Slice) {
        self.0.insert(name, slice);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What they say together.
    pub(crate) fn update(&self, zone: Option<&str>) -> Update<SocketAddr> {
        let mut members = self.members();
        let any_ready = members.values().any(is_ready);
        if let Some(zone) = zone {
            keep_hinted(&mut members, zone);
        }
        let backends = members
            .into_values()
            .map(|member| member.backend(!any_ready));
        let skipped = self.0.values().flat_map(|slice| &slice.skipped);
        skipped.fold(Update::all(backends), |update, (entry, why)| {
            update.skip(entry.as_str(), why)
        })
    }

    /// While an endpoint moves from one slice to another, both can have it, and one of them may be
    /// behind. The better condition is taken: an address that was one pod's and is now another's is
    /// as good as the new one is.
    fn members(&self) -> BTreeMap<SocketAddr, Member> {
        let mut members = BTreeMap::<SocketAddr, Member>::new();
        for member in self.0.values().flat_map(|slice| &slice.members) {
            let known = members.get(&member.address);
            if known.is_none_or(|known| known.condition < member.condition) {
                members.insert(member.address, member.clone());
            }
        }
        members
    }
}

fn is_ready(member: &Member) -> bool {
    member.condition == Condition::Ready
}

/// The rule of kube-proxy: hints count if all that are ready have them, and if there is one for the
/// zone. What is about to leave stays where it is, so that it can finish.
fn keep_hinted(members: &mut BTreeMap<SocketAddr, Member>, zone: &str) {
    let mut ready = members.values().filter(|&member| is_ready(member));
    let all_hinted = ready.clone().all(|member| !member.for_zones.is_empty());
    if all_hinted && ready.any(|member| member.for_zones.contains(zone)) {
        members.retain(|_, member| match member.condition {
            Condition::Terminating | Condition::ServingTerminating => true,
            Condition::Ready | Condition::NotReady => member.for_zones.contains(zone),
        });
    }
}
