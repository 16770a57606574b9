//! A campaign in short, and its counts.

use proto::v1;
use serde::Serialize;
use vocabulary::text::wrapped;
use vocabulary::units::human_count;

use crate::views::output::{View, columns};

/// A campaign in short.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CampaignView {
    pub(crate) campaign: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) phase: &'static str,
    pub(crate) stages: Stages,
    /// Where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evaluations: Option<Stages>,
    pub(crate) trials: Trials,
    /// Milliseconds since 1970.
    pub(crate) submitted_at_ms: u64,
    pub(crate) tokens: u64,
    pub(crate) tokens_done: u64,
    /// Committed checkpoints found damaged or missing.
    pub(crate) damaged_checkpoints: u32,
}

/// Stages, or evaluations, by their state.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Stages {
    waiting: u32,
    running: u32,
    pub(crate) completed: u32,
    diverged: u32,
    pub(crate) failed: u32,
    not_run: u32,
}

/// Trials by their end.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Trials {
    open: u32,
    pub(crate) completed: u32,
    pub(crate) diverged: u32,
    pub(crate) failed: u32,
    /// Ended early by a search.
    pub(crate) pruned: u32,
}

/// The phase as a word.
fn campaign_phase(phase: v1::CampaignPhase) -> &'static str {
    match phase {
        v1::CampaignPhase::Unspecified => "unknown",
        v1::CampaignPhase::Open => "open",
        v1::CampaignPhase::Ended => "ended",
        v1::CampaignPhase::Cancelled => "cancelled",
    }
}

impl From<&v1::CampaignSummary> for CampaignView {
    fn from(summary: &v1::CampaignSummary) -> Self {
        let stages = summary.stages.unwrap_or_default();
        let trials = summary.trials.unwrap_or_default();
        Self {
            campaign: summary.campaign.clone(),
            name: summary.name.clone(),
            description: summary.description.clone(),
            phase: campaign_phase(summary.phase()),
            stages: stages.into(),
            evaluations: summary.evaluations.map(Into::into),
            trials: Trials {
                open: trials.open,
                completed: trials.completed,
                diverged: trials.diverged,
                failed: trials.failed,
                pruned: trials.pruned,
            },
            submitted_at_ms: summary.submitted_at_ms,
            tokens: summary.tokens,
            tokens_done: summary.tokens_done,
            damaged_checkpoints: summary.damaged_checkpoints,
        }
    }
}

impl CampaignView {
    fn evaluations_note(&self) -> Option<String> {
        let evaluations = self.evaluations?;
        Some(format!("{}: {}\n", self.name, evaluations.in_words("evaluations")))
    }

    /// A note on what the counts do not show.
    fn note(&self) -> Option<String> {
        let lost = match self.damaged_checkpoints {
            0 => return None,
            1 => "1 committed checkpoint was".to_owned(),
            several => format!("{several} committed checkpoints were"),
        };
        Some(format!("{}: {lost} found damaged or missing, and not used\n", self.name))
    }
}

impl From<v1::StageCounts> for Stages {
    fn from(counts: v1::StageCounts) -> Self {
        let v1::StageCounts { waiting, running, completed, diverged, failed, not_run } = counts;
        Self { waiting, running, completed, diverged, failed, not_run }
    }
}

impl Stages {
    pub(crate) fn total(self) -> u32 {
        self.waiting + self.running + self.completed + self.diverged + self.failed + self.not_run
    }

    /// The non-zero counts in words, of `stages` or whatever else is counted.
    pub(crate) fn in_words(self, what: &str) -> String {
        let counts = [
            (self.completed, "done"),
            (self.running, "running"),
            (self.waiting, "waiting"),
            (self.diverged, "diverged"),
            (self.failed, "given up"),
            (self.not_run, "not run"),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        format!("{} {what}: {}", self.total(), counts.join(", "))
    }
}

impl Trials {
    fn total(self) -> u32 {
        self.open + self.completed + self.diverged + self.failed + self.pruned
    }

    /// The non-zero counts in words.
    fn in_words(self) -> String {
        let counts = [
            (self.completed, "done"),
            (self.pruned, "pruned"),
            (self.diverged, "diverged"),
            (self.failed, "given up"),
            (self.open, "open"),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        format!("{} trials: {}", self.total(), counts.join(", "))
    }
}

impl View for CampaignView {
    fn table(&self) -> String {
        let mut text = format!("{}  {}  {}\n", self.name, self.campaign, self.phase);
        if !self.description.is_empty() {
            text.push_str(&format!("{}\n", self.description));
        }
        if self.trials.pruned > 0 {
            text.push_str(&format!("{}\n", self.trials.in_words()));
        }
        let (done, all) = (human_count(self.tokens_done as f64), human_count(self.tokens as f64));
        text.push_str(&format!("{}; {done} of {all} tokens trained\n", self.stages.in_words("stages")));
        text.extend(self.evaluations.map(|evaluations| format!("{}\n", evaluations.in_words("evaluations"))));
        text.extend(self.note());
        text
    }
}

/// Campaigns in the order of submission.
#[derive(Debug, Serialize)]
pub(crate) struct CampaignList {
    pub(crate) campaigns: Vec<CampaignView>,
    /// What keeps work from being done until somebody sees to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) troubles: Vec<String>,
}

impl View for CampaignList {
    fn table(&self) -> String {
        let troubles = self.troubles.iter().map(|trouble| wrapped(trouble, 0));
        if self.campaigns.is_empty() {
            return ["no campaigns\n".to_owned()].into_iter().chain(troubles).collect();
        }
        let rows: Vec<[String; 6]> = self.campaigns.iter().map(row).collect();
        let mut text = columns(["campaign", "name", "phase", " stages done", " points", " tokens"], &rows);
        text.extend(self.campaigns.iter().filter_map(CampaignView::evaluations_note));
        text.extend(self.campaigns.iter().filter_map(CampaignView::note));
        text.extend(troubles);
        text
    }
}

fn row(campaign: &CampaignView) -> [String; 6] {
    let short: String = campaign.campaign.chars().take("campaign_".len() + 8).collect();
    let trials = campaign.trials;
    [
        short,
        campaign.name.clone(),
        campaign.phase.to_owned(),
        format!("{}/{}", campaign.stages.completed, campaign.stages.total()),
        // A pruned trial is done.
        format!("{}/{}", trials.completed + trials.pruned, trials.total()),
        format!("{}/{}", human_count(campaign.tokens_done as f64), human_count(campaign.tokens as f64)),
    ]
}
