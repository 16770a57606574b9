//! Learning-rate schedules, which travel in their JSON form.

use vocabulary::{DecayShape, LrSchedule};

use super::{ConvertError, Problem, finite};
use crate::v1;

impl From<&LrSchedule> for v1::LrSchedule {
    fn from(schedule: &LrSchedule) -> Self {
        Self { json: serde_json::to_string(schedule).expect("a schedule always has a JSON form") }
    }
}

impl TryFrom<v1::LrSchedule> for LrSchedule {
    type Error = ConvertError;

    fn try_from(schedule: v1::LrSchedule) -> Result<Self, ConvertError> {
        let refuse = |error: serde_json::Error| Problem::Schedule { reason: error.to_string() };
        let schedule =
            serde_json::from_str(&schedule.json).map_err(|error| ConvertError::new("json", refuse(error)))?;
        check(&schedule)?;
        Ok(schedule)
    }
}

/// Whether the schedule's arithmetic is defined at every step.
fn check(schedule: &LrSchedule) -> Result<(), ConvertError> {
    let positive = |field: &str, value: u64| {
        if value > 0 { Ok(()) } else { Err(ConvertError::new(field, Problem::NotPositive)) }
    };
    match *schedule {
        LrSchedule::Constant { .. } => Ok(()),
        LrSchedule::Wsd { decay_steps, decay, floor, .. } => {
            positive("json.decay_steps", decay_steps)?;
            if let DecayShape::HalfLife { half_life_steps } = decay {
                positive("json.decay.half_life_steps", half_life_steps)?;
            }
            finite("json.floor", floor).map(|_| ())
        }
        LrSchedule::Cosine { warmup_steps, period_steps, floor }
        | LrSchedule::CosineLoop { warmup_steps, period_steps, floor } => {
            if period_steps <= warmup_steps {
                let reason = "has to be above warmup_steps";
                return Err(ConvertError::new("json.period_steps", Problem::Range { reason }));
            }
            finite("json.floor", floor).map(|_| ())
        }
    }
}
