//! `windtunnel evaluate`

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use client::{Accepted, Campaigns, Detail};
use corpus::{OpenDataset, Prepared};
use proto::layout::dataset_path;
use proto::v1;
use serde::Serialize;
use vocabulary::text::counted;
use vocabulary::{Dataset, Evaluation, Flops};

use crate::args::numbers::count_above_zero;
use crate::args::{Global, TrainingArgs};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::data_dir;
use crate::local::preparing::prepare_texts;
use crate::local::reach::{storage, upload, with_coordinator};
use crate::local::training::Training;
use crate::logging::say;
use crate::views::output::{self, View, columns};

/// Name of the results on the campaign's own text.
const OWN_TEXT: &str = "held-out";

/// Measure the loss of a campaign's models on held-out text, without training
///
/// The text is tokenized with the campaign's tokenizer and held out as a whole. The last checkpoint of each trial is measured
/// on it, once, with the context and precision of its training. Running and ended campaigns can be evaluated. The results
/// are added to points.csv, the report and `windtunnel show`; `windtunnel fit CAMPAIGN --set NAME` fits the law to them. With
/// --coordinator the command submits the evaluations and returns. An interrupted evaluation resumes with the same command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel evaluate quickstart --text '~/texts/news/**/*.md' --name news
  windtunnel evaluate quickstart --text toolchain-docs --tokens 20k --dry-run
  windtunnel evaluate quickstart --stages stage_0a1b2c3d")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    /// Files, folders, globs or `toolchain-docs` to measure on [default: the held-out part of the campaign's own text]
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    text: Vec<String>,

    /// Name of the results [default: derived from the first source, or `held-out`]
    #[arg(long)]
    name: Option<String>,

    /// Tokens to measure on: 20000 or 20k [default: all]
    #[arg(long, value_name = "TOKENS", value_parser = count_above_zero)]
    tokens: Option<u64>,

    /// Keys of the stages to measure; prefixes are enough [default: the last stage of each trial]
    #[arg(long, value_name = "KEY", num_args = 1..)]
    stages: Vec<String>,

    /// Print what would be measured, without measuring; the text of --text is still prepared
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    training: TrainingArgs,

    /// Where to write points.csv, fit.json and report.html [default: out/CAMPAIGN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        self.training.own.compute.check()?;
        let data_dir = data_dir(global)?;
        let is_local = !self.training.coordinator.is_given();
        let (request, prepared, looked) = with_coordinator(global, &self.training.coordinator, async |campaigns| {
            let detail = campaigns.detail(&self.campaign).await?;
            let (dataset, prepared) = self.prepare(campaigns, &detail, &data_dir).await?;
            let request = self.request(&detail, &dataset);
            let look = v1::EvaluateCampaignRequest { dry_run: true, ..request.clone() };
            let looked = campaigns.evaluate(look).await?;
            if !self.dry_run && is_local && self.text.is_empty() {
                check_held_out(campaigns, &dataset).await?;
            }
            if !self.dry_run && !is_local {
                hand_in(campaigns, &request, prepared.as_ref()).await?;
            }
            Ok((request, prepared, looked))
        })?;
        let added = Added::of(&request.name, &looked)?;
        if self.dry_run || !is_local {
            output::print(&added, global.json)?;
            return Ok(Exit::Done);
        }
        if added.evaluations.is_empty() && added.known == 0 {
            return Err(bad_input(anyhow!("{}", added.table().trim_end())));
        }
        say(added.table().trim_end());
        let ask = async |campaigns: &mut Campaigns| hand_in(campaigns, &request, prepared.as_ref()).await;
        let training = Training { by: &self.training, data_dir: &data_dir, storage: None, store: None };
        training.add(&looked.campaign_name, self.out.as_deref(), global, ask)
    }

    fn request(&self, detail: &Detail, dataset: &Dataset) -> v1::EvaluateCampaignRequest {
        v1::EvaluateCampaignRequest {
            // By its identifier from here on: the name may come to mean another campaign in between.
            campaign: detail.summary.campaign.clone(),
            name: self.name.clone().unwrap_or_else(|| self.made_up_name()),
            dataset: Some(dataset.into()),
            tokens: self.tokens.unwrap_or_default(),
            stages: self.stages.clone(),
            dry_run: false,
            kind_json: String::new(),
        }
    }

    /// Of the text: its first source's name, without what a column's name cannot have.
    fn made_up_name(&self) -> String {
        let Some(source) = self.text.first() else { return OWN_TEXT.to_owned() };
        // The last part of a path that says something: `news` of `~/texts/news/**/*.md`.
        let mut parts = source.split('/').filter(|part| !part.is_empty() && !part.contains(['*', '?', '[', '~']));
        let part = parts.next_back().unwrap_or("text");
        let stem = Path::new(part).file_stem().map_or_else(|| part.into(), |stem| stem.to_string_lossy());
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
        let name: String = stem.chars().map(plain).take(100).collect();
        let name = name.trim_start_matches('.');
        if name.is_empty() { "text".to_owned() } else { name.to_owned() }
    }

    /// The text to measure on, prepared here unless the coordinator has it.
    async fn prepare(
        &self,
        campaigns: &mut Campaigns,
        detail: &Detail,
        data_dir: &Path,
    ) -> anyhow::Result<(Dataset, Option<Prepared>)> {
        let own = detail.plan.dataset.as_ref();
        let own = own.with_context(|| format!("{} has no prepared text", detail.plan.name)).or_bad_input()?;
        if self.text.is_empty() {
            return Ok((own.clone(), None));
        }
        let prepared = prepare_texts(campaigns, &own.id, &self.text, 1.0, data_dir).await?;
        Ok((prepared.dataset.clone(), Some(prepared)))
    }
}

