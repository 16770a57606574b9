//! Whole training steps: batch, forward and backward pass, update.

use trainer::StageRun;

use super::{MeasureError, Unit};

impl Unit for StageRun {
    fn once(&mut self) -> Result<Option<f64>, MeasureError> {
        Ok(Some(self.next_step()?.loss))
    }
}
