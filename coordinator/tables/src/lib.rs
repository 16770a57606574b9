//! Reads tables of losses from elsewhere: CSV, JSON lines and Parquet.
//!
//! A [`Table`] has named columns and rows of cells, whatever format it was read from. A [`Choice`] says which columns
//! hold N, D and the loss, and which rows count. The result, [`Chosen`], has the points and accounts for every row left
//! out. Nothing is chosen silently: what is certain is done and said, and what is not is refused, with the option that decides
//! it. The crate knows no law: points are `scaling`'s, and what is fitted to them is decided elsewhere.

mod cell;
mod cells;
mod choice;
mod choice_error;
mod choose;
mod columns;
mod filter;
mod json;
mod kind;
mod names;
mod parquet;
mod plausible;
mod read;
mod separated;
mod states;
mod table;
mod words;

pub use cell::Cell;
pub use choice::{Choice, Chosen, UsedColumn};
pub use choice_error::ChoiceError;
pub use filter::{Filter, FilterError};
pub use json::JsonError;
pub use kind::{ENDINGS, names_a_table};
pub use parquet::ParquetError;
pub use read::{ReadError, read};
pub use separated::SeparatedError;
pub use table::Table;
