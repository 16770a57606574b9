//! Answers in parts, each well below the largest message.

use prost::Message;
use proto::limits::PART_BYTES;
use proto::v1;
use proto::v1::campaign_part::Part;

/// What a list adds to each of its entries, at most.
const FRAME_BYTES: usize = 8;

/// Cuts a list into lists of bounded size, in order. One entry may be larger than the bound.
fn lists<T: Message>(entries: Vec<T>) -> Vec<Vec<T>> {
    let (mut lists, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in entries {
        let size = entry.encoded_len() + FRAME_BYTES;
        if bytes + size > PART_BYTES && !last.is_empty() {
            lists.push(std::mem::take(&mut last));
            bytes = 0;
        }
        bytes += size;
        last.push(entry);
    }
    lists.extend((!last.is_empty()).then_some(last));
    lists
}

/// The parts of a campaign's detail.
pub(crate) fn campaign(detail: v1::CampaignDetail) -> Vec<v1::CampaignPart> {
    let v1::CampaignDetail { summary, stages, recipe_file, recipe_text, plan_json, evaluations } = detail;
    let head = Part::Head(v1::CampaignHead { summary, recipe_file, recipe_text });
    let plan = plan_json.as_bytes().chunks(PART_BYTES).map(|piece| Part::PlanJson(piece.to_vec()));
    let statuses = |list| v1::StageStatuses { statuses: list };
    let stages = lists(stages).into_iter().map(|list| Part::Stages(statuses(list)));
    let evaluations = lists(evaluations).into_iter().map(|list| Part::Evaluations(statuses(list)));
    let parts = [head].into_iter().chain(plan).chain(stages).chain(evaluations);
    parts.map(|part| v1::CampaignPart { part: Some(part) }).collect()
}

pub(crate) fn results(results: Vec<v1::TrialResult>) -> Vec<v1::GetResultsResponse> {
    lists(results).into_iter().map(|results| v1::GetResultsResponse { results }).collect()
}

pub(crate) fn checkpoints(checkpoints: Vec<v1::CommittedCheckpoint>) -> Vec<v1::ListCheckpointsResponse> {
    lists(checkpoints).into_iter().map(|checkpoints| v1::ListCheckpointsResponse { checkpoints }).collect()
}

/// The first part has the bytes of all.
pub(crate) fn collection(collected: v1::CollectCheckpointsResponse) -> Vec<v1::CollectCheckpointsResponse> {
    let v1::CollectCheckpointsResponse { checkpoints, orphans, bytes } = collected;
    let part = |checkpoints, orphans, bytes| v1::CollectCheckpointsResponse { checkpoints, orphans, bytes };
    let mut parts = vec![part(Vec::new(), Vec::new(), bytes)];
    parts.extend(lists(checkpoints).into_iter().map(|list| part(list, Vec::new(), 0)));
    parts.extend(lists(orphans).into_iter().map(|list| part(Vec::new(), list, 0)));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_much_larger_than_the_bound_and_together_they_are_the_whole() {
        let status = |number: usize| v1::StageStatus { key: format!("{number:01000}"), ..Default::default() };
        let stages: Vec<_> = (0..3000).map(status).collect();
        let plan_json = "é".repeat(PART_BYTES);
        let detail = v1::CampaignDetail { stages: stages.clone(), plan_json: plan_json.clone(), ..Default::default() };
        let (mut plan, mut found) = (Vec::new(), Vec::new());
        let parts = campaign(detail);
        assert!(parts.len() >= 6);
        for part in parts {
            assert!(part.encoded_len() <= PART_BYTES + 2000);
            match part.part {
                Some(Part::PlanJson(piece)) => plan.extend(piece),
                Some(Part::Stages(list)) => found.extend(list.statuses),
                Some(Part::Head(_) | Part::Evaluations(_)) | None => {}
            }
        }
        assert_eq!((plan, found), (plan_json.into_bytes(), stages));
    }
}
