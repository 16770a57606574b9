//! Progress on a terminal: a bar for the campaign and a line per worker.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::eta::{Eta, clock};
use super::{Display, Snapshot};
use crate::logging::bars;

/// Bars at the bottom of the terminal.
pub(crate) struct Bars {
    began: Instant,
    eta: Eta,
    campaign: ProgressBar,
    workers: Vec<ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}%  {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let campaign = bars().add(ProgressBar::new(1).with_style(style));
        Self { began: Instant::now(), eta: Eta::default(), campaign, workers: Vec::new() }
    }
}

impl Display for Bars {
    fn show(&mut self, now: &Snapshot) {
        self.eta.observe(self.began.elapsed(), now.campaign.tokens_done);
        let left = self.eta.left(now.campaign.tokens).map(|left| format!(", {} left", clock(left)));
        self.campaign.set_prefix(now.campaign.name.clone());
        self.campaign.set_length(now.campaign.tokens);
        self.campaign.set_position(now.campaign.tokens_done);
        self.campaign.set_message(format!("{}{}", now.tokens(), left.unwrap_or_default()));
        let style = ProgressStyle::with_template("  {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        while self.workers.len() < now.workers.len() {
            self.workers.push(bars().add(ProgressBar::new_spinner().with_style(style.clone())));
        }
        for gone in self.workers.drain(now.workers.len()..) {
            gone.finish_and_clear();
        }
        for (bar, worker) in self.workers.iter().zip(&now.workers) {
            bar.set_message(worker.text());
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
