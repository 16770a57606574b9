//! `windtunnel retry`

use proto::v1;
use serde::Serialize;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Stages that are listed individually.
const TOLD: usize = 5;

/// Retry the failed stages of a campaign
///
/// Trains what was given up again, and what depends on it. Says what that is; if nothing was given up, the command succeeds
/// too. A cancelled campaign is refused: submit its recipe again to continue it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel retry quickstart
  windtunnel retry quickstart --diverged")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    /// Also retry stages that diverged, for example on broken hardware
    #[arg(long)]
    diverged: bool,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Retried {
    campaign: String,
    name: String,
    retried: Vec<Stage>,
    /// Stages that diverged and stay as they are.
    diverged: u32,
    #[serde(skip)]
    asked_for_diverged: bool,
}

#[derive(Serialize)]
struct Stage {
    key: String,
    size: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let answer = with_coordinator(global, &self.coordinator, async |campaigns| {
            Ok(campaigns.retry(name, self.diverged).await?)
        })?;
        output::print(&Retried::new(answer, self.diverged), global.json)?;
        Ok(Exit::Done)
    }
}

impl Retried {
    fn new(answer: v1::RetryCampaignResponse, asked_for_diverged: bool) -> Self {
        let v1::RetryCampaignResponse { campaign, name, retried, diverged } = answer;
        let retried = retried.into_iter().map(|v1::RetriedStage { key, size }| Stage { key, size }).collect();
        Self { campaign, name, retried, diverged, asked_for_diverged }
    }
}

impl View for Retried {
    fn table(&self) -> String {
        let Self { name, retried, diverged, asked_for_diverged, .. } = self;
        let what = if *asked_for_diverged { "was given up or diverged" } else { "was given up" };
        let mut text = match retried.as_slice() {
            [] => format!("nothing to retry: no stage of {name} {what}\n"),
            [one] => format!("1 stage of {name} is queued again: {}\n", one.in_short()),
            several => {
                let told: Vec<_> = several.iter().take(TOLD).map(Stage::in_short).collect();
                let more = several.len().saturating_sub(TOLD);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{} stages of {name} are queued again:\n  {}{more}\n", several.len(), told.join("\n  "))
            }
        };
        if *diverged > 0 {
            let (what, them) = if *diverged == 1 { ("1 stage", "it") } else { ("stages", "them") };
            let count = if *diverged == 1 { String::new() } else { format!("{diverged} ") };
            text.push_str(&format!("{count}{what} diverged; --diverged trains {them} again\n"));
        }
        text
    }
}

impl Stage {
    fn in_short(&self) -> String {
        let key: String = self.key.chars().take("stage_".len() + 8).collect();
        format!("{key} ({})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(retried: usize, diverged: u32, asked_for_diverged: bool) -> String {
        let stage = |number| v1::RetriedStage { key: format!("stage_0123456{number}ab"), size: "tiny".to_owned() };
        let retried = (0..retried).map(stage).collect();
        let answer = v1::RetryCampaignResponse { campaign: String::new(), name: "smoke".to_owned(), retried, diverged };
        Retried::new(answer, asked_for_diverged).table()
    }

    #[test]
    fn a_retry_says_what_it_did() {
        assert_eq!(answer(0, 0, false), "nothing to retry: no stage of smoke was given up\n");
        assert_eq!(answer(0, 0, true), "nothing to retry: no stage of smoke was given up or diverged\n");
        assert_eq!(answer(1, 0, false), "1 stage of smoke is queued again: stage_01234560 (tiny)\n");
        assert_eq!(
            answer(2, 1, false),
            "2 stages of smoke are queued again:\n  stage_01234560 (tiny)\n  stage_01234561 (tiny)\n1 stage diverged; \
             --diverged trains it again\n"
        );
        let many = answer(7, 3, false);
        assert!(
            many.contains("stage_01234564 (tiny) and 2 more\n3 stages diverged; --diverged trains them again\n"),
            "{many}"
        );
    }
}
