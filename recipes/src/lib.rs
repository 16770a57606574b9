//! The way from a recipe to a plan.
//!
//! A *recipe* is a TOML file a person writes; a *plan* is the immutable stage tree it expands to, with every number
//! fixed. What a plan consists of is the vocabulary's; how one is read, expanded, searched, priced and shown is here.
//!
//! ```text
//! TOML text --Recipe::parse--> Recipe --expand, over a Dataset--> Plan --show, price--> what people read
//! ```
//!
//! This crate deliberately knows no I/O beyond reading a recipe's file, no clock, no network and no tensors. Start with
//! [`recipe`], then [`expand()`].

pub mod branch;
pub mod evaluate;
pub mod expand;
pub mod price;
pub mod recipe;
pub mod search;
pub mod show;

pub use branch::branch;
pub use evaluate::{EvaluateError, EvaluationText, evaluations};
pub use expand::{GrowthError, Opening, expand, expand_as_before, growth, openings, sketch};
pub use price::price;
pub use recipe::Recipe;
pub use recipe::additions::Additions;
pub use recipe::error::{Problem, RecipeError, nearest};
pub use recipe::format::{DataRecipe, Parametrization, RecipeFile};
pub use recipe::inline::ShapeError;
pub use recipe::schema::schema;
