//! Renders conclusions for people and programs: a page, text for a terminal, CSV and JSON.
//!
//! Each form is made from a conclusion alone. The terminal and the page share some lines and cells.

mod cells;
mod csv;
mod documents;
mod files;
mod html;
mod isoflop;
mod text;

pub use files::{Files, TableFiles, WriteError};
use scaling::Law;

use crate::conclude::conclusion::Conclusion;
use crate::conclude::isoflop_fit::IsoFlopFit;
use crate::conclude::table_fit::TableFit;

impl Conclusion {
    /// The contents of `points.csv`.
    #[must_use]
    pub fn points_csv(&self) -> String {
        csv::points(&self.campaign, &self.points)
    }

    /// The text for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        text::of_campaign(self)
    }

    /// The contents of `report.html`.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }
}

impl IsoFlopFit {
    /// The text for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        isoflop::text(self)
    }
}

impl<L: Law> TableFit<L> {
    /// The text for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        text::of_table(self)
    }

    /// The contents of `report.html`.
    #[must_use]
    pub fn html(&self) -> String {
        html::table_page(self)
    }
}
