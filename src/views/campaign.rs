//! A campaign in short, and its counts.

use proto::v1;
use serde::Serialize;
use vocabulary::text::wrapped;
use vocabulary::units::{human_count, human_duration, human_time};

use crate::views::output::View;
use crate::views::stage::words;
use crate::views::table::{Column, KEPT, fitted, terminal_width};

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
    /// How long it still takes, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<LeftView>,
    /// Committed checkpoints found damaged or missing.
    pub(crate) damaged_checkpoints: u32,
}

/// How long a campaign still takes, by what was measured and the workers that are connected.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct LeftView {
    pub(crate) seconds: f64,
    /// Whether something of unknown length is not counted.
    pub(crate) at_least: bool,
}

impl LeftView {
    /// `about 2m 05s left`.
    pub(crate) fn in_words(self) -> String {
        // Something is left, so it takes some time.
        let seconds = self.seconds.round().max(1.0);
        format!("{} {} left", if self.at_least { "at least" } else { "about" }, human_duration(seconds))
    }
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
            left: summary
                .left_ms
                .filter(|_| summary.phase() == v1::CampaignPhase::Open)
                .map(|ms| LeftView { seconds: ms as f64 / 1e3, at_least: summary.left_at_least }),
            damaged_checkpoints: summary.damaged_checkpoints,
        }
    }
}

impl CampaignView {
    /// Whether something of it is left to do.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == campaign_phase(v1::CampaignPhase::Open)
    }

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
            (self.completed, words::COMPLETED),
            (self.running, words::RUNNING),
            (self.waiting, words::WAITING),
            (self.diverged, words::DIVERGED),
            (self.failed, words::GIVEN_UP),
            (self.not_run, words::NOT_RUN),
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
            (self.completed, words::COMPLETED),
            (self.pruned, words::PRUNED),
            (self.diverged, words::DIVERGED),
            (self.failed, words::GIVEN_UP),
            (self.open, words::OPEN),
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
        let left = self.left.map(|left| format!("; {}", left.in_words())).unwrap_or_default();
        text.push_str(&format!("submitted {} UTC{left}\n", human_time(self.submitted_at_ms)));
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
        let mut text = fitted(self.columns(), terminal_width());
        text.extend(self.campaigns.iter().filter_map(CampaignView::evaluations_note));
        text.extend(self.campaigns.iter().filter_map(CampaignView::note));
        text.extend(troubles);
        text
    }
}

impl CampaignList {
    fn columns(&self) -> Vec<Column> {
        let column = |title: &str, rank, cell: &dyn Fn(&CampaignView) -> String| {
            Column::new(title, rank, self.campaigns.iter().map(cell))
        };
        let id = |it: &CampaignView| it.campaign.chars().take("campaign_".len() + 8).collect();
        // A pruned trial is completed as far as it was to be.
        let points = |it: &CampaignView| format!("{}/{}", it.trials.completed + it.trials.pruned, it.trials.total());
        let tokens =
            |it: &CampaignView| format!("{}/{}", human_count(it.tokens_done as f64), human_count(it.tokens as f64));
        vec![
            column("campaign", KEPT, &id),
            column("name", KEPT, &|it| it.name.clone()),
            column("phase", KEPT, &|it| it.phase.to_owned()),
            column(" stages", KEPT, &|it| format!("{}/{}", it.stages.completed, it.stages.total())),
            column(" points", 3, &points),
            column(" diverged", 4, &|it| count(it.trials.diverged)),
            column(" given up", 5, &|it| count(it.trials.failed)),
            column(" tokens", 2, &tokens),
            column("submitted (UTC)", 0, &|it| human_time(it.submitted_at_ms)),
            column("left", 1, &|it| it.left.map(LeftView::in_words).unwrap_or_default()),
        ]
    }
}

/// A count, where there is something to count.
fn count(count: u32) -> String {
    Some(count).filter(|count| *count > 0).map(|count| count.to_string()).unwrap_or_default()
}
