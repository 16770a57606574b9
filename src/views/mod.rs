//! Campaigns, files, and what is added, as commands print them: the fields of the JSON, and the lines for people.

mod addition;
mod bench;
mod campaign;
mod coordinates;
mod files;
mod forecast;
pub(crate) mod law;
mod search;
mod stage;

pub(crate) use addition::AdditionView;
pub(crate) use bench::BenchView;
pub(crate) use campaign::{CampaignList, CampaignView};
pub(crate) use coordinates::{CoordinatesView, ModelCoordinates, VariantCoordinates};
pub(crate) use files::{FileView, FilesView};
pub(crate) use forecast::{DonorView, ForecastView, TreeView};
pub(crate) use search::SearchView;
pub(crate) use stage::{StageView, role};
