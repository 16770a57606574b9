//! Conclusions as people and programs read them: a page, text in a terminal, CSV and JSON.
//!
//! Each form is made from a conclusion alone; none of them knows another but for the lines and cells that the terminal and
//! the page share.

mod cells;
mod csv;
mod files;
mod html;
mod text;

pub use files::{Files, TableFiles, WriteError};
use scaling::Law;

use crate::conclude::conclusion::Conclusion;
use crate::conclude::table_fit::TableFit;

impl Conclusion {
    /// The contents of `points.csv`.
    #[must_use]
    pub fn points_csv(&self) -> String {
        csv::points(&self.campaign, &self.points)
    }

    /// What people read in a terminal.
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

impl<L: Law> TableFit<L> {
    /// What people read in a terminal.
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
