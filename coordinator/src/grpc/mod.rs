//! The services: a handler decodes, forwards to `api` or the driver, and encodes the answer.

mod campaigns;
mod decode;
mod encode;
mod pool_settings;
mod pools;
mod session;
mod status;

pub(crate) use campaigns::CampaignHandlers;
pub(crate) use pools::PoolHandlers;
pub(crate) use session::WorkerHandlers;
