//! The decay term of one size, for use by others.

use scaling::multipower::CurveOptions;
use scaling::multipower::forecast::{Donor, ForecastError};

use super::tree::{NoTree, SizeTree};

/// Why a size cannot serve as a donor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DonorError {
    /// There is no such size.
    #[error("unknown size `{size}`; accepted: {sizes}")]
    UnknownSize {
        /// The requested size.
        size: String,
        /// The available sizes.
        sizes: String,
    },
    /// The size has no trunk with decays.
    #[error("`{size}` has no decay term: {reason}")]
    NoTree {
        size: String,
        /// The cause.
        reason: &'static str,
    },
    /// The size has no law.
    #[error("`{size}` has no decay term")]
    NoLaw {
        size: String,
        /// The cause.
        #[source]
        source: ForecastError,
    },
}

/// The decay term of the first tree of a size. Its error is measured at the finished branches of the other sizes of the same
/// campaign and arm, which it has not seen.
///
/// # Errors
/// The size does not exist or has no law.
pub fn donor(trees: &[Result<SizeTree, NoTree>], size: &str, options: &CurveOptions) -> Result<Donor, DonorError> {
    let name = |tree: &Result<SizeTree, NoTree>| match tree {
        Ok(tree) => tree.size.clone(),
        Err(none) => none.size.clone(),
    };
    let giver = trees.iter().find(|tree| name(tree) == size).ok_or_else(|| {
        let mut sizes: Vec<String> = trees.iter().map(name).collect();
        sizes.dedup();
        DonorError::UnknownSize { size: size.to_owned(), sizes: sizes.join(", ") }
    })?;
    let giver = giver.as_ref().map_err(|none| DonorError::NoTree { size: size.to_owned(), reason: none.reason })?;
    let found = giver.forecast(None, options);
    let found = found.map_err(|source| DonorError::NoLaw { size: size.to_owned(), source })?;
    let alone = Donor { decay: found.fit.law.decay, transfer: None };
    let others = trees.iter().flatten().filter(|tree| tree.size != size && tree.arm == giver.arm);
    let (squares, count) = others
        .filter_map(|tree| tree.forecast(Some(&alone), options).ok()?.unseen)
        .fold((0.0, 0), |(squares, count), unseen| {
            (squares + unseen.rmse.powi(2) * unseen.branches as f64, count + unseen.branches)
        });
    let transfer = (count > 0).then(|| ((squares / count as f64).sqrt(), count));
    Ok(Donor { transfer, ..alone })
}
