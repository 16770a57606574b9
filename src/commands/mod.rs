//! One file a command: its arguments, and the calls it comes down to.

pub(crate) mod bench;
pub(crate) mod cancel;
pub(crate) mod checkpoints;
pub(crate) mod completions;
pub(crate) mod curves;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod fit;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod logits;
pub(crate) mod plan;
pub(crate) mod recipe;
pub(crate) mod report;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod show_model;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod train;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod worker;
