//! The log: impossible facts are refused, and stored ones stay readable.

use scheduler::{AttemptEnd, Fact, IllegalFact, RemovalReason, RestoreError, RetryCount, Scheduler, Timestamp};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Attempt, Measurements, Plan, Retries, StageKey};

use crate::scenario::settings;
use crate::support::{campaign, plan, worker};

/// Restores from these facts after a campaign with a trunk and a branch was accepted.
fn after_acceptance(facts: &[Fact]) -> Result<Scheduler, RestoreError> {
    let plan = plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]);
    let facts = std::iter::once(Fact::CampaignAccepted { plan }).chain(facts.iter().cloned());
    Scheduler::restore(settings(), Timestamp(0), facts)
}

fn key(index: usize) -> StageKey {
    plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]).stages[index].key
}

fn started(stage: StageKey, attempt: u32) -> Fact {
    Fact::AttemptStarted { stage, worker: worker("w1"), attempt: Attempt(attempt), name: String::new() }
}

fn checkpoint(attempt: u32, step: u64) -> Fact {
    Fact::CheckpointCommitted { stage: key(0), attempt: Attempt(attempt), step }
}

fn completed(attempt: u32) -> Fact {
    Fact::StageCompleted { stage: key(0), attempt: Attempt(attempt), result: Measurements::new() }
}

fn diverged(attempt: u32) -> Fact {
    Fact::StageDiverged { stage: key(0), attempt: Attempt(attempt), step: 7, loss: None }
}

fn ended(attempt: u32) -> Fact {
    Fact::AttemptEnded { stage: key(0), attempt: Attempt(attempt), why: AttemptEnd::Released, excused: false }
}

fn poisoned() -> Fact {
    Fact::StagePoisoned { stage: key(0), limit: RetryCount::Failed }
}

fn retried() -> Fact {
    Fact::StageRetried { stage: key(0) }
}

fn removed(step: u64) -> Fact {
    Fact::CheckpointRemoved { stage: key(0), step, why: RemovalReason::Damaged }
}

fn reopened() -> Fact {
    Fact::StageReopened { stage: key(0) }
}

#[test]
fn every_illegal_transition_is_refused_by_name() {
    let trunk = key(0);
    let running = [started(trunk, 1)];
    let done = [started(trunk, 1), checkpoint(1, 100), completed(1)];
    let lost = [started(trunk, 1), diverged(1)];
    let given_up = [poisoned()];
    let cases: [(&[Fact], &str, Vec<Fact>); 5] = [
        (
            &[],
            "waiting",
            vec![
                started(trunk, 2),
                started(trunk, 0),
                checkpoint(1, 10),
                completed(1),
                diverged(1),
                ended(1),
                retried(),
                removed(10),
                reopened(),
            ],
        ),
        (
            &running,
            "running",
            vec![
                started(trunk, 2),
                checkpoint(2, 10),
                checkpoint(1, 0),
                checkpoint(1, 101),
                completed(1),
                completed(2),
                diverged(2),
                ended(2),
                poisoned(),
                retried(),
                removed(10),
                reopened(),
            ],
        ),
        (
            &done,
            "completed",
            vec![
                started(trunk, 2),
                checkpoint(1, 100),
                completed(1),
                diverged(1),
                ended(1),
                poisoned(),
                retried(),
                removed(99),
                reopened(),
            ],
        ),
        (
            &lost,
            "diverged",
            vec![started(trunk, 2), checkpoint(1, 100), completed(1), diverged(1), ended(1), poisoned(), reopened()],
        ),
        (
            &given_up,
            "failed",
            vec![started(trunk, 1), checkpoint(1, 100), completed(1), diverged(1), ended(1), poisoned()],
        ),
    ];
    for (before, state, illegal) in cases {
        assert!(after_acceptance(before).is_ok(), "a stage can be {state}");
        for fact in illegal {
            let facts: Vec<Fact> = before.iter().cloned().chain([fact.clone()]).collect();
            let refused = after_acceptance(&facts).expect_err(&format!("{fact:?} of a stage that is {state}"));
            assert_eq!(refused.index, facts.len());
            assert_eq!(refused.source, IllegalFact::Transition { stage: trunk, fact: fact.name(), state });
        }
    }
}

