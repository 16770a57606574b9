//! Progress as log lines.

use std::time::{Duration, Instant};

use super::eta::{Eta, clock};
use super::{Display, Snapshot};
use crate::logging::say;

/// Often enough to see progress, rarely enough to keep logs readable.
const INTERVAL: Duration = Duration::from_secs(10);

/// Prints a line at intervals.
pub(crate) struct Lines {
    began: Instant,
    eta: Eta,
    next: Duration,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), eta: Eta::default(), next: Duration::ZERO }
    }
}

impl Display for Lines {
    fn show(&mut self, now: &Snapshot) {
        let elapsed = self.began.elapsed();
        self.eta.observe(elapsed, now.campaign.tokens_done);
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + INTERVAL;
        say(&line(elapsed, &self.eta, now));
    }

    fn finish(&mut self) {}
}

fn line(elapsed: Duration, eta: &Eta, now: &Snapshot) -> String {
    let mut text = format!("{}  {:.0}%  {}", clock(elapsed), 100.0 * now.share(), now.tokens());
    if let Some(left) = eta.left(now.campaign.tokens) {
        text.push_str(&format!("  {} left", clock(left)));
    }
    for worker in &now.workers {
        text.push_str(&format!(" | {}", worker.text()));
    }
    text
}

#[cfg(test)]
mod tests {
    use proto::v1;

    use super::*;

    #[test]
    fn a_line_shows_progress() {
        let summary = v1::CampaignSummary { tokens: 4_000_000, tokens_done: 1_000_000, ..Default::default() };
        let worker = v1::WorkerStatus { name: "a".to_owned(), connected: true, ..Default::default() };
        let now = Snapshot::from(&v1::CampaignUpdate { summary: Some(summary), workers: vec![worker] });
        let mut eta = Eta::default();
        eta.observe(Duration::ZERO, 0);
        eta.observe(Duration::from_secs(20), 1_000_000);
        let text = line(Duration::from_secs(20), &eta, &now);
        assert_eq!(text, "20s  25%  1.00M of 4.00M tokens  1m 00s left | a  idle");
    }
}
