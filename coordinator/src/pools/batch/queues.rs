//! When the queues of batch systems are looked at, and what they show.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::pool::batch::Job;
use tokio::time::Instant;
use tracing::{info, warn};

use super::pool::Kept;

/// The longest wait between two looks: while a system does not answer, and while no pool has jobs or wants some.
const LONGEST: Duration = Duration::from_secs(300);

/// The queues by name, and how they answered last.
#[derive(Debug, Default)]
pub(super) struct Queues {
    known: BTreeMap<String, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    last_look: Option<Instant>,
    /// Looks in a row that were not answered.
    unanswered: u32,
}

/// The jobs of one pool in its queue, or why the system did not answer.
pub(super) type Answer = Result<Vec<Job>, String>;

impl Queues {
    /// Every queue is due.
    pub(super) fn hurry(&mut self) {
        self.known.values_mut().for_each(|queue| queue.last_look = None);
    }

    /// When to look next, or `None` without pools.
    pub(super) fn next_look(&self, pools: &BTreeMap<String, Kept>) -> Option<Instant> {
        by_queue(pools).iter().map(|(name, pools)| self.due(name, pools)).min()
    }

    /// When to look at a queue that these pools share.
    fn due(&self, name: &str, pools: &[&Kept]) -> Instant {
        let queue = self.known.get(name);
        let Some((last, unanswered)) = queue.and_then(|queue| Some((queue.last_look?, queue.unanswered))) else {
            return Instant::now();
        };
        let poll = pools.iter().map(|kept| kept.system.waits().poll).min().unwrap_or(LONGEST);
        let is_quiet = pools.iter().all(|kept| kept.pool.is_empty() && kept.load.ready.is_empty());
        let wait = match unanswered {
            0 if is_quiet => LONGEST,
            unanswered => poll.saturating_mul(1 << unanswered.min(10)).min(LONGEST),
        };
        last + wait.max(poll)
    }

    /// Looks at each queue that is due, once for all pools that share it.
    pub(super) async fn look(&mut self, pools: &BTreeMap<String, Kept>) -> BTreeMap<String, Answer> {
        let mut answers = BTreeMap::new();
        for (name, pools) in by_queue(pools) {
            let Some(first) = pools.first().filter(|_| self.due(&name, &pools) <= Instant::now()) else { continue };
            let names: Vec<&str> = pools.iter().map(|kept| kept.row.name.as_str()).collect();
            let asked = first.system.queue(&names).await.map_err(|unanswered| unanswered.0);
            self.note(&name, first.system.name(), &names, asked.as_ref().err());
            for kept in pools {
                let is_own = |job: &&Job| job.allocation.mark() == kept.mark;
                let answer = asked.as_ref().map(|jobs| jobs.iter().filter(is_own).cloned().collect());
                answers.insert(kept.row.name.clone(), answer.map_err(Clone::clone));
            }
        }
        answers
    }

    fn note(&mut self, name: &str, system: &str, pools: &[&str], error: Option<&String>) {
        let queue = self.known.entry(name.to_owned()).or_default();
        queue.last_look = Some(Instant::now());
        match error {
            None if queue.unanswered > 0 => info!("{system} answers again"),
            None => {}
            Some(error) if queue.unanswered == 0 => {
                warn!(pools = pools.join(","), error, "{system} does not say what is in its queue");
            }
            Some(_) => {}
        }
        queue.unanswered = error.map_or(0, |_| queue.unanswered.saturating_add(1));
    }
}

fn by_queue(pools: &BTreeMap<String, Kept>) -> BTreeMap<String, Vec<&Kept>> {
    let mut by_queue: BTreeMap<String, Vec<&Kept>> = BTreeMap::new();
    for kept in pools.values() {
        by_queue.entry(kept.system.queue_name()).or_default().push(kept);
    }
    by_queue
}
