//! Pools of worker processes, with a shell script in the place of a worker.

mod embedded;
mod lives;
mod script;
