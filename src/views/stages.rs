//! The stages of a campaign as a table: what differs between them, how far they are, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::search::Parameter;
use vocabulary::text::{listed, wrapped};
use vocabulary::units::{human_count, human_duration, human_time};

use super::StageView;
use super::stage::{TimesView, words};
use super::table::{Column, KEPT, fitted};

/// Remarks up to this length stand in the table, longer ones beneath it.
const SHORT: usize = 30;

/// From this many rows on, a remark that they share is said once.
const SEVERAL: usize = 3;

/// The first characters of a key, which name a stage on a command line.
pub(super) fn short(key: &str) -> String {
    key.chars().take("stage_".len() + 8).collect()
}

/// The table. Settings that all stages share are in a line above it.
pub(crate) fn table(stages: &[StageView], width: Option<usize>) -> String {
    let (mut columns, same) = settings(stages);
    let column =
        |title: &str, rank, cell: &dyn Fn(&StageView) -> String| Column::new(title, rank, stages.iter().map(cell));
    columns.insert(0, column("stage", KEPT, &|stage| short(&stage.key)));
    columns.push(column("part", 5, &|stage| stage.role.to_owned()));
    columns.push(column(" steps", 4, &|stage| format!("{}..{}", stage.start_step, stage.end_step)));
    columns.push(column("state", KEPT, &StageView::state));
    columns.push(column(" loss", 9, &|stage| loss(stage.validation_loss)));
    let others: BTreeSet<&String> = stages.iter().flat_map(|stage| stage.measurements.keys()).collect();
    for name in others {
        columns.push(column(&format!(" {name}"), 6, &|stage| loss(stage.measurements.get(name).copied())));
    }
    let rows: Vec<(Option<u32>, &TimesView)> = stages.iter().map(|stage| (stage.attempt, &stage.times)).collect();
    columns.extend(times(&rows));

    let said = Said::of(stages);
    columns.push(Column::new("remark", 0, said.in_row.clone()));
    let mut text = same;
    text.push_str(&fitted(columns, width));
    said.beneath.iter().for_each(|line| text.push_str(&wrapped(line, 2)));
    text
}

/// Attempts, worker, start and duration, where there is something to say.
pub(super) fn times(rows: &[(Option<u32>, &TimesView)]) -> [Column; 4] {
    let is_retried = rows.iter().any(|(attempt, _)| attempt.is_some_and(|attempt| attempt > 1));
    let tries = |attempt: Option<u32>| attempt.filter(|_| is_retried).map(|tries| tries.to_string());
    let took = |times: &TimesView| times.started_at_ms.map(|_| human_duration(times.device_seconds));
    [
        Column::new(" tries", 7, rows.iter().map(|(attempt, _)| tries(*attempt).unwrap_or_default())),
        Column::new(" took", 8, rows.iter().map(|(_, times)| took(times).unwrap_or_default())),
        Column::new(
            "started (UTC)",
            2,
            rows.iter().map(|(_, it)| it.started_at_ms.map(human_time).unwrap_or_default()),
        ),
        Column::new("worker", 3, rows.iter().map(|(_, times)| times.worker_name.clone())),
    ]
}

pub(super) fn loss(loss: Option<f64>) -> String {
    loss.map(|loss| format!("{loss:.4}")).unwrap_or_default()
}

/// A column for each setting that differs between the stages, and a line of those that do not.
fn settings(stages: &[StageView]) -> (Vec<Column>, String) {
    let searched: BTreeSet<Parameter> = stages.iter().flat_map(|stage| stage.settings.keys().copied()).collect();
    let is_search = !searched.is_empty();
    let mut settings: Vec<(String, String, Vec<String>)> = Vec::new();
    let mut add = |title: &str, called: &str, cell: &dyn Fn(&StageView) -> String| {
        settings.push((title.to_owned(), called.to_owned(), stages.iter().map(cell).collect()));
    };
    if is_search {
        add(" trial", "trial {}", &|stage| trials(&stage.trials));
    }
    add("arm", "arm {}", &|stage| stage.arms.join("+"));
    add("size", "size {}", &|stage| stage.size.clone());
    add(" seed", "seed {}", &|stage| stage.seed.to_string());
    if !searched.contains(&Parameter::PeakLr) {
        add(" lr", "peak LR {}", &|stage| stage.peak_lr.to_string());
    }
    add(" batch", "{} tokens a step", &|stage| human_count(stage.batch_tokens as f64));
    for key in &searched {
        let value = |stage: &StageView| stage.settings.get(key).map(f64::to_string).unwrap_or_default();
        add(&format!(" {key}"), &format!("{key} {{}}"), &value);
    }
    let (mut columns, mut same) = (Vec::new(), Vec::new());
    for (title, called, cells) in settings {
        let is_same = cells.iter().all(|cell| *cell == cells[0]);
        match cells.first() {
            None => {}
            Some(cell) if is_same && cell.is_empty() => {}
            Some(cell) if is_same => same.push(called.replace("{}", cell)),
            Some(_) => columns.push(Column::new(&title, KEPT, cells)),
        }
    }
    let same = if same.is_empty() { String::new() } else { wrapped(&format!("all stages: {}", same.join(", ")), 2) };
    (columns, same)
}

