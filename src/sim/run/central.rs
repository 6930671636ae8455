use super::Run;

/// One queue for all servers, where there are no clients.
impl Run<'_> {
    /// Gives a request to whoever is fastest of those that have room, by turns.
    pub(super) fn enqueue(&mut self, job: u32) {
        let (before, from) = (0..self.turn, self.turn..self.servers.len());
        let mut fastest: Option<(usize, f64)> = None;
        for number in from.chain(before) {
            let server = &self.servers[number];
            let speed = server.full_speed();
            if self.there[number]
                && server.has_room()
                && fastest.is_none_or(|(_, other)| speed > other)
            {
                fastest = Some((number, speed));
            }
        }
        match fastest {
            Some((number, _)) => {
                self.turn = (number + 1) % self.servers.len();
                self.give(job, number as u32);
            }
            None => self.queue.push_back(job),
        }
    }

    pub(super) fn take_from_queue(&mut self, server: u32) {
        let number = server as usize;
        while self.there[number] && self.servers[number].has_room() {
            let Some(job) = self.queue.pop_front() else {
                return;
            };
            self.give(job, server);
        }
    }

    fn give(&mut self, job: u32, server: u32) {
        if let Some(found) = self.jobs.get_mut(job) {
            found.server = server;
            self.tally.sent(found.number, server);
            self.begin(job);
        }
    }
}
