use crate::backend::{Completion, Outcome};
use crate::load::{Guard, LoadReport};

/// One request on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) server: u32,
    pub(super) work: f64,
    /// When it arrived at its client.
    pub(super) arrived: u64,
    /// Its client waits for the response.
    pub(super) open: bool,
    pub(super) outcome: Outcome,
    pub(super) completion: Option<Completion>,
    /// What its server counts it by.
    pub(super) guard: Option<Guard>,
    pub(super) report: Option<LoadReport>,
}

/// All of them, each at a place that is used again, so that a request takes no allocation.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Vec<Option<Job>>,
    free: Vec<u32>,
}

impl Jobs {
    pub(super) fn add(&mut self, job: Job) -> u32 {
        if let Some(place) = self.free.pop() {
            self.jobs[place as usize] = Some(job);
            return place;
        }
        self.jobs.push(Some(job));
        self.jobs.len() as u32 - 1
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Job> {
        self.jobs.get_mut(place as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<Job> {
        let job = self.jobs.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(job)
    }

    /// How many hold what counts a request as in flight.
    #[cfg(test)]
    pub(super) fn completions(&self) -> usize {
        let jobs = self.jobs.iter().flatten();
        jobs.filter(|job| job.completion.is_some()).count()
    }

    /// Whether this request, and not another that has its place now, is waited for.
    pub(super) fn is_open(&self, place: u32, number: u64) -> bool {
        let job = self.jobs.get(place as usize).and_then(Option::as_ref);
        job.is_some_and(|job| job.open && job.number == number)
    }
}
