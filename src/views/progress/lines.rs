//! Progress as log lines.

use std::time::{Duration, Instant};

use vocabulary::units::human_duration;

use super::{Display, Snapshot};
use crate::logging::say;

/// Often enough to see progress, rarely enough to keep logs readable.
const INTERVAL: Duration = Duration::from_secs(10);

/// Prints a line at intervals.
pub(crate) struct Lines {
    began: Instant,
    next: Duration,
    /// What to say while no worker is connected.
    hint: Option<String>,
}

impl Lines {
    pub(crate) fn new(hint: Option<String>) -> Self {
        Self { began: Instant::now(), next: Duration::ZERO, hint }
    }
}

impl Display for Lines {
    fn show(&mut self, now: &Snapshot) {
        let elapsed = self.began.elapsed();
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + INTERVAL;
        say(&line(elapsed, self.hint.as_deref(), now));
    }

    fn finish(&mut self) {}
}

fn line(elapsed: Duration, hint: Option<&str>, now: &Snapshot) -> String {
    let elapsed = human_duration(elapsed.as_secs() as f64);
    let mut text = format!("{elapsed}  {:.0}%  {}", 100.0 * now.share(), now.tokens());
    if let Some(left) = now.campaign.left {
        text.push_str(&format!("  {}", left.in_words()));
    }
    match now.lack(hint) {
        Some(hint) => text.push_str(&format!(" | {hint}")),
        None => now.workers.iter().for_each(|worker| text.push_str(&format!(" | {}", worker.text()))),
    }
    text
}

#[cfg(test)]
mod tests {
    use proto::v1;

    use super::*;

    #[test]
    fn a_line_shows_progress_and_the_time_left() {
        let summary = v1::CampaignSummary {
            phase: v1::CampaignPhase::Open.into(),
            tokens: 4_000_000,
            tokens_done: 1_000_000,
            left_ms: Some(60_400),
            ..Default::default()
        };
        let worker = v1::WorkerStatus { name: "a".to_owned(), connected: true, ..Default::default() };
        let now = Snapshot::from(&v1::CampaignUpdate { summary: Some(summary.clone()), workers: vec![worker] });
        let text = line(Duration::from_secs(20), Some("start one"), &now);
        assert_eq!(text, "20s  25%  1.00M of 4.00M tokens  about 1m 00s left | a  idle");
        let least = v1::CampaignSummary { left_at_least: true, ..summary.clone() };
        let now = Snapshot::from(&v1::CampaignUpdate { summary: Some(least), workers: Vec::new() });
        let text = line(Duration::from_secs(20), None, &now);
        assert_eq!(text, "20s  25%  1.00M of 4.00M tokens  at least 1m 00s left");
    }

    #[test]
    fn without_a_worker_a_line_says_how_to_start_one() {
        let open = v1::CampaignPhase::Open.into();
        let summary = v1::CampaignSummary { phase: open, tokens: 4_000_000, ..Default::default() };
        let gone = v1::WorkerStatus { name: "a".to_owned(), ..Default::default() };
        let now = Snapshot::from(&v1::CampaignUpdate { summary: Some(summary), workers: vec![gone] });
        let text = line(Duration::from_secs(20), Some("start one"), &now);
        assert_eq!(text, "20s  0%  0 of 4.00M tokens | start one");
        let now = now.awaiting(Some(&"pool gpu: 1 job is pending".to_owned()));
        let text = line(Duration::from_secs(20), Some("start one"), &now);
        assert_eq!(text, "20s  0%  0 of 4.00M tokens | pool gpu: 1 job is pending");
    }

    #[test]
    fn what_is_left_takes_some_time_until_the_campaign_is_over() {
        let text = |phase: v1::CampaignPhase| {
            let summary = v1::CampaignSummary {
                phase: phase.into(),
                tokens: 4_000_000,
                left_ms: Some(200),
                ..Default::default()
            };
            line(
                Duration::from_secs(20),
                None,
                &Snapshot::from(&v1::CampaignUpdate { summary: Some(summary), ..Default::default() }),
            )
        };
        assert_eq!(text(v1::CampaignPhase::Open), "20s  0%  0 of 4.00M tokens  about 1s left");
        assert_eq!(text(v1::CampaignPhase::Ended), "20s  0%  0 of 4.00M tokens");
    }
}