/// That the text of a campaign is whole, where it lies on this machine. Workers would take the evaluations again and again until
/// somebody has replaced it, and here nobody else does.
async fn check_held_out(campaigns: &mut Campaigns, dataset: &Dataset) -> anyhow::Result<()> {
    let storage = storage(campaigns).await?;
    let Some(root) = storage.directory() else { return Ok(()) };
    let dir = root.join(dataset_path(&dataset.id));
    let id = dataset.id;
    let checked = move || OpenDataset::open(&dir).and_then(|opened| opened.verify_as(id));
    let checked = tokio::task::spawn_blocking(checked).await.context("the check was stopped")?;
    checked.context("nothing can be measured on the held-out text of this campaign")
}

/// Submits the evaluations, after their text.
async fn hand_in(
    campaigns: &mut Campaigns,
    request: &v1::EvaluateCampaignRequest,
    prepared: Option<&Prepared>,
) -> anyhow::Result<Accepted> {
    if let Some(prepared) = prepared {
        upload(campaigns, prepared).await?;
    }
    Ok(client::evaluate(campaigns, request.clone()).await?)
}

/// What is added to a campaign.
#[derive(Debug, Serialize)]
struct Added {
    campaign: String,
    name: String,
    text: String,
    evaluations: Vec<NewEvaluation>,
    flops: Flops,
    /// Of what was asked for, what the campaign has already.
    known: u32,
    known_done: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unevaluable: Vec<UnevaluableStage>,
}

#[derive(Debug, Serialize)]
struct NewEvaluation {
    key: String,
    stage: String,
    size: String,
    seed: u64,
    tokens: u64,
}

#[derive(Debug, Serialize)]
struct UnevaluableStage {
    stage: String,
    reason: String,
}

impl Added {
    fn of(text: &str, answer: &v1::EvaluateCampaignResponse) -> anyhow::Result<Self> {
        let read = |evaluation: &v1::Evaluation| Evaluation::try_from(evaluation.clone());
        let added: Vec<Evaluation> = answer.added.iter().map(read).collect::<Result<_, _>>()?;
        let new = |evaluation: &Evaluation| NewEvaluation {
            key: evaluation.key.to_string(),
            stage: evaluation.parent.to_string(),
            size: evaluation.size.clone(),
            seed: evaluation.seed,
            tokens: evaluation.spec.tokens().0,
        };
        let unevaluable =
            answer.unevaluable.iter().map(|it| UnevaluableStage { stage: it.stage.clone(), reason: it.reason.clone() });
        Ok(Self {
            campaign: answer.campaign.clone(),
            name: answer.campaign_name.clone(),
            text: text.to_owned(),
            evaluations: added.iter().map(new).collect(),
            flops: added.iter().map(|evaluation| evaluation.spec.flops()).sum(),
            known: answer.known,
            known_done: answer.known_done,
            unevaluable: unevaluable.collect(),
        })
    }
}

impl View for Added {
    fn table(&self) -> String {
        let Self { campaign, name, text, evaluations, flops, known, known_done, unevaluable } = self;
        let short = |key: &str| key.chars().take("stage_".len() + 8).collect::<String>();
        let row = |it: &NewEvaluation| {
            [it.size.clone(), it.seed.to_string(), short(&it.stage), it.tokens.to_string(), short(&it.key)]
        };
        let rows: Vec<_> = evaluations.iter().map(row).collect();
        let mut shown = match rows.as_slice() {
            [] if *known == 0 => format!("nothing can be evaluated on `{text}`: {name} ({campaign})\n"),
            [] if known_done == known => {
                format!("nothing to evaluate on `{text}`: {name} ({campaign}) has all of it\n")
            }
            [] => format!("nothing new to evaluate on `{text}`: {name} ({campaign}) has been asked for all of it\n"),
            rows => format!(
                "{name} ({campaign}) on `{text}`\n{}to evaluate: {}, {flops} FLOPs\n",
                columns(["size", " seed", "stage", " tokens", "evaluation"], rows),
                counted(rows.len(), "stage")
            ),
        };
        if *known > 0 {
            shown.push_str(&format!("asked for before: {known}, of which {known_done} are done\n"));
        }
        for UnevaluableStage { stage, reason } in unevaluable {
            shown.push_str(&format!("{} is not evaluated: {reason}\n", short(stage)));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn name(text: &[&str]) -> String {
        let arguments = ["evaluate", "quickstart"].iter().chain(text);
        Command::parse_from(arguments).args.made_up_name()
    }

    #[test]
    fn a_text_is_named_after_its_source() {
        assert_eq!(name(&[]), "held-out");
        assert_eq!(name(&["--text", "~/texts/news/**/*.md"]), "news");
        assert_eq!(name(&["--text", "/data/a b.jsonl", "more"]), "a-b");
        assert_eq!(name(&["--text", "toolchain-docs"]), "toolchain-docs");
        assert_eq!(name(&["--text", "*.md"]), "text");
    }
}
