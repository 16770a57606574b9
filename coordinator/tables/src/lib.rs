//! Tables of losses that people bring: CSV, JSON lines and Parquet.
//!
//! A [`Table`] is columns by name and rows of cells, whatever it was read from. A [`Choice`] says which columns hold N, D
//! and the loss and which rows count; what comes of it, [`Chosen`], has the points with an account of every row that is not
//! among them. The crate knows no law: the points are `scaling`'s, and what is done with them is not decided here.

mod cell;
mod choice;
mod filter;
mod names;
mod read;

pub use cell::Cell;
pub use choice::{Choice, ChoiceError, Chosen, MixedColumn, UsedColumn};
pub use filter::{Filter, FilterError};
pub use read::{ReadError, Table, read};
