//! Worker processes of an embedded coordinator.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use coordinator::LocalPoolOptions;

use crate::args::{Compute, Downloads, Leaving};

/// Local workers: this program, run as `windtunnel worker`.
pub(crate) fn local_pool(
    data_dir: &Path,
    workers: u16,
    compute: &Compute,
    leaving: Leaving,
    downloads: Downloads,
) -> anyhow::Result<LocalPoolOptions> {
    let program = std::env::current_exe().context("cannot find this program's executable to start workers")?;
    let mut args = vec!["worker".to_owned(), "--log".to_owned(), "info".to_owned()];
    args.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
    args.extend(compute.arguments());
    args.extend(["--grace".to_owned(), leaving.grace.to_string()]);
    args.extend(["--cache-bytes".to_owned(), downloads.cache_bytes.to_string()]);
    Ok(LocalPoolOptions {
        program,
        args,
        count: usize::from(workers),
        log_dir: data_dir.join("logs"),
        name_prefix: "local".to_owned(),
        grace: Duration::from_secs_f64(leaving.grace),
    })
}
