//! `report.html`: one file that needs no other.
//!
//! Everything from a recipe is escaped, and the page's policy forbids loading anything, so the page is the same wherever it
//! is opened.

mod parts;
mod plotly;
mod script;
mod search;
mod texts;

use scaling::Law;

use crate::conclude::conclusion::Conclusion;
use crate::conclude::table_fit::TableFit;
use crate::draw;
use crate::escape::escape;
use crate::figures::Figure;

pub(super) fn page(conclusion: &Conclusion) -> String {
    let figures = draw::report(conclusion);
    let drawn: String = figures.iter().map(figure).collect();
    let parts = [
        parts::heading(conclusion),
        search::section(conclusion).unwrap_or_else(|| parts::law(conclusion)),
        conclusion.analysis.as_ref().map(parts::optima).unwrap_or_default(),
        parts::second_rates(conclusion),
        parts::envelope(conclusion),
        parts::sets(conclusion),
        parts::evaluations(conclusion),
        drawn,
        parts::points(conclusion),
        parts::settings(conclusion),
    ];
    document(&conclusion.campaign.plan.name, &parts.concat(), &figures)
}

/// The page of a table's fit.
pub(super) fn table_page<L: Law>(fit: &TableFit<L>) -> String {
    let figures = draw::table(&fit.analysis, fit.source.unit());
    let drawn: String = figures.iter().map(figure).collect();
    let parts = [parts::table_heading(fit), parts::table_law(fit), parts::optima(&fit.analysis), drawn];
    document(&fit.source.file, &parts.concat(), &figures)
}

fn document(name: &str, body: &str, figures: &[Figure]) -> String {
    let name = escape(name);
    let style = include_str!("style.css");
    let script = script::render(figures);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; \
         style-src 'unsafe-inline'; img-src data: blob:\">\n\
         <title>{name}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n{script}</body>\n</html>\n"
    )
}

fn figure(figure: &Figure) -> String {
    let Figure { id, title, explanation, height, .. } = figure;
    format!(
        "<section>\n<h2>{title}</h2>\n<p class=\"about\">{}</p>\n\
         <div class=\"figure\" id=\"{id}\" style=\"height: {height}px\"></div>\n</section>\n",
        escape(explanation)
    )
}
