//! Plans for people: a tree of stages, and a table of points.

use std::collections::BTreeMap;
use std::fmt::Write;

use vocabulary::passes::is_repeated;
use vocabulary::search::Parameter;
use vocabulary::text::{lined_up, wrapped};
use vocabulary::units::human_count;
use vocabulary::{
    Cost, Dataset, Objective, Plan, Retries, Stage, StageKey, StageRole, StageSpec, Surgery, Tokens, Trial,
};

/// The stage tree with one line per stage: its role, its steps, and its cost.
///
/// ```text
/// tiny-32  seed 0  lr 0.01  N 23.7k
/// └─ trunk  0..439      450k tokens  9.6e10 FLOPs  stage_0a1b2c3d
///    ├─ decay  439..488     50.2k tokens  1.1e10 FLOPs  stage_4e5f6071
/// ```
#[must_use]
pub fn tree(plan: &Plan) -> String {
    let mut children: BTreeMap<Option<StageKey>, Vec<&Stage>> = BTreeMap::new();
    for stage in &plan.stages {
        children.entry(stage.parent).or_default().push(stage);
    }
    let mut text = heading(plan);
    let mut arms: BTreeMap<StageKey, Vec<&str>> = BTreeMap::new();
    for trial in &plan.trials {
        arms.entry(*trial.last_stage()).or_default().extend(trial.arm.as_deref());
    }
    let domains = plan.dataset.iter().flat_map(|dataset| &dataset.domains).map(|domain| domain.name.as_str()).collect();
    let tree = Tree { children, arms, domains };
    for root in tree.children.get(&None).into_iter().flatten() {
        let n = root.spec.model.shape.non_embedding_params();
        let (size, seed, lr) = (&root.size, root.seed, root.spec.peak_lr);
        let settings = of_search(plan, &root.key);
        let objective = other_objective(&root.spec).map(|objective| format!("  minimises {objective}"));
        let said = settings + objective.as_deref().unwrap_or_default();
        let _ = writeln!(text, "\n{size}  seed {seed}  peak LR {lr}  N {}{said}", human_count(n as f64));
        branch(&mut text, &tree, root);
    }
    text.push('\n');
    text.push_str(&costs(plan));
    text
}

struct Tree<'a> {
    children: BTreeMap<Option<StageKey>, Vec<&'a Stage>>,
    /// The arms of the trials that end with a stage.
    arms: BTreeMap<StageKey, Vec<&'a str>>,
    domains: Vec<&'a str>,
}

impl Tree<'_> {
    /// The mixture of a stage, if it differs from that of the stage before.
    fn mixture(&self, stage: &Stage, before: Option<&Stage>) -> Option<String> {
        let mixture = stage.spec.data.mixture?;
        let before = before.and_then(|before| before.spec.data.mixture);
        let is_new = before.is_none_or(|before| before.weights != mixture.weights);
        (is_new && !self.domains.is_empty()).then(|| mixture.in_words(&self.domains))
    }
}

/// A stage and all below it. A trunk that continues past a branch is printed below and not to the right, so a tree of fifty
/// points is as wide as one of two.
fn branch(text: &mut String, tree: &Tree<'_>, root: &Stage) {
    let mut trunk = Some(root);
    let mut before = None;
    while let Some(stage) = trunk {
        let below = tree.children.get(&Some(stage.key)).map(Vec::as_slice).unwrap_or_default();
        let next = below.iter().copied().find(|child| child.role == StageRole::Trunk);
        let bars = if next.is_some() { ["├─", "│ "] } else { ["└─", "  "] };
        line(text, bars[0], stage, before, tree);
        let branches: Vec<_> =
            below.iter().copied().filter(|child| next.is_none_or(|next| next.key != child.key)).collect();
        for (index, child) in branches.iter().enumerate() {
            let last = index + 1 == branches.len();
            line(text, &format!("{}{}", bars[1], if last { " └─" } else { " ├─" }), child, trunk, tree);
        }
        before = trunk;
        trunk = next;
    }
}

