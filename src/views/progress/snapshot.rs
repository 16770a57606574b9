//! The state of a campaign at one moment.

use proto::{convert, v1};
use serde::Serialize;
use vocabulary::units::human_count;

use crate::views::CampaignView;
use crate::views::output::View;

/// A campaign and its workers at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) campaign: CampaignView,
    pub(crate) workers: Vec<WorkerLine>,
    /// What its pools do about that, where no worker is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) awaited: Option<String>,
}

/// A worker and the stage it trains or evaluates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WorkerLine {
    pub(crate) worker: String,
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) connected: bool,
    pub(crate) stage: Option<String>,
    pub(crate) size: Option<String>,
    /// The name of the text, where it evaluates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    pub(crate) role: Option<&'static str>,
    pub(crate) end_step: Option<u64>,
    pub(crate) step: Option<u64>,
    pub(crate) loss: Option<f64>,
    pub(crate) learning_rate: Option<f64>,
    pub(crate) tokens_per_second: Option<f64>,
    /// Why it is given nothing, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_back: Option<String>,
    /// For how long, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_back_ms: Option<u64>,
}

impl From<&v1::CampaignUpdate> for Snapshot {
    fn from(update: &v1::CampaignUpdate) -> Self {
        let campaign = CampaignView::from(&update.summary.clone().unwrap_or_default());
        Self { campaign, workers: update.workers.iter().map(WorkerLine::from).collect(), awaited: None }
    }
}

impl From<&v1::WorkerStatus> for WorkerLine {
    fn from(worker: &v1::WorkerStatus) -> Self {
        let (stage, evaluation) = (worker.stage.as_ref(), worker.evaluation.as_ref());
        let progress = worker.progress.as_ref();
        let latest = progress.and_then(|progress| progress.latest.as_ref());
        Self {
            worker: worker.worker.clone(),
            name: worker.name.clone(),
            device: worker.device.clone(),
            connected: worker.connected,
            stage: stage.map(|stage| &stage.key).or(evaluation.map(|evaluation| &evaluation.key)).cloned(),
            size: stage.map(|stage| &stage.size).or(evaluation.map(|evaluation| &evaluation.size)).cloned(),
            text: evaluation.map(|evaluation| evaluation.name.clone()),
            role: stage.map(|stage| match stage.role() {
                v1::StageRole::Unspecified => "stage",
                v1::StageRole::Trunk => "trunk",
                v1::StageRole::Decay => "decay",
                v1::StageRole::Whole => "whole",
            }),
            end_step: stage
                .and_then(|stage| convert::spec("spec_json", &stage.spec_json).ok())
                .map(|spec| spec.steps.end),
            step: latest.map(|point| point.step),
            loss: latest.map(|point| point.loss),
            learning_rate: latest.map(|point| point.learning_rate),
            tokens_per_second: progress.map(|progress| progress.tokens_per_second),
            held_back: Some(worker.held_back.clone()).filter(|why| !why.is_empty()),
            held_back_ms: worker.held_back_ms,
        }
    }
}

impl Snapshot {
    /// The trained fraction of the plan's tokens, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        if self.campaign.tokens == 0 { 1.0 } else { self.campaign.tokens_done as f64 / self.campaign.tokens as f64 }
    }

    /// Whether there is work, and no worker is connected to do it.
    pub(crate) fn waits_for_workers(&self) -> bool {
        self.campaign.is_open() && !self.workers.iter().any(|worker| worker.connected)
    }

    /// The same, with what the pools do, where that is what it waits for.
    pub(crate) fn awaiting(self, pools: Option<&String>) -> Self {
        let awaited = pools.filter(|_| self.waits_for_workers()).cloned();
        Self { awaited, ..self }
    }

    /// What a campaign without workers waits for: its pools, or a person who follows the hint.
    pub(crate) fn lack<'a>(&'a self, hint: Option<&'a str>) -> Option<&'a str> {
        let awaited = self.awaited.as_deref().or(hint);
        awaited.filter(|_| self.waits_for_workers())
    }

    /// Trained and planned tokens, and completed and planned evaluations if there are any, in words.
    pub(crate) fn tokens(&self) -> String {
        let [done, all] = [self.campaign.tokens_done, self.campaign.tokens].map(|tokens| human_count(tokens as f64));
        let evaluations = self.campaign.evaluations;
        let evaluations = evaluations.map(|counts| format!(", {} of {} evaluations", counts.completed, counts.total()));
        format!("{done} of {all} tokens{}", evaluations.unwrap_or_default())
    }
}

