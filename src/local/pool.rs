//! Worker processes of an embedded coordinator.

use std::path::Path;

use anyhow::Context;
use coordinator::LocalPoolOptions;

use crate::args::Compute;

/// Local workers: this program, run as `windtunnel worker`.
pub(crate) fn local_pool(data_dir: &Path, workers: u16, compute: &Compute) -> anyhow::Result<LocalPoolOptions> {
    let program = std::env::current_exe().context("cannot find this program's executable to start workers")?;
    let mut args = vec!["worker".to_owned(), "--log".to_owned(), "info".to_owned()];
    args.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
    args.extend(compute.arguments());
    Ok(LocalPoolOptions {
        program,
        args,
        count: usize::from(workers),
        log_dir: data_dir.join("logs"),
        name_prefix: "local".to_owned(),
    })
}
