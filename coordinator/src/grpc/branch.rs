//! Campaigns that go on from a stage of another one.

use proto::limits::MAX_NAME_BYTES;
use proto::v1;
use recipes::branch::{Branch, Rate};
use scheduler::StageState;
use tonic::Status;
use vocabulary::{Dataset, DecayShape, Plan, Stage, StageKey, Tokens};

use super::campaigns::CampaignApi;
use super::limit::at_most;
use super::{encode, status};
use crate::driver::input::{RequestError, Submission};
use crate::driver::view::View;

/// What is asked for, read.
struct Asked {
    stage: String,
    step: Option<u64>,
    name: String,
    length: Length,
    rate: Rate,
    peak_lr: Option<f64>,
    dataset: Option<Dataset>,
}

enum Length {
    Tokens(u64),
    /// Of the tokens up to the checkpoint.
    Fraction(f64),
}

pub(super) async fn branch(
    api: &CampaignApi,
    request: v1::BranchCampaignRequest,
) -> Result<v1::BranchCampaignResponse, Status> {
    let dry_run = request.dry_run;
    let asked = read(request)?;
    if let Some(dataset) = asked.dataset.as_ref().filter(|_| !dry_run) {
        api.check_dataset(dataset).await.map_err(status::from_submit)?;
    }
    let planned = api.driver.look(move |view| plan(view, asked)).await;
    let (plan, stages_done) = planned.and_then(|planned| planned).map_err(status::from_request)?;
    let encoded = v1::Plan::from(&plan);
    let stages_done = if dry_run {
        stages_done
    } else {
        let submission = Submission { plan, recipe_file: String::new(), recipe_text: String::new() };
        api.driver.submit(submission).await.map_err(status::from_request)?.stages_done
    };
    Ok(v1::BranchCampaignResponse { plan: Some(encoded), stages_done: encode::count(stages_done) })
}

fn read(request: v1::BranchCampaignRequest) -> Result<Asked, Status> {
    let v1::BranchCampaignRequest { stage, step, name, tokens, fraction, decay, floor, peak_lr, dataset, dry_run: _ } =
        request;
    for (field, text) in [("stage", &stage), ("name", &name), ("decay", &decay)] {
        at_most(MAX_NAME_BYTES, field, text.len()).map_err(|error| status::from_too_long(&error))?;
    }
    let decays = |shape| Rate::Decay { shape, floor };
    let rate = match decay.as_str() {
        "" => Rate::Stable,
        "linear" => decays(DecayShape::Linear),
        "exponential" => decays(DecayShape::Exponential),
        "cosine" => decays(DecayShape::Cosine),
        "one_minus_sqrt" => decays(DecayShape::OneMinusSqrt),
        _ => return Err(Status::invalid_argument("`decay` is not linear, exponential, cosine or one_minus_sqrt")),
    };
    let length = if tokens > 0 { Length::Tokens(tokens) } else { Length::Fraction(fraction) };
    let dataset = dataset.map(Dataset::try_from).transpose();
    let dataset = dataset.map_err(|error| status::from_submit(status::SubmitError::Field(error)))?;
    Ok(Asked { stage, step, name, length, rate, peak_lr, dataset })
}

/// The plan, and how many of its stages are done.
fn plan(view: &View<'_>, asked: Asked) -> Result<(Plan, usize), RequestError> {
    let key = view.find_stage(&asked.stage)?;
    let ancestors = ancestors(view, key);
    let stage = ancestors.last().ok_or(RequestError::NoStage { selector: asked.stage })?;
    let end = stage.spec.end_step;
    if let Some(step) = asked.step.filter(|step| *step != end) {
        let before = stage.parent.map(|parent| (parent, stage.spec.start_step));
        let named = |(stage, step): (StageKey, u64)| format!("{}@{step}", stage.short());
        let nearest = before.into_iter().chain([(key, end)]).map(named).collect();
        return Err(RequestError::NotAtEnd { stage: key, step, nearest });
    }
    let ledger = view.scheduler.ledger();
    match ledger.stage_state(&key) {
        Some(StageState::Completed { .. }) => {}
        state => {
            let state = state.map_or("unknown", StageState::name);
            return Err(RequestError::NotTrained { stage: key, state });
        }
    }
    if !ledger.checkpoints(&key).any(|step| step == end) {
        return Err(RequestError::NoCheckpoint { stage: key, step: Some(end) });
    }
    // In the order of submission: the first that asked for the stage is the one it is known from.
    let campaigns = view.campaigns();
    let plans = || campaigns.iter().map(|campaign| campaign.plan);
    let of = plans().find(|plan| plan.stage(&key).is_some()).ok_or(RequestError::NoDatasetOf { stage: key })?;
    let own_text =
        || plans().filter_map(|plan| plan.dataset.as_ref()).find(|dataset| dataset.id == stage.spec.data).cloned();
    let dataset = asked.dataset.or_else(own_text).ok_or(RequestError::NoDatasetOf { stage: key })?;
    let (retries, checkpoints) = (of.retries, of.checkpoints);
    let Asked { length, rate, peak_lr, .. } = asked;
    let tokens = match length {
        Length::Tokens(tokens) => Tokens(tokens),
        // What is no length becomes one of no step, or of too many, and is refused.
        Length::Fraction(fraction) => Tokens((trained(&ancestors) as f64 * fraction) as u64),
    };
    let is_named = !asked.name.is_empty();
    let name = if is_named { asked.name } else { of.name.chars().take(60).collect() };
    let mut branch = Branch { name, tokens, rate, peak_lr, dataset, retries, checkpoints };
    let mut plan = recipes::branch(&ancestors, &branch).map_err(RequestError::Branch)?;
    if !is_named {
        branch.name = made_up(&branch, &plan);
        plan = recipes::branch(&ancestors, &branch).map_err(RequestError::Branch)?;
    }
    // A name means the latest campaign of that name, and the folder of its results: a branch takes neither from another.
    if let Some(other) = plans().find(|other| other.name == plan.name && other.campaign != plan.campaign) {
        return Err(RequestError::NameTaken { name: plan.name, campaign: other.campaign });
    }
    let is_done = |stage: &&Stage| matches!(ledger.stage_state(&stage.key), Some(StageState::Completed { .. }));
    let done = plan.stages.iter().filter(is_done).count();
    Ok((plan, done))
}

fn trained(stages: &[Stage]) -> u64 {
    stages.iter().map(|stage| stage.spec.tokens().0).sum()
}

/// The stages from a root to this one.
fn ancestors(view: &View<'_>, key: StageKey) -> Vec<Stage> {
    let mut path = Vec::new();
    let mut next = Some(key);
    while let Some(stage) = next.and_then(|key| view.scheduler.stage(&key)) {
        path.push(stage.clone());
        next = stage.parent;
    }
    path.reverse();
    path
}

/// By the key of the stage that it trains: two branches that differ in anything have two names.
fn made_up(branch: &Branch, plan: &Plan) -> String {
    let how = match branch.rate {
        Rate::Stable => "stable",
        Rate::Decay { shape, .. } => shape.name(),
    };
    let digits = plan.stages.last().map(|own| own.key.short().replace("stage_", "")).unwrap_or_default();
    format!("{}-{how}-{digits}", branch.name)
}
