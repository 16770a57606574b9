//! How things stand: owned data, built in one look at the driver's state.

mod campaign;
mod stage;
mod trial;
mod worker;

pub(crate) use campaign::{CampaignDetail, CampaignUpdate, CampaignView, Watched};
pub(crate) use stage::{StagePhase, StageTimes, StageView};
pub(crate) use trial::{TrialEnd, TrialOutcome};
pub(crate) use worker::WorkerView;
