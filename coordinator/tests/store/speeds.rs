//! How fast stages were trained, by what the tables say of their attempts.

use coordinator::store::{AttemptRow, Commit, WholeAttempt, measured_speeds};
use recipes::price::Measurement;
use scheduler::Fact;
use vocabulary::{Attempt, AttemptKey, CampaignId};

use crate::scratch::{AT_MS, Scratch, completed, conforming, ended, plan, started};

conforming! {
    every_attempt_at_a_campaign_is_listed_with_its_worker_and_times,
    only_attempts_that_had_a_stage_to_themselves_count,
}

async fn every_attempt_at_a_campaign_is_listed_with_its_worker_and_times(scratch: Scratch) {
    let plan = plan();
    let [first, second] = std::array::from_fn(|index| plan.stages[index].key);
    let on = |stage, attempt, name: &str| match started(stage, attempt) {
        Fact::AttemptStarted { stage, worker, attempt, .. } => {
            Fact::AttemptStarted { stage, worker, attempt, name: name.to_owned() }
        }
        other => other,
    };
    let accepted = || Fact::CampaignAccepted { plan: plan.clone() };
    // What the log has of a forgotten campaign is not taken for the campaign that replaces it.
    let forgotten = [accepted(), on(first, 1, "gone"), completed(first, 1)];
    scratch.record(forgotten).await;
    scratch.record([Fact::CampaignForgotten { campaign: plan.campaign }]).await;
    assert_eq!(scratch.store.attempts(plan.campaign).await.expect("they can be read"), []);
    scratch.record([accepted(), on(first, 1, "a"), ended(first, 1), on(first, 2, "b"), on(second, 1, "")]).await;
    let at_ms = AT_MS + 1500;
    scratch.commit(Commit { at_ms, facts: vec![completed(first, 2)], ..Commit::default() }).await;
    let row = |stage, attempt, name: &str, ended_at_ms| AttemptRow {
        key: AttemptKey { stage, attempt: Attempt(attempt) },
        worker_name: name.to_owned(),
        started_at_ms: AT_MS,
        ended_at_ms,
    };
    let mut expected = [row(first, 1, "a", Some(AT_MS)), row(first, 2, "b", Some(at_ms)), row(second, 1, "", None)];
    expected.sort_by_key(|row| row.key);
    assert_eq!(scratch.store.attempts(plan.campaign).await.expect("they can be read"), expected);
    let other = CampaignId::from_content(b"another");
    assert_eq!(scratch.store.attempts(other).await.expect("they can be read"), []);
}

async fn only_attempts_that_had_a_stage_to_themselves_count(scratch: Scratch) {
    let plan = plan();
    let [whole, interrupted, diverged, running] = std::array::from_fn(|index| plan.stages[index].key);
    let facts = [
        Fact::CampaignAccepted { plan: plan.clone() },
        started(whole, 1),
        started(interrupted, 1),
        ended(interrupted, 1),
        started(interrupted, 2),
        started(diverged, 1),
        started(running, 1),
    ];
    scratch.record(facts).await;
    let ends = [
        completed(whole, 1),
        completed(interrupted, 2),
        Fact::StageDiverged { stage: diverged, attempt: Attempt(1), step: 7, loss: None },
        Fact::CampaignCancelled { campaign: plan.campaign },
    ];
    let at_ms = AT_MS + 1500;
    scratch.commit(Commit { at_ms, facts: ends.to_vec(), ..Commit::default() }).await;

    let attempts = scratch.store.whole_attempts().await.expect("they can be read");
    assert_eq!(attempts, [WholeAttempt { stage: whole, started_at_ms: AT_MS, ended_at_ms: at_ms }]);
    let facts = scratch.store.campaign_facts().await.expect("they can be read");
    assert_eq!(facts, [Fact::CampaignAccepted { plan }]);
}

#[tokio::test]
async fn stages_of_one_attempt_are_measured_and_nothing_is_written() {
    let scratch = Scratch::sqlite().await;
    let plan = plan();
    let of_size = |size: &str| plan.stages.iter().filter(|stage| stage.size == size).cloned().collect::<Vec<_>>();
    let (small, large) = (of_size("smoke-16"), of_size("smoke-32"));
    let at = async |after_ms: u64, fact: Fact| {
        scratch.commit(Commit { at_ms: AT_MS + after_ms, facts: vec![fact], ..Commit::default() }).await;
    };
    at(0, Fact::CampaignAccepted { plan: plan.clone() }).await;
    // Two in one go, of 1.5 and 2.5 seconds; one that was interrupted; one that is still trained; one of another size.
    at(0, started(small[0].key, 1)).await;
    at(1500, completed(small[0].key, 1)).await;
    at(2000, started(small[1].key, 1)).await;
    at(4500, completed(small[1].key, 1)).await;
    at(5000, started(small[2].key, 1)).await;
    at(5100, ended(small[2].key, 1)).await;
    at(5200, started(small[2].key, 2)).await;
    at(9000, completed(small[2].key, 2)).await;
    at(9000, started(small[3].key, 1)).await;
    at(9000, started(large[0].key, 1)).await;
    at(9250, completed(large[0].key, 1)).await;

    let mut expected = [Measurement::nothing_of(&small[0].spec), Measurement::nothing_of(&large[0].spec)];
    expected[0].add(&small[0].spec, 1.5);
    expected[0].add(&small[1].spec, 2.5);
    expected[1].add(&large[0].spec, 0.25);
    let dir = scratch.file().expect("it is one").path().parent().expect("it lies in a directory").to_owned();
    let measured = async || {
        let mut measured = measured_speeds(&dir).await.expect("it can be read");
        measured.sort_by_key(|measurement| measurement.shape.d_model);
        measured
    };
    assert_eq!(measured().await, expected, "while somebody has it open");
    scratch.store.close().await;
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&dir).expect("it is listed");
        entries.map(|entry| entry.expect("is there").file_name()).collect()
    };
    let before = files();
    assert_eq!(measured().await, expected, "and when nobody has");
    assert_eq!(files(), before);
}

#[tokio::test]
async fn where_there_is_no_store_nothing_was_measured() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(measured_speeds(dir.path()).await.expect("no fault"), []);
}
