//! Decodes messages into the vocabulary.

use std::fmt::Debug;

use prost::Message;
use proto::ConvertError;
use proto::convert::{plan, sent_plan};
use proto::v1::{self, worker_message::Body};
use vocabulary::{AttemptKey, Dataset, Evaluation, EvaluationSpec, Measured, Stage, StageSpec};

/// The first byte selects the message type. An accepted message must survive a round trip.
pub fn wire(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 8 {
        0 => {
            if let Some(read) = text(bytes).and_then(|json| plan("plan", json).ok()) {
                assert_eq!(plan("plan", &sent_plan(&read)), Ok(read));
            }
        }
        1 => there_and_back::<v1::Stage, Stage>(bytes),
        2 => {
            if let Ok(spec) = StageSpec::from_json(bytes) {
                assert_eq!(StageSpec::from_json(&spec.to_json()), Ok(spec));
            }
        }
        3 => there_and_back::<v1::Dataset, Dataset>(bytes),
        4 => {
            if let Some(key) = decoded::<v1::AttemptRef>(bytes).and_then(|sent| AttemptKey::try_from(&sent).ok()) {
                assert_eq!(AttemptKey::try_from(&v1::AttemptRef::from(key)), Ok(key));
            }
        }
        5 => {
            let message = decoded::<v1::WorkerMessage>(bytes);
            if let Some(Body::StageCompleted(v1::StageCompleted { result: Some(result), .. })) =
                message.and_then(|message| message.body)
            {
                there_and_back::<v1::StageResult, Measured>(&result.encode_to_vec());
            }
            let _ = decoded::<v1::CoordinatorMessage>(bytes);
        }
        6 => {
            if let Ok(spec) = EvaluationSpec::from_json(bytes) {
                assert_eq!(EvaluationSpec::from_json(&spec.to_json()), Ok(spec));
            }
        }
        _ => there_and_back::<v1::Evaluation, Evaluation>(bytes),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn decoded<W: Message + Default>(bytes: &[u8]) -> Option<W> {
    W::decode(bytes).ok()
}

fn there_and_back<W, T>(bytes: &[u8])
where
    W: Message + Default + for<'a> From<&'a T>,
    T: TryFrom<W, Error = ConvertError> + PartialEq + Debug,
{
    let Some(read) = decoded::<W>(bytes).and_then(|sent| T::try_from(sent).ok()) else { return };
    assert_eq!(T::try_from(W::from(&read)).as_ref(), Ok(&read));
}
