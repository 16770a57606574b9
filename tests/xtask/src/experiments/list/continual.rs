//! Extending a campaign, and branching it into another domain.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::experiments::Findings;
use crate::experiments::program::Program;

const CAMPAIGN: &str = "continual";
const ADAPTED: &str = "continual-adapted";
const SCRATCH: &str = "continual-scratch";
/// Tokens of the other domain to train on.
const TOKENS: &str = "400000";

pub(super) fn run(program: &Program) -> Result<Findings> {
    let mut text = String::new();
    let before = program.train("recipes/cpu/continual.toml", CAMPAIGN)?;
    let planned = program.ask(["extend", CAMPAIGN, "--tokens", "1600000", "--dry-run"])?;
    let stages = planned["stages"].as_array().map_or(0, Vec::len);
    let out = program.out(CAMPAIGN);
    program.say([
        "extend".as_ref(),
        CAMPAIGN.as_ref(),
        "--tokens".as_ref(),
        "1600000".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ])?;
    let after = program.points(CAMPAIGN)?;
    let kept = before.iter().all(|point| after.contains(point));
    let _ = writeln!(
        text,
        "extended by a point of 1.6M tokens: {stages} new stages (none if it was done before), {} points became {}, the old ones {}",
        before.len(),
        after.len(),
        if kept { "unchanged" } else { "CHANGED" }
    );

    let trunk = last_trunk(&program.ask(["show", CAMPAIGN])?)?;
    let others = |name: &str| -> Result<Option<f64>> {
        let point = program.points(name)?.into_iter().next().context("no point")?;
        Ok(point.cells.get("loss_per_byte").and_then(|cell| cell.parse().ok()))
    };
    let out = program.out(ADAPTED);
    std::fs::create_dir_all(&out)?;
    let branch = [
        "branch",
        trunk.as_str(),
        "--data",
        "toolchain-docs/src",
        "--decay",
        "exponential",
        "--tokens",
        TOKENS,
        "--name",
        ADAPTED,
        "--out",
    ];
    program.say(branch.into_iter().map(std::ffi::OsStr::new).chain([out.as_os_str()]))?;
    program.train("recipes/cpu/continual-scratch.toml", SCRATCH)?;
    let (adapted, scratch) = (others(ADAPTED)?, others(SCRATCH)?);
    let said = |loss: Option<f64>| loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"));
    let _ = writeln!(
        text,
        "code, nats a byte held out: {} after {TOKENS} tokens branched off the trunk on prose, {} after as many from nothing",
        said(adapted),
        said(scratch)
    );
    Ok(Findings { text, charts: Vec::new() })
}

/// The last stage of the longest trunk at the peak learning rate.
fn last_trunk(campaign: &Value) -> Result<String> {
    let stages =
        campaign["plan"]["stages"].as_array().or_else(|| campaign["stages"].as_array()).context("no stages")?;
    let trunks = stages.iter().filter(|stage| stage["role"] == "trunk");
    let last = trunks.max_by_key(|stage| stage["spec"]["end_step"].as_u64().or_else(|| stage["end_step"].as_u64()));
    Ok(last.and_then(|stage| stage["key"].as_str()).context("no trunk")?.to_owned())
}
