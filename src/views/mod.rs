//! Output of commands: JSON fields and text for people.

mod addition;
mod bench;
mod campaign;
mod coordinates;
mod evaluation;
mod files;
mod forecast;
mod given_up;
pub(crate) mod held_out;
pub(crate) mod law;
mod measurements;
pub(crate) mod output;
pub(crate) mod progress;
mod result;
mod search;
mod stage;
mod stages;
mod table;
mod upload;

pub(crate) use addition::AdditionView;
pub(crate) use bench::BenchView;
pub(crate) use campaign::{CampaignList, CampaignView};
pub(crate) use coordinates::{CoordinatesView, ModelCoordinates, VariantCoordinates};
pub(crate) use evaluation::{EvaluationView, table as evaluation_table};
pub(crate) use files::{FileView, FilesView};
pub(crate) use forecast::{DonorView, ForecastView, TreeView};
pub(crate) use given_up::say_what_was_given_up;
pub(crate) use measurements::others;
pub(crate) use output::View;
pub(crate) use result::{FitView, ResultView};
pub(crate) use search::SearchView;
pub(crate) use stage::StageView;
pub(crate) use stages::table as stage_table;
pub(crate) use table::terminal_width;
pub(crate) use upload::UploadDisplay;
