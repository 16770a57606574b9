//! `windtunnel show`

use serde::Serialize;
use vocabulary::Plan;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_reader;
use crate::views::output::{self, View, columns};
use crate::views::{CampaignView, EvaluationView, SearchView, StageView};
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
        let stages = detail.plan.stages.iter().zip(&detail.stages);
        let evaluations = detail.plan.evaluations.iter().zip(&detail.evaluations);
        Self {
            campaign: CampaignView::from(&detail.summary),
            stages: stages.map(|(stage, status)| StageView::new(stage, status)).collect(),
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
        let cells: Vec<_> = self.stages.iter().map(StageView::cells).collect();
        let search = self.search.as_ref().map(|search| format!("\n{}", search.table())).unwrap_or_default();
        let evaluations: Vec<_> = self.evaluations.iter().map(EvaluationView::cells).collect();
        let evaluations = match evaluations.as_slice() {
            [] => String::new(),
            some => format!("\n{}", columns(EvaluationView::HEADER, some)),
        };
        format!("{}\n{}{evaluations}{search}", self.campaign.table(), columns(StageView::HEADER, &cells))
    }
}
