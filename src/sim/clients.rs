use std::sync::Arc;

use super::Scenario;
use super::clock::instant;
use crate::backend::{Completion, Event, Handle, Observation};
use crate::load::LoadReport;
use crate::picker::{Context, Picker, Selector};
use crate::{Backend, Pool};

/// All clients, each with a pool and a picker of its own.
pub(super) struct Clients {
    all: Vec<Client>,
    ids: Vec<Arc<str>>,
    weights: Vec<u32>,
    probes: bool,
    random: fastrand::Rng,
}

struct Client {
    selector: Selector<u32, ()>,
    /// Who is at each slot.
    members: Vec<Option<(Handle, u32)>>,
}

/// Whom a client has picked, and whom it wants to probe.
pub(super) struct Picked {
    pub(super) server: u32,
    pub(super) completion: Completion,
    pub(super) context: Context,
}

impl Clients {
    pub(super) fn new<P>(scenario: &Scenario, picker: &mut dyn FnMut(usize) -> P) -> Self
    where
        P: Picker<()> + 'static,
    {
        let ids: Vec<Arc<str>> = (0..scenario.servers)
            .map(|server| format!("server-{server}").into())
            .collect();
        let mut clients = Self {
            all: Vec::new(),
            ids,
            weights: scenario.weights.clone(),
            probes: scenario.probes.is_some(),
            random: fastrand::Rng::new(),
        };
        let there: Vec<usize> = (0..scenario.servers)
            .zip(scenario.at_start())
            .filter_map(|(server, there)| there.then_some(server))
            .collect();
        for number in 0..scenario.clients {
            let pool: Pool<u32> = there
                .iter()
                .map(|&server| clients.backend(server))
                .collect();
            clients.all.push(Client {
                selector: Selector::new(pool, picker(number)),
                members: Vec::new(),
            });
        }
        for server in there {
            clients.note_member(server);
        }
        clients
    }

    /// Picks for a request of one of them, if there is anyone to pick.
    pub(super) fn pick(&mut self, client: u32, now: u64) -> Option<Picked> {
        let context = Context::new().at(instant(now)).seed(self.random.u64(..));
        let mut context = if self.probes {
            context.with_probes()
        } else {
            context
        };
        let selector = &self.all[client as usize].selector;
        let (server, completion) = selector.select_with(&(), &mut context).ok()?;
        Some(Picked {
            server,
            completion,
            context,
        })
    }

    /// The server that a client calls by this handle, if it is still a member.
    pub(super) fn server(&self, client: u32, backend: Handle) -> Option<u32> {
        let members = &self.all[client as usize].members;
        let (handle, server) = (*members.get(backend.slot())?)?;
        (handle == backend).then_some(server)
    }

    /// Tells a client what a server has answered to its probe.
    pub(super) fn probed(&self, client: u32, backend: Handle, report: LoadReport, now: u64) {
        let observation = Observation::new(instant(now), Event::Probed(report));
        let selector = &self.all[client as usize].selector;
        selector.observe(backend, &observation);
    }

    pub(super) fn join(&mut self, servers: &[usize]) {
        for client in &self.all {
            client.selector.pool().edit(|edit| {
                for &server in servers {
                    edit.insert(self.backend(server));
                }
            });
        }
        for &server in servers {
            self.note_member(server);
        }
    }

    pub(super) fn leave(&mut self, servers: &[usize]) {
        for client in &self.all {
            client.selector.pool().edit(|edit| {
                for &server in servers {
                    edit.remove(&self.ids[server]);
                }
            });
        }
    }

    fn backend(&self, server: usize) -> Backend<u32> {
        Backend::new(Arc::clone(&self.ids[server]), server as u32).weight(self.weights[server])
    }

    fn note_member(&mut self, server: usize) {
        for client in &mut self.all {
            let Some(handle) = client.selector.pool().handle(&self.ids[server]) else {
                continue;
            };
            let slot = handle.slot();
            if client.members.len() <= slot {
                client.members.resize(slot + 1, None);
            }
            client.members[slot] = Some((handle, server as u32));
        }
    }

    /// All requests in flight, as the pools count them.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        let pools = self.all.iter().map(|client| client.selector.pool());
        let members = pools.flat_map(Pool::list);
        members.map(|member| member.in_flight()).sum()
    }
}
