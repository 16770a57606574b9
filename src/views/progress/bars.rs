//! Progress on a terminal: a bar for the campaign and a line per worker.

use indicatif::{ProgressBar, ProgressStyle};

use super::snapshot::WorkerLine;
use super::{Display, Snapshot};
use crate::logging::bars;

/// Bars at the bottom of the terminal.
pub(crate) struct Bars {
    /// What to say while no worker is connected.
    hint: Option<String>,
    campaign: ProgressBar,
    workers: Vec<ProgressBar>,
}

impl Bars {
    pub(crate) fn new(hint: Option<String>) -> Self {
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}%  {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let campaign = bars().add(ProgressBar::new(1).with_style(style));
        Self { hint, campaign, workers: Vec::new() }
    }
}

impl Display for Bars {
    fn show(&mut self, now: &Snapshot) {
        let left = now.campaign.left.map(|left| format!(", {}", left.in_words()));
        let lines: Vec<String> = match now.lack(self.hint.as_deref()) {
            Some(lack) => vec![lack.to_owned()],
            None => now.workers.iter().map(WorkerLine::text).collect(),
        };
        self.campaign.set_prefix(now.campaign.name.clone());
        self.campaign.set_length(now.campaign.tokens);
        self.campaign.set_position(now.campaign.tokens_done);
        self.campaign.set_message(format!("{}{}", now.tokens(), left.unwrap_or_default()));
        let style = ProgressStyle::with_template("  {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        while self.workers.len() < lines.len() {
            self.workers.push(bars().add(ProgressBar::new_spinner().with_style(style.clone())));
        }
        for gone in self.workers.drain(lines.len()..) {
            gone.finish_and_clear();
        }
        for (bar, line) in self.workers.iter().zip(lines) {
            bar.set_message(line);
        }
    }

    fn finish(&mut self) {
        for bar in self.workers.drain(..) {
            bar.finish_and_clear();
        }
        self.campaign.finish_and_clear();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish();
    }
}
