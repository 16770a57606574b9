//! `windtunnel show`

use serde::Serialize;
use vocabulary::Plan;
use vocabulary::units::human_duration;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_reader;
use crate::views::output::{self, View};
use crate::views::{
    CampaignView, EvaluationView, SearchView, StageView, evaluation_table, stage_table, terminal_width,
};
use client::Detail;

/// Show the progress of a campaign, stage by stage
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel show quickstart")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Shown {
    campaign: CampaignView,
    /// Of all attempts at its stages and evaluations.
    device_seconds: f64,
    stages: Vec<StageView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evaluations: Vec<EvaluationView>,
    /// The trials of a search, in the order they were suggested.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchView>,
    plan: Plan,
    recipe_file: String,
    recipe_text: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let detail = with_reader(global, &self.coordinator, async |campaigns| Ok(campaigns.detail(name).await?))?;
        output::print(&Shown::from(detail), global.json)?;
        Ok(Exit::Done)
    }
}

impl From<Detail> for Shown {
    fn from(detail: Detail) -> Self {
        let search = SearchView::of(&detail.plan, &detail.stages);
        let evaluations = detail.plan.evaluations.iter().zip(&detail.evaluations);
        let statuses = || detail.stages.iter().chain(&detail.evaluations);
        Self {
            campaign: CampaignView::from(&detail.summary),
            device_seconds: statuses().map(|status| status.device_ms).sum::<u64>() as f64 / 1e3,
            stages: StageView::all(&detail.plan, &detail.stages),
            evaluations: evaluations.map(|(evaluation, status)| EvaluationView::new(evaluation, status)).collect(),
            search,
            plan: detail.plan,
            recipe_file: detail.recipe_file,
            recipe_text: detail.recipe_text,
        }
    }
}

impl View for Shown {
    fn table(&self) -> String {
        let width = terminal_width();
        let mut text = self.campaign.table();
        if self.device_seconds > 0.0 {
            text.push_str(&format!("{} of device time\n", human_duration(self.device_seconds)));
        }
        text.push('\n');
        text.push_str(&stage_table(&self.stages, width));
        if !self.evaluations.is_empty() {
            text.push_str(&format!("\n{}", evaluation_table(&self.evaluations, width)));
        }
        text.extend(self.search.as_ref().map(|search| format!("\n{}", search.table())));
        text
    }
}