#[test]
fn a_checkpoint_goes_forward() {
    let facts = [started(key(0), 1), checkpoint(1, 50), checkpoint(1, 50)];
    assert!(after_acceptance(&facts[..2]).is_ok());
    assert!(after_acceptance(&facts).is_err());
}

#[test]
fn a_stage_that_is_done_is_reopened_once_its_last_checkpoint_is_lost() {
    let facts = [started(key(0), 1), checkpoint(1, 50), checkpoint(1, 100), completed(1), removed(100), reopened()];
    let again = [started(key(0), 2), checkpoint(2, 100), completed(2), started(key(1), 1)];
    assert!(after_acceptance(&[&facts[..], &again[..]].concat()).is_ok());
    let twice = [&facts[..], &[removed(100)]].concat();
    assert!(after_acceptance(&twice).is_err());
    let from_nothing = [&facts[..5], &[started(key(1), 1)]].concat();
    assert!(after_acceptance(&from_nothing).is_err(), "nothing starts from what is lost");
}

#[test]
fn a_branch_does_not_start_before_its_trunk_is_done() {
    let early = [started(key(1), 1)];
    assert!(matches!(
        after_acceptance(&early).expect_err("its trunk waits").source,
        IllegalFact::Transition { state: "waiting", fact: "attempt_started", .. }
    ));
    let last_checkpoint_alone = [started(key(0), 1), checkpoint(1, 100), started(key(1), 1)];
    assert!(after_acceptance(&last_checkpoint_alone).is_err());
    let in_order = [started(key(0), 1), checkpoint(1, 100), completed(1), started(key(1), 1)];
    assert!(after_acceptance(&in_order).is_ok());
}

#[test]
fn facts_about_what_nobody_asked_for_are_refused() {
    let stranger = StageKey::from_content(b"a stranger");
    let refused = after_acceptance(&[started(stranger, 1)]).expect_err("nobody asked for it");
    assert_eq!(refused.source, IllegalFact::UnknownStage { stage: stranger, fact: "attempt_started" });
    let refused = after_acceptance(&[Fact::CampaignCancelled { campaign: campaign("d") }]).expect_err("likewise");
    assert_eq!(refused.source, IllegalFact::UnknownCampaign { campaign: campaign("d"), fact: "campaign_cancelled" });
}

#[test]
fn a_campaign_is_accepted_once_and_cancelled_once_in_turn() {
    let cancelled = || Fact::CampaignCancelled { campaign: campaign("c") };
    let accepted = || Fact::CampaignAccepted { plan: plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]) };
    assert!(after_acceptance(&[cancelled(), accepted(), cancelled()]).is_ok());
    for twice in [vec![accepted()], vec![cancelled(), cancelled()]] {
        let refused = after_acceptance(&twice).expect_err("it is true already");
        assert!(matches!(refused.source, IllegalFact::AlreadyTrue { .. }));
    }
}

#[test]
fn an_accepted_plan_that_is_none_is_refused() {
    let mut damaged = plan("d", &[("trunk", "", 100), ("short", "trunk", 10)]);
    damaged.stages.remove(0);
    let refused = after_acceptance(&[Fact::CampaignAccepted { plan: damaged }]).expect_err("its trunk is missing");
    assert!(matches!(refused.source, IllegalFact::Plan(_)));
    assert_eq!(refused.to_string(), "fact 1 of the log cannot be true after those before it");
}

