//! The head gets a matrix of its own.
//!
//! It starts as a copy of the embedding, which was the head until now, at the same place in the network: both are
//! multiplied with the normalised hidden state and divided by `d_model / d_base`, and `scale_emb` applies to the embedding's
//! output alone. So the untied model computes the function of the tied one to the bit. The two matrices also train by the
//! same row of the table of parameters, at the schedule's rate and with weight decay.
//!
//! The moments are copied too. Those of the tied matrix average the sum of two gradients, one by way of the embedding and
//! one by way of the head, of which each matrix now gets one. As an estimate of the size of either that is a little large,
//! and errs on the side of small steps. Moments of zero would not be an estimate: AdamW corrects its bias by the number of
//! steps since the root, which is large, so that the first updates would be too long, about twice as long where the gradient is mostly noise.

use vocabulary::SurgeryError;

use crate::snapshot::{FIRST_MOMENT, SECOND_MOMENT, Snapshot};

pub(crate) const EMBEDDING: &str = "embedding";
pub(crate) const HEAD: &str = "head";

/// A checkpoint without an embedding is left as it is: it does not fit the model, and is refused for that.
pub(super) fn untie(snapshot: &mut Snapshot) -> Result<(), SurgeryError> {
    if snapshot.weights.contains_key(HEAD) {
        return Err(SurgeryError::AlreadyUntied);
    }
    if let Some(embedding) = snapshot.weights.get(EMBEDDING) {
        snapshot.weights.insert(HEAD.to_owned(), embedding.clone());
    }
    for suffix in [FIRST_MOMENT, SECOND_MOMENT] {
        if let Some(moments) = snapshot.optimizer.get(&format!("{EMBEDDING}{suffix}")) {
            snapshot.optimizer.insert(format!("{HEAD}{suffix}"), moments.clone());
        }
    }
    Ok(())
}
