//! Which metrics there are.

use scheduler::{CampaignPhase, StageCounts};

use super::{Exposition, MOST_CAMPAIGNS};
use crate::api::views::CampaignView;
use crate::api::{Figures, WorkerState};
use crate::counters::{BUCKETS, Counters, Ending};
use crate::incoming::ConnectionCounts;

/// The page of metrics. `queue` is how many inputs wait for the driver.
pub(super) fn render(figures: &Figures, counters: &Counters, queue: usize, connections: ConnectionCounts) -> String {
    let mut page = Exposition::default();
    let protocol = proto::PROTOCOL.to_string();
    page.gauge("windtunnel_build_info", "Always 1; its labels say which program this is.")
        .sample(&[("version", env!("CARGO_PKG_VERSION")), ("protocol", &protocol)], 1);

    page.gauge("windtunnel_workers", "Workers that are known to be alive, by what they do.");
    for state in WorkerState::ALL {
        page.sample(&[("state", state.name())], figures.workers.iter().filter(|found| **found == state).count());
    }
    page.gauge(
        "windtunnel_tokens_per_second",
        "Tokens that workers train each second, by what they say, all together.",
    )
    .sample(&[], figures.tokens_per_second);

    render_campaigns(&mut page, &figures.campaigns);

    page.counter(
        "windtunnel_tokens_trained_total",
        "Tokens of steps that were reported, steps trained again included.",
    )
    .sample(&[], counters.tokens());
    page.counter("windtunnel_attempts_started_total", "Attempts that were given to workers.")
        .sample(&[], counters.attempts_started());
    page.counter("windtunnel_attempts_ended_total", "Attempts that ended, by how.");
    for ending in Ending::ALL {
        page.sample(&[("ending", ending.name())], counters.attempts_ended(ending));
    }
    page.gauge("windtunnel_checkpoints", "Committed checkpoints that are in the storage.")
        .sample(&[], figures.checkpoints);
    page.gauge("windtunnel_checkpoint_bytes", "Size of the committed checkpoints in the storage.")
        .sample(&[], figures.checkpoint_bytes);
    page.counter("windtunnel_checkpoints_committed_total", "Checkpoints that were committed.")
        .sample(&[], counters.checkpoints());
    page.counter("windtunnel_checkpoint_committed_bytes_total", "Size of the checkpoints that were committed.")
        .sample(&[], counters.checkpoint_bytes());
    page.counter(
        "windtunnel_storage_retries_total",
        "Tries to read a checkpoint that failed because the storage did not answer, and were followed by another.",
    )
    .sample(&[], counters.storage_retries());
    page.gauge("windtunnel_storage_troubles", "Workers whose last checkpoint the coordinator cannot read so far.")
        .sample(&[], figures.storage_troubles);
    let commits = counters.commits.cumulative();
    page.histogram(
        "windtunnel_commit_duration_seconds",
        "How long transactions of the store took, waits for a busy or full disk included.",
        &BUCKETS,
        &commits,
        counters.commits.seconds(),
    );
    page.gauge("windtunnel_driver_queue_length", "Reports and requests that wait for the driver.").sample(&[], queue);

    page.gauge("windtunnel_connections", "Connections to the public address.").sample(&[], connections.open);
    page.counter("windtunnel_connections_displaced_total", "Connections that were closed to make room for others.")
        .sample(&[], connections.displaced);
    page.counter("windtunnel_connections_refused_total", "Connections refused for lack of room.")
        .sample(&[], connections.refused);
    page.into_text()
}

