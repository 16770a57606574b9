//! The services: a handler decodes, forwards to the driver, and encodes the answer.

mod branch;
mod campaigns;
mod checkpoints;
mod decode;
pub(crate) mod encode;
mod limit;
mod session;
mod status;
mod watch;

pub(crate) use campaigns::CampaignApi;
pub(crate) use session::WorkerApi;