#[test]
fn facts_are_stored_in_a_form_that_never_changes() {
    let stage = StageKey::from_bytes([0xab; 32]);
    let worker = vocabulary::WorkerId::from_bytes([0xcd; 8]);
    let campaign = vocabulary::CampaignId::from_bytes([0xef; 8]);
    let attempt = Attempt(3);
    let key = format!("stage_{}", "ab".repeat(32));
    let result = Measurements::new().with(VALIDATION_LOSS, 3.25).with(VALIDATION_LOSS.part(0), f64::NAN);
    let end = |why| Fact::AttemptEnded { stage, attempt, why, excused: false };
    let reason = || "disk full".to_owned();
    let stored = [
        (
            Fact::AttemptStarted { stage, worker, attempt, name: String::new() },
            format!(r#"{{"fact":"attempt_started","stage":"{key}","worker":"worker_cdcdcdcdcdcdcdcd","attempt":3}}"#),
        ),
        (
            Fact::CheckpointCommitted { stage, attempt, step: 40 },
            format!(r#"{{"fact":"checkpoint_committed","stage":"{key}","attempt":3,"step":40}}"#),
        ),
        (
            Fact::StageCompleted { stage, attempt, result },
            format!(
                r#"{{"fact":"stage_completed","stage":"{key}","attempt":3,"result":{{"validation_loss":3.25,"validation_loss/0":"NaN"}}}}"#
            ),
        ),
        (
            Fact::StageDiverged { stage, attempt, step: 40, loss: None },
            format!(r#"{{"fact":"stage_diverged","stage":"{key}","attempt":3,"step":40,"loss":null}}"#),
        ),
        (
            end(AttemptEnd::Failed { reason: reason(), started: true }),
            format!(
                r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"failed","reason":"disk full","started":true}}}}"#
            ),
        ),
        (
            end(AttemptEnd::ProtocolBroken { reason: reason() }),
            format!(
                r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"protocol_broken","reason":"disk full"}}}}"#
            ),
        ),
        (
            end(AttemptEnd::Released),
            format!(r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"released"}}}}"#),
        ),
        (
            end(AttemptEnd::Declined),
            format!(r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"declined"}}}}"#),
        ),
        (
            end(AttemptEnd::LeaseExpired { started: false }),
            format!(
                r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"lease_expired","started":false}}}}"#
            ),
        ),
        (
            end(AttemptEnd::WorkerLeft { started: true }),
            format!(
                r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"worker_left","started":true}}}}"#
            ),
        ),
        (
            end(AttemptEnd::Lost),
            format!(r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"lost"}}}}"#),
        ),
        (
            end(AttemptEnd::Revoked),
            format!(r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"revoked"}}}}"#),
        ),
        (
            Fact::StagePoisoned { stage, limit: RetryCount::NotStarted },
            format!(r#"{{"fact":"stage_poisoned","stage":"{key}","limit":"not_started"}}"#),
        ),
        (
            end(AttemptEnd::StartUnusable { of: stage, step: 40 }),
            format!(
                r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"start_unusable","of":"{key}","step":40}}}}"#
            ),
        ),
        (
            end(AttemptEnd::StorageFailed { reason: reason() }),
            format!(
                r#"{{"fact":"attempt_ended","stage":"{key}","attempt":3,"why":{{"kind":"storage_failed","reason":"disk full"}}}}"#
            ),
        ),
        (
            Fact::CheckpointRemoved { stage, step: 40, why: RemovalReason::Damaged },
            format!(r#"{{"fact":"checkpoint_removed","stage":"{key}","step":40,"why":"damaged"}}"#),
        ),
        (
            Fact::CheckpointRemoved { stage, step: 40, why: RemovalReason::Collected },
            format!(r#"{{"fact":"checkpoint_removed","stage":"{key}","step":40,"why":"collected"}}"#),
        ),
        (Fact::StageReopened { stage }, format!(r#"{{"fact":"stage_reopened","stage":"{key}"}}"#)),
        (Fact::StageRetried { stage }, format!(r#"{{"fact":"stage_retried","stage":"{key}"}}"#)),
        (
            Fact::CampaignCancelled { campaign },
            r#"{"fact":"campaign_cancelled","campaign":"campaign_efefefefefefefef"}"#.to_owned(),
        ),
        (
            Fact::EvaluationsCancelled { campaign, evaluations: vec![stage] },
            format!(
                r#"{{"fact":"evaluations_cancelled","campaign":"campaign_efefefefefefefef","evaluations":["{key}"]}}"#
            ),
        ),
        (
            Fact::CampaignForgotten { campaign },
            r#"{"fact":"campaign_forgotten","campaign":"campaign_efefefefefefefef"}"#.to_owned(),
        ),
        (
            Fact::RetriesChanged { campaign, retries: Retries::DEFAULT },
            r#"{"fact":"retries_changed","campaign":"campaign_efefefefefefefef","retries":{"not_started":5,"preempted":20,"failed":2,"backoff_ms":1000,"longest_backoff_ms":300000}}"#.to_owned(),
        ),
    ];
    for (fact, text) in stored {
        assert_eq!(serde_json::to_string(&fact).expect("a fact has a JSON form"), text);
        assert_eq!(serde_json::from_str::<Fact>(&text).expect("it can be read"), fact);
    }
    let accepted = Fact::CampaignAccepted { plan: plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]) };
    let text = serde_json::to_string(&accepted).expect("a plan has a JSON form");
    assert!(text.starts_with(r#"{"fact":"campaign_accepted","plan":{"campaign":"#), "{text}");
    assert_eq!(serde_json::from_str::<Fact>(&text).expect("it can be read"), accepted);
}

#[test]
fn results_from_before_measurements_had_names_are_read_as_what_they_are_called_now() {
    let stage = StageKey::from_bytes([0xab; 32]);
    let read = |result: &str| {
        let text = format!(r#"{{"fact":"stage_completed","stage":"{stage}","attempt":3,"result":{result}}}"#);
        match serde_json::from_str(&text) {
            Ok(Fact::StageCompleted { result, .. }) => result,
            other => panic!("{other:?}"),
        }
    };
    let one = read(r#"{"validation_loss":0.30000000000000004,"validation_loss_per_byte":null}"#);
    assert_eq!(one, Measurements::new().with(VALIDATION_LOSS, 0.1 + 0.2));
    assert_eq!(read(r#"{"validation_loss":null,"validation_loss_per_byte":null}"#), Measurements::new());
    let several = r#"{"validation_loss":3.0,"validation_loss_per_byte":0.75,
                      "sets":[{"per_token":2.0,"per_byte":0.5},{"per_token":4.0,"per_byte":1.0}]}"#;
    let expected = [
        (VALIDATION_LOSS.into(), 3.0),
        (VALIDATION_LOSS_PER_BYTE.into(), 0.75),
        (VALIDATION_LOSS.part(0), 2.0),
        (VALIDATION_LOSS_PER_BYTE.part(0), 0.5),
        (VALIDATION_LOSS.part(1), 4.0),
        (VALIDATION_LOSS_PER_BYTE.part(1), 1.0),
    ];
    assert_eq!(read(several), Measurements::from_iter(expected));
}

#[test]
fn a_plan_from_before_recipes_had_retries_has_the_ones_of_then() {
    let plan = plan("c", &[("trunk", "", 100)]);
    let mut stored = serde_json::to_value(Fact::CampaignAccepted { plan: plan.clone() }).expect("it has a JSON form");
    stored["plan"].as_object_mut().expect("a plan is an object").remove("retries").expect("it is there");
    let retries = Retries { not_started: 5, preempted: 20, failed: 2, backoff_ms: 1_000, longest_backoff_ms: 300_000 };
    let expected = Fact::CampaignAccepted { plan: Plan { retries, ..plan } };
    assert_eq!(serde_json::from_value::<Fact>(stored).expect("it can be read"), expected);
}