fn render_campaigns(page: &mut Exposition, campaigns: &[CampaignView]) {
    page.gauge("windtunnel_campaigns", "Campaigns, by phase.");
    let phases =
        [(CampaignPhase::Open, "open"), (CampaignPhase::Ended, "ended"), (CampaignPhase::Cancelled, "cancelled")];
    for (phase, name) in phases {
        let count = campaigns.iter().filter(|campaign| campaign.status.phase == phase).count();
        page.sample(&[("phase", name)], count);
    }
    let mut shown: Vec<&CampaignView> = campaigns.iter().collect();
    shown.sort_by_key(|campaign| {
        let is_open = campaign.status.phase == CampaignPhase::Open;
        (std::cmp::Reverse((is_open, campaign.submitted_at_ms)), campaign.status.campaign)
    });
    shown.truncate(MOST_CAMPAIGNS);
    let labelled: Vec<(String, &CampaignView)> =
        shown.into_iter().map(|campaign| (campaign.status.campaign.to_string(), campaign)).collect();
    let each = |page: &mut Exposition, states: &dyn Fn(&CampaignView) -> Vec<(&'static str, u64)>| {
        for (id, campaign) in &labelled {
            for (state, value) in states(campaign) {
                let (id, name) = (("campaign", id.as_str()), ("name", campaign.status.name.as_str()));
                let labels = [id, name, ("state", state)];
                page.sample(if state.is_empty() { &labels[..2] } else { &labels }, value);
            }
        }
    };
    page.gauge("windtunnel_stages", "Stages of a campaign, by state.");
    each(page, &|campaign| stage_states(&campaign.status.stages));
    page.gauge("windtunnel_evaluations", "Evaluations of a campaign that has some, by state.");
    each(page, &|campaign| match campaign.has_evaluations {
        true => stage_states(&campaign.status.evaluations),
        false => Vec::new(),
    });
    page.gauge("windtunnel_campaign_tokens", "Tokens that a campaign's plan trains.");
    each(page, &|campaign| vec![("", campaign.tokens.0)]);
    page.gauge("windtunnel_campaign_tokens_trained", "Of these, the tokens that are trained.");
    each(page, &|campaign| vec![("", campaign.tokens_done.0)]);
    page.gauge(
        "windtunnel_campaign_damaged_checkpoints",
        "Committed checkpoints of a campaign that were damaged or gone.",
    );
    each(page, &|campaign| vec![("", campaign.damaged_checkpoints as u64)]);
}

fn stage_states(counts: &StageCounts) -> Vec<(&'static str, u64)> {
    let StageCounts { waiting, running, completed, diverged, failed, not_run } = *counts;
    let states = [
        ("waiting", waiting),
        ("running", running),
        ("completed", completed),
        ("diverged", diverged),
        ("failed", failed),
        ("not_run", not_run),
    ];
    states.map(|(state, count)| (state, count as u64)).to_vec()
}

#[cfg(test)]
mod tests {
    use scheduler::{CampaignStatus, TrialCounts};
    use vocabulary::{CampaignId, Tokens};

    use super::*;

    fn campaign(number: u64, phase: CampaignPhase) -> CampaignView {
        let (stages, evaluations) = (StageCounts::default(), StageCounts::default());
        let (name, trials) = (format!("number {number}"), TrialCounts::default());
        let campaign = CampaignId::from_content(&number.to_le_bytes());
        CampaignView {
            status: CampaignStatus { campaign, name, phase, stages, evaluations, trials },
            description: String::new(),
            submitted_at_ms: number,
            tokens: Tokens(1),
            tokens_done: Tokens(0),
            has_evaluations: false,
            damaged_checkpoints: 0,
            left: None,
        }
    }

    #[test]
    fn the_number_of_series_does_not_grow_with_that_of_campaigns() {
        let page = |campaigns: u64| {
            let phase = |number| if number == 0 { CampaignPhase::Open } else { CampaignPhase::Ended };
            let campaigns = (0..campaigns).map(|number| campaign(number, phase(number))).collect();
            let figures = Figures { campaigns, ..Figures::default() };
            render(&figures, &Counters::default(), 0, ConnectionCounts::default())
        };
        let (many, more) = (page(MOST_CAMPAIGNS as u64), page(5000));
        assert_eq!(many.lines().count(), more.lines().count());
        // The only open one is the oldest.
        assert!(more.contains("name=\"number 0\"") && more.contains("name=\"number 4999\""));
        assert!(!more.contains("name=\"number 1\""));
        assert!(more.contains("windtunnel_campaigns{phase=\"ended\"} 4999"));
    }
}