/// Trials by number: `3`, `1-4`, `1,3`.
fn trials(numbers: &[usize]) -> String {
    match numbers {
        [first, .., last] if last - first + 1 == numbers.len() => format!("{first}-{last}"),
        _ => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

/// What is said of stages.
struct Said {
    /// Short remarks, by row.
    in_row: Vec<String>,
    /// What several share, and what is too long, a line each.
    beneath: Vec<String>,
}

impl Said {
    fn of(stages: &[StageView]) -> Self {
        let places: BTreeMap<&str, usize> =
            stages.iter().enumerate().map(|(place, it)| (it.key.as_str(), place)).collect();
        let parent = |stage: &StageView| {
            stage.parent.and_then(|parent| places.get(parent.to_string().as_str())).map(|place| &stages[*place])
        };
        let (mut beneath, mut in_row) = (Vec::new(), vec![String::new(); stages.len()]);
        let mut waiting = 0;
        let mut not_run: BTreeMap<&str, usize> = BTreeMap::new();
        let mut rest: Vec<(usize, String)> = Vec::new();
        for (place, stage) in stages.iter().enumerate() {
            let is_open = |it: &StageView| matches!(it.phase, words::WAITING | words::RUNNING);
            // Only a stage that nobody has begun waits for its parent.
            let waits = stage.phase == words::WAITING && stage.attempt.is_none() && parent(stage).is_some_and(is_open);
            let mut above = parent(stage).filter(|_| stage.phase == words::NOT_RUN);
            while let Some(dead) = above.filter(|it| it.phase == words::NOT_RUN) {
                above = parent(dead);
            }
            match above.map(|it| it.phase).filter(|phase| matches!(*phase, words::DIVERGED | words::GIVEN_UP)) {
                Some(phase) => *not_run.entry(phase).or_default() += 1,
                None if waits => waiting += 1,
                None => rest.push((place, stage.remark())),
            }
        }
        if waiting > 0 {
            beneath.push(format!("{waiting} waiting: the stage they start from is not completed"));
        }
        beneath.extend(not_run.iter().map(|(phase, count)| {
            let what = if *phase == words::DIVERGED { "diverged" } else { "was given up" };
            format!("{count} not run: below a stage that {what}")
        }));
        let mut by_remark: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        rest.into_iter().filter(|(_, remark)| !remark.is_empty()).for_each(|(place, remark)| {
            by_remark.entry(remark).or_default().push(place);
        });
        let mut lines: Vec<(usize, String)> = Vec::new();
        for (remark, rows) in by_remark {
            match rows.as_slice() {
                several if several.len() >= SEVERAL => {
                    let phases: BTreeSet<&str> = several.iter().map(|place| stages[*place].phase).collect();
                    let phases: Vec<&str> = phases.into_iter().collect();
                    lines.push((rows[0], format!("{} {}: {remark}", several.len(), listed(&phases))));
                }
                few if remark.chars().count() <= SHORT => {
                    few.iter().for_each(|place| in_row[*place].clone_from(&remark))
                }
                few => {
                    let named: Vec<String> = few.iter().map(|place| short(&stages[*place].key)).collect();
                    lines.push((rows[0], format!("{}: {remark}", listed(&named))));
                }
            }
        }
        lines.sort();
        beneath.extend(lines.into_iter().map(|(_, line)| line));
        Self { in_row, beneath }
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::StageKey;

    use super::*;

    fn stage(name: &str, parent: Option<&str>, phase: &'static str) -> StageView {
        let key = |name: &str| StageKey::from_content(name.as_bytes());
        StageView {
            key: key(name).to_string(),
            parent: parent.map(key),
            size: "tiny-32".to_owned(),
            seed: 0,
            peak_lr: 0.01,
            batch_tokens: 256,
            arms: Vec::new(),
            trials: vec![1],
            settings: Default::default(),
            role: "trunk",
            start_step: 0,
            end_step: 200,
            surgery: Vec::new(),
            objective: None,
            phase,
            attempt: None,
            worker: None,
            times: TimesView::default(),
            committed_step: None,
            step: None,
            validation_loss: None,
            validation_loss_per_byte: None,
            measurements: BTreeMap::new(),
            reason: String::new(),
            damaged_checkpoints: Vec::new(),
        }
    }

    fn because(reason: &str, stage: StageView) -> StageView {
        StageView { reason: reason.to_owned(), ..stage }
    }

    #[test]
    fn what_differs_has_a_column_and_the_rest_a_line() {
        let fast = |stage: StageView| StageView { peak_lr: 9.0, ..stage };
        let stages = [stage("a", None, words::WAITING), fast(stage("b", None, words::WAITING))];
        let text = table(&stages, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "all stages: size tiny-32, seed 0, 256 tokens a step");
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["stage", "lr", "part", "steps", "state", "loss"][..5]
        );
        assert!(lines[2].contains("  0.01  trunk ") && lines[3].contains("     9  trunk "), "{text}");
    }

    #[test]
    fn a_running_stage_says_how_far_it_is_who_has_it_and_since_when() {
        let times = TimesView {
            worker_name: "local-1".to_owned(),
            started_at_ms: Some(1_796_113_725_000),
            ended_at_ms: None,
            device_seconds: 99.0,
        };
        let running = StageView { step: Some(50), attempt: Some(2), times, ..stage("a", None, words::RUNNING) };
        let text = table(&[running], None);
        let row = text.lines().last().expect("a row");
        assert!(row.ends_with("running 25%      2  1m 39s  2026-12-01 08:28  local-1"), "{text}");
    }

    #[test]
    fn what_waits_for_other_stages_is_said_once_and_in_no_row() {
        let mut stages = vec![stage("root", None, words::RUNNING), stage("bad", None, words::DIVERGED)];
        stages[1].reason = "the loss was 15.8244 at step 1, which is more than its limit".to_owned();
        for name in ["1", "2", "3"] {
            stages.push(because(
                "starts from stage_67470a73, which is waiting",
                stage(name, Some("root"), words::WAITING),
            ));
            stages
                .push(because("starts from stage_67470a73, which diverged", stage(name, Some("bad"), words::NOT_RUN)));
            stages.push(because("there is no worker", stage(name, None, words::WAITING)));
        }
        stages.push(because("queued, next in line", stage("next", None, words::WAITING)));
        let text = table(&stages, None);
        let beneath: Vec<&str> = text.lines().skip(2 + stages.len()).collect();
        let bad = short(&stages[1].key);
        let expected = [
            "3 waiting: the stage they start from is not completed".to_owned(),
            "3 not run: below a stage that diverged".to_owned(),
            format!("{bad}: the loss was 15.8244 at step 1, which is more than its limit"),
            "3 waiting: there is no worker".to_owned(),
        ];
        let said = beneath.join("\n").replace("\n  ", " ");
        assert_eq!(said.lines().collect::<Vec<_>>(), expected);
        assert!(text.contains("  queued, next in line\n"), "{text}");
    }

    #[test]
    fn at_80_columns_no_line_is_longer_and_rows_can_be_told_apart() {
        let times = TimesView {
            worker_name: "gpu-machine-17.cluster.example".to_owned(),
            started_at_ms: Some(1_796_113_725_000),
            ended_at_ms: None,
            device_seconds: 99.0,
        };
        let of = |name: &str, seed, peak_lr| StageView {
            seed,
            peak_lr,
            times: times.clone(),
            validation_loss: Some(2.5),
            attempt: Some(2),
            ..stage(name, None, words::COMPLETED)
        };
        let text = table(&[of("a", 0, 0.01), of("b", 1, 9.0), of("c", 1, 0.01)], Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let rows: BTreeSet<String> = text
            .lines()
            .skip(2)
            .take(3)
            .map(|row| row.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert!(text.contains("(too narrow for: "), "{text}");
    }
}
