use super::Run;
use crate::sim::To;
use crate::sim::agenda::Due;
use crate::sim::server::Server;
use crate::sim::service_time::exponential;

/// What happens to servers, whatever the traffic.
impl Run<'_> {
    pub(super) fn plan(&mut self) {
        let length = self.scenario.length();
        for (number, change) in self.scenario.changes.iter().enumerate() {
            self.agenda
                .add(change.when.at(length), Due::Change(number as u32));
        }
        for server in 0..self.servers.len() as u32 {
            if self.scenario.capacities.is_some() {
                self.redraw(server);
            }
            if self.scenario.disturbances.is_some() {
                self.disturb(server, false);
            }
        }
    }

    pub(super) fn change(&mut self, number: u32) {
        let change = &self.scenario.changes[number as usize];
        for &server in &change.servers {
            match change.to {
                To::Speed(speed) => self.set(server as u32, |server| server.speed = speed),
                To::Hanging(hangs) => self.set(server as u32, |server| server.hangs = hangs),
                To::Failing(share) => self.servers[server].fails = share,
                To::Joined => self.there[server] = true,
                To::Left => self.there[server] = false,
            }
        }
        match (change.to, &mut self.clients) {
            (To::Joined, Some(clients)) => clients.join(&change.servers),
            (To::Left, Some(clients)) => clients.leave(&change.servers),
            (To::Joined, None) => {
                for &server in &change.servers {
                    self.take_from_queue(server as u32);
                }
            }
            _ => {}
        }
    }

    pub(super) fn redraw(&mut self, server: u32) {
        let Some(capacities) = &self.scenario.capacities else {
            return;
        };
        let capacity = capacities.draw(&mut self.world);
        self.set(server, |server| server.capacity = capacity);
        let wait = capacities.every.as_nanos() as f64 * exponential(&mut self.world);
        let at = self.now.saturating_add(wait as u64);
        self.agenda.add(at, Due::Redraw { server });
    }

    /// A disturbance begins or ends.
    pub(super) fn disturb(&mut self, server: u32, begins: bool) {
        let Some(disturbances) = self.scenario.disturbances else {
            return;
        };
        let (left, mean) = if begins {
            (disturbances.left, disturbances.lasting)
        } else {
            (1.0, disturbances.every)
        };
        self.set(server, |server| server.disturbed = left);
        let wait = mean.as_nanos() as f64 * exponential(&mut self.world);
        let due = Due::Disturbance {
            server,
            begins: !begins,
        };
        self.agenda.add(self.now.saturating_add(wait as u64), due);
    }

    fn set(&mut self, number: u32, set: impl FnOnce(&mut Server)) {
        let server = &mut self.servers[number as usize];
        server.progress(self.now);
        set(server);
        self.reschedule(number);
    }
}