impl WorkerLine {
    /// `local-1  tiny-128 decay  step 3600 of 3906  loss 2.3113  LR 5.20e-3  82.1k tokens/s`
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![self.name.clone()];
        match (&self.size, self.role) {
            (Some(size), Some(role)) => parts.push(format!("{size} {role}")),
            (Some(size), None) => {
                parts.push(self.text.as_ref().map_or_else(|| size.clone(), |text| format!("{size} on {text}")));
            }
            _ if self.connected && self.held_back.is_none() => parts.push("idle".to_owned()),
            _ => {}
        }
        match (self.step, self.end_step) {
            // Steps are counted from 0; people count from 1.
            (Some(step), Some(end)) => parts.push(format!("step {} of {end}", step + 1)),
            (None, Some(_)) => parts.push("starting".to_owned()),
            _ => {}
        }
        parts.extend(self.loss.map(|loss| format!("loss {loss:.4}")));
        parts.extend(self.learning_rate.map(|rate| format!("LR {rate:.2e}")));
        parts.extend(
            self.tokens_per_second.filter(|rate| *rate > 0.0).map(|rate| format!("{} tokens/s", human_count(rate))),
        );
        if let Some(why) = &self.held_back {
            let rest = self.held_back_ms.map(|rest| format!(" for {} s", rest.div_ceil(1000))).unwrap_or_default();
            parts.push(format!("held back{rest}: {why}"));
        }
        if !self.connected {
            parts.push("not connected".to_owned());
        }
        parts.join("  ")
    }
}

impl View for Snapshot {
    fn table(&self) -> String {
        let mut text = self.campaign.table();
        for worker in &self.workers {
            text.push_str(&format!("  {}\n", worker.text()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{StageSpec, sample};

    use super::*;

    fn busy() -> v1::WorkerStatus {
        let latest = v1::CurvePoint {
            step: 3599,
            loss: 2.31131,
            grad_norm: 0.4,
            learning_rate: 0.0052,
            measurements: Vec::new(),
        };
        let spec = StageSpec { steps: 0..3906, ..sample::stage() };
        let stage = v1::Stage {
            size: "tiny-128".to_owned(),
            role: v1::StageRole::Decay.into(),
            spec_json: String::from_utf8(spec.to_json()).expect("JSON is UTF-8"),
            ..Default::default()
        };
        v1::WorkerStatus {
            name: "local-1".to_owned(),
            connected: true,
            progress: Some(v1::Progress { latest: Some(latest), tokens_per_second: 82_100.0, ..Default::default() }),
            stage: Some(stage),
            ..Default::default()
        }
    }

    #[test]
    fn a_worker_is_a_line() {
        let line = WorkerLine::from(&busy()).text();
        assert_eq!(line, "local-1  tiny-128 decay  step 3600 of 3906  loss 2.3113  LR 5.20e-3  82.1k tokens/s");
    }

    #[test]
    fn unknown_values_are_omitted() {
        let idle = v1::WorkerStatus { name: "a".to_owned(), connected: true, ..Default::default() };
        assert_eq!(WorkerLine::from(&idle).text(), "a  idle");
        let evaluation = v1::Evaluation { size: "tiny-128".to_owned(), name: "news".to_owned(), ..Default::default() };
        let evaluating = v1::WorkerStatus { evaluation: Some(evaluation), ..idle.clone() };
        assert_eq!(WorkerLine::from(&evaluating).text(), "a  tiny-128 on news");
        let resting =
            v1::WorkerStatus { held_back: "its disk is full".to_owned(), held_back_ms: Some(4_001), ..idle.clone() };
        assert_eq!(WorkerLine::from(&resting).text(), "a  held back for 5 s: its disk is full");
        let unfit = v1::WorkerStatus { held_back_ms: None, ..resting };
        assert_eq!(WorkerLine::from(&unfit).text(), "a  held back: its disk is full");
        let gone = v1::WorkerStatus { connected: false, progress: None, ..busy() };
        assert_eq!(WorkerLine::from(&gone).text(), "local-1  tiny-128 decay  starting  not connected");
    }
}
