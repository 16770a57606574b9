//! Campaigns as commands print them: the fields of the JSON, and the lines for people.

mod campaign;
mod stage;

pub(crate) use campaign::{CampaignList, CampaignView};
pub(crate) use stage::{StageView, role};