fn line(text: &mut String, bars: &str, stage: &Stage, before: Option<&Stage>, tree: &Tree<'_>) {
    let role = stage.role.name();
    let steps = format!("{}..{}", stage.spec.steps.start, stage.spec.steps.end);
    let (tokens, flops, key) = (stage.spec.tokens(), stage.spec.flops(), stage.key.short());
    let lead = format!("{bars} {role}");
    let arms = tree.arms.get(&stage.key).map(|arms| arms.join(", ")).unwrap_or_default();
    let line = format!("{lead:<12} {steps:<18} {tokens:>6} tokens  {flops} FLOPs  {key}  {arms}");
    let surgery: Vec<&str> = stage.spec.start.surgery.iter().map(Surgery::name).collect();
    let surgery = (!surgery.is_empty()).then(|| format!("after {}", surgery.join(", ")));
    let said = surgery.into_iter().chain(tree.mixture(stage, before));
    let _ = writeln!(text, "{}", said.fold(line.trim_end().to_owned(), |line, said| format!("{line}  {said}")));
}

/// What a stage minimises, where that is not the next token's loss alone.
fn other_objective(spec: &StageSpec) -> Option<&Objective> {
    Some(&spec.objective).filter(|objective| !objective.is_default())
}

/// The points with one line each, and the total cost.
#[must_use]
pub fn table(plan: &Plan) -> String {
    let mut header =
        ["size", "seed", "peak LR", "N", "D", "D/N", "steps", "stages", "FLOPs alone"].map(str::to_owned).to_vec();
    let arms = plan.trials.iter().any(|trial| trial.arm.is_some());
    if arms {
        header.insert(0, "arm".to_owned());
    }
    let searched = plan.searched().filter(|parameter| *parameter != Parameter::PeakLr);
    let searched: Vec<Parameter> = searched.collect();
    header.extend(searched.iter().map(Parameter::to_string));
    let stages = plan.stages_by_key();
    let objective = |trial: &Trial| Some(stages.get(trial.last_stage())?.spec.objective.to_string());
    let objectives = plan.stages.iter().any(|stage| other_objective(&stage.spec).is_some());
    header.extend(objectives.then(|| "objective".to_owned()));
    let rows = plan.trials.iter().map(|trial| {
        let arm = arms.then(|| trial.arm.clone().unwrap_or_default());
        let settings =
            searched.iter().map(|parameter| trial.settings.get(parameter).map_or_else(String::new, f64::to_string));
        let objective = objectives.then(|| objective(trial).unwrap_or_default());
        arm.into_iter().chain(row(trial, &stages)).chain(settings).chain(objective).collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let mut text = heading(plan);
    text.push('\n');
    text.push_str(&lined_up(&rows, |column| column > 0));
    text.push('\n');
    text.push_str(&costs(plan));
    text
}

fn row(trial: &Trial, stages: &BTreeMap<StageKey, &Stage>) -> [String; 9] {
    let path: Vec<_> = trial.path.iter().filter_map(|key| stages.get(key)).map(|stage| &stage.spec).collect();
    let last = path.last().expect("a trial has at least one stage");
    let flops = path.iter().map(|spec| spec.flops()).sum::<vocabulary::Flops>();
    [
        trial.size.clone(),
        trial.seed.to_string(),
        last.peak_lr.to_string(),
        human_count(trial.n as f64),
        trial.d.to_string(),
        format!("{:.1}", trial.d.0 as f64 / trial.n as f64),
        last.steps.end.to_string(),
        trial.path.len().to_string(),
        flops.to_string(),
    ]
}

pub(crate) fn heading(plan: &Plan) -> String {
    let mut text = format!("{}  {}\n", plan.name, plan.campaign);
    if !plan.description.is_empty() {
        let _ = writeln!(text, "{}", plan.description);
    }
    match &plan.dataset {
        Some(dataset) => {
            if !dataset.domains.is_empty() {
                text.push_str(&domains(plan, dataset));
                return text + &patience(plan);
            }
            let passes = most_passes(plan).first().copied().unwrap_or_default();
            let (tokens, held_out) = (Tokens(dataset.train_tokens), Tokens(dataset.validation_tokens));
            let sources = dataset.sources.join(", ");
            let _ = writeln!(
                text,
                "{sources}: {tokens} tokens to train on, {held_out} held out, vocabulary {}; \
                 the longest run sees them {passes:.2} times",
                dataset.vocab
            );
            text.push_str(&repeated(plan));
        }
        None => text.push_str("the data is not prepared yet: keys are not final\n"),
    }
    text + &patience(plan)
}

/// The tokens of each domain, and how often a run sees them.
fn domains(plan: &Plan, dataset: &Dataset) -> String {
    let mut text = format!("{} domains, vocabulary {}\n", dataset.domains.len(), dataset.vocab);
    for (domain, passes) in dataset.domains.iter().zip(most_passes(plan)) {
        let (name, tokens, held_out) = (&domain.name, Tokens(domain.train_tokens), Tokens(domain.validation_tokens));
        let _ = writeln!(
            text,
            "  {name}: {tokens} tokens to train on, {held_out} held out; no run sees them more than {passes:.2} times"
        );
    }
    text + &repeated(plan)
}

/// The most passes that a trial makes over each text.
fn most_passes(plan: &Plan) -> Vec<f64> {
    plan.trials
        .iter()
        .map(|trial| {
            // Of a search, the stages that are planned so far may be the beginning alone.
            let end = plan.stage(trial.last_stage()).map(|stage| {
                let whole = trial.d.0 / stage.spec.batch.tokens().max(1);
                stage.spec.steps.end.max(whole)
            });
            plan.passes_at(trial, end.unwrap_or_default())
        })
        .reduce(|most, passes| most.into_iter().zip(passes).map(|(most, passes)| most.max(passes)).collect())
        .unwrap_or_default()
}

/// How many points repeat data, and what that means; empty if none does.
fn repeated(plan: &Plan) -> String {
    let repeats = plan.trials.iter().filter(|trial| is_repeated(&plan.passes(trial))).count();
    if repeats == 0 {
        return String::new();
    }
    wrapped(
        &format!(
            "note: {repeats} of {} points repeat training data (more than one pass). They are trained and marked, and left \
             out of the law, which describes fresh data; `windtunnel fit --repeated` fits them too",
            plan.trials.len()
        ),
        2,
    )
}

fn patience(plan: &Plan) -> String {
    let mut text = String::new();
    if plan.retries != Retries::DEFAULT {
        let Retries { not_started, preempted, failed, .. } = plan.retries;
        let _ = writeln!(
            text,
            "a stage is given up after more than {failed} failures, {not_started} attempts that did not start, or \
             {preempted} preemptions without progress"
        );
    }
    text
}

/// The settings that a search gave the trial that begins with a stage, except for the learning rate, which is shown anyway.
fn of_search(plan: &Plan, root: &StageKey) -> String {
    let trial = plan.trials.iter().find(|trial| trial.path[0] == *root);
    let settings = trial.into_iter().flat_map(|trial| &trial.settings);
    let settings = settings.filter(|(parameter, _)| **parameter != Parameter::PeakLr);
    settings.map(|(parameter, value)| format!("  {parameter} {value}")).collect()
}

/// The cost of the plan. For a search, which has only its first stages yet, the cost of the whole search.
pub(crate) fn costs(plan: &Plan) -> String {
    plan.search.as_ref().map_or_else(
        || savings(&plan.cost()),
        |search| format!("these are the first trials of {}", crate::search::summary(search)),
    )
}

fn savings(cost: &Cost) -> String {
    let saved = 1.0 - cost.flops.0 / cost.flops_unshared.0;
    format!(
        "{} tokens, {} FLOPs; each point alone would take {} tokens, {} FLOPs: sharing saves {:.0}%\n",
        cost.tokens,
        cost.flops,
        cost.tokens_unshared,
        cost.flops_unshared,
        100.0 * saved
    )
}
