//! Uploads to a coordinator's storage.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use client::Upload;
use indicatif::{ProgressBar, ProgressStyle};
use vocabulary::units::human_bytes;

use crate::logging::{bars, say};

/// How often a line says how far it is, without a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows an upload: a bar on a terminal while data is sent through the coordinator, a line now and then elsewhere.
#[derive(Debug, Default)]
pub(crate) struct UploadDisplay {
    bar: Option<ProgressBar>,
    /// When the last line was printed, and whether the last thing that was said is that it waits.
    said: Option<Instant>,
    is_waiting: bool,
}

impl UploadDisplay {
    pub(crate) fn show(&mut self, upload: &Upload) {
        match upload {
            Upload::Copying(to) => say(&format!("copying the data to {}", to.display())),
            Upload::Sending(place) => say(&format!("sending the data to {place}")),
            Upload::Relaying { done, total } => self.relaying(*done, *total),
            Upload::Waiting { why } => {
                // Once for each time it begins to wait.
                if !std::mem::replace(&mut self.is_waiting, true) {
                    say(&format!("{why}; trying again"));
                }
            }
        }
    }

    fn relaying(&mut self, done: u64, total: u64) {
        self.is_waiting = false;
        let step = format!("sending {}", of(done, total));
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent:>3}%");
                let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
                bars().add(ProgressBar::new(1).with_style(style))
            });
            bar.set_message(step);
            bar.set_length(total);
            bar.set_position(done);
        } else if self.said.is_none_or(|said| said.elapsed() >= BETWEEN_LINES) {
            self.said = Some(Instant::now());
            say(&format!("data: {step}"));
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `120 of 400 MB`, or `900 kB of 1.20 GB`.
fn of(done: u64, total: u64) -> String {
    let (done, total) = (human_bytes(done), human_bytes(total));
    match (done.split_once(' '), total.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {total}"),
        _ => format!("{done} of {total}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_a_unit_once_if_it_can() {
        assert_eq!(of(120_000_000, 400_000_000), "120 of 400 MB");
        assert_eq!(of(900_000, 1_200_000_000), "900 kB of 1.20 GB");
    }
}
