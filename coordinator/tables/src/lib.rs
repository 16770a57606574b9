//! Reads tables of losses from elsewhere: CSV, JSON lines and Parquet.
//!
//! A [`Table`] has named columns and rows of cells, whatever format it was read from. A [`Choice`] says which columns
//! hold N, D and the loss, and which rows count. The result, [`Chosen`], has the points and accounts for every row left
//! out. The crate knows no law: points are `scaling`'s, and what is fitted to them is decided elsewhere.

mod cell;
mod choice;
mod filter;
mod names;
mod read;

pub use cell::Cell;
pub use choice::{Choice, ChoiceError, Chosen, MixedColumn, UsedColumn};
pub use filter::{Filter, FilterError};
pub use read::{ReadError, Table, read};
