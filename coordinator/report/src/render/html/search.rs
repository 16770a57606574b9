//! The section about a search.

use std::fmt::Write;

use recipes::search::recipe_lines;

use crate::conclude::conclusion::Conclusion;
use crate::conclude::search::{Searched, Tried};
use crate::escape::escape;

/// Number of trials in the table.
const BEST: usize = 20;

/// `None` if the campaign is not a search.
pub(super) fn section(conclusion: &Conclusion) -> Option<String> {
    let searched = Searched::of(&conclusion.campaign)?;
    let mut html = format!("<section>\n<h2>The search</h2>\n<p class=\"about\">{}.", escape(&searched.in_words()));
    if let Some(parts) = searched.importance() {
        let parts: Vec<String> = parts.iter().map(|(key, part)| format!("{key} {:.0}%", 100.0 * part)).collect();
        let _ = write!(html, " What separates the best fifth from the rest: {}.", parts.join(", "));
    }
    html.push_str("</p>\n");
    match searched.best() {
        Some(best) => {
            let _ = writeln!(
                html,
                "<p>The best is trial {}, with {:.4} nats a token on held-out text. As lines for a recipe:</p>\n<pre>{}</pre>",
                best.number,
                best.loss.unwrap_or(f64::NAN),
                escape(&recipe_lines(best.settings))
            );
        }
        None => html.push_str("<p class=\"refusal\">No trial has completed yet.</p>\n"),
    }
    let keys: String = searched.space.iter().map(|dimension| format!("<th>{}</th>", dimension.parameter)).collect();
    let rows: String = searched.trials.iter().take(BEST).map(|trial| row(&searched, trial)).collect();
    let _ = write!(
        html,
        "<div class=\"scroll\"><table>\n<tr><th>trial</th>{keys}<th>loss</th><th>state</th></tr>\n{rows}</table></div>\n\
         </section>\n"
    );
    Some(html)
}

fn row(searched: &Searched<'_>, trial: &Tried<'_>) -> String {
    let values: String = searched.values(trial).iter().map(|value| format!("<td>{value}</td>")).collect();
    let loss = trial.loss.map_or_else(|| "&ndash;".to_owned(), |loss| format!("{loss:.4}"));
    format!("<tr><td>{}</td>{values}<td>{loss}</td><td>{}</td></tr>\n", trial.number, trial.state())
}
