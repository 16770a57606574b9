//! The workers of a coordinator.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::v1;
use serde::Serialize;
use vocabulary::text::{counted, wrapped};
use vocabulary::units::{human_count, human_duration};

use super::output::View;
use super::progress::WorkerLine;
use super::table::{Column, KEPT, fitted, terminal_width};

/// A worker, where it runs and what it does.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkerView {
    #[serde(flatten)]
    pub(crate) does: WorkerLine,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) pool: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) allocation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) job: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restart: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) node: String,
    /// When its machine is taken away, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until_ms: Option<u64>,
    /// How long the coordinator has known it.
    pub(crate) known_ms: u64,
}

/// Every worker that the coordinator knows to be alive.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkerList {
    pub(crate) workers: Vec<WorkerView>,
    counts: Counts,
    #[serde(skip)]
    now_ms: u64,
}

/// How many workers do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Counts {
    working: usize,
    idle: usize,
    held_back: usize,
    /// Without a connection: they may still train.
    away: usize,
}

impl From<&v1::WorkerStatus> for WorkerView {
    fn from(worker: &v1::WorkerStatus) -> Self {
        let v1::Place { pool, allocation, job, restart, node, until_unix_ms } =
            worker.place.clone().unwrap_or_default();
        let (does, known_ms) = (WorkerLine::from(worker), worker.known_ms);
        Self { does, pool, allocation, job, restart, node, until_ms: until_unix_ms, known_ms }
    }
}

impl WorkerView {
    fn counted(&self, counts: &mut Counts) {
        *match &self.does {
            does if !does.connected => &mut counts.away,
            does if does.stage.is_some() => &mut counts.working,
            does if does.held_back.is_some() => &mut counts.held_back,
            _ => &mut counts.idle,
        } += 1;
    }

    fn work(&self) -> String {
        let WorkerLine { size, role, text, connected, held_back, .. } = &self.does;
        let work = size.as_ref().map(|size| match (role, text) {
            (Some(role), _) => format!("{size} {role}"),
            (None, Some(text)) => format!("{size} on {text}"),
            (None, None) => size.clone(),
        });
        let away = (!connected).then(|| "away".to_owned());
        let idle = || if held_back.is_some() { "held back" } else { "idle" }.to_owned();
        match (work, away) {
            (Some(work), Some(away)) => format!("{work}, {away}"),
            (Some(work), None) => work,
            (None, away) => away.unwrap_or_else(idle),
        }
    }

    fn restarts(&self) -> String {
        self.restart.filter(|restart| *restart > 0).map(|restart| restart.to_string()).unwrap_or_default()
    }

    fn step(&self) -> String {
        match (self.does.step, self.does.end_step) {
            // Steps are counted from 0; people count from 1.
            (Some(step), Some(end)) => format!("{}/{end}", step + 1),
            (None, Some(end)) => format!("0/{end}"),
            _ => String::new(),
        }
    }

    /// Why it is given nothing, for a line of its own below the table.
    fn note(&self) -> Option<String> {
        let why = self.does.held_back.as_ref()?;
        let rest = self.does.held_back_ms.map(|rest| format!(" for {}", human_duration(rest as f64 / 1000.0)));
        Some(wrapped(&format!("{} is held back{}: {why}", self.does.name, rest.unwrap_or_default()), 2))
    }
}

impl WorkerList {
    pub(crate) fn new(workers: Vec<WorkerView>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(workers, u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn at(workers: Vec<WorkerView>, now_ms: u64) -> Self {
        let mut counts = Counts::default();
        workers.iter().for_each(|worker| worker.counted(&mut counts));
        Self { workers, counts, now_ms }
    }

    fn columns(&self) -> Vec<Column> {
        let column = |title: &str, rank, cell: &dyn Fn(&WorkerView) -> String| {
            Column::new(title, rank, self.workers.iter().map(cell))
        };
        let left = |it: &WorkerView| {
            let until = it.until_ms.map(|until| until.saturating_sub(self.now_ms));
            until.map(|left| human_duration(left as f64 / 1000.0)).unwrap_or_default()
        };
        let speed = |it: &WorkerView| {
            let rate = it.does.tokens_per_second.filter(|rate| *rate > 0.0);
            rate.map(human_count).unwrap_or_default()
        };
        vec![
            column("worker", KEPT, &|it| it.does.name.clone()),
            column("pool", 0, &|it| it.pool.clone()),
            column("job", 5, &|it| it.job.clone()),
            column(" restarts", 0, &WorkerView::restarts),
            column("node", 4, &|it| it.node.clone()),
            column("device", 0, &|it| it.does.device.clone()),
            column("work", KEPT, &WorkerView::work),
            column(" step", 6, &WorkerView::step),
            column(" tokens/s", 3, &speed),
            column(" here for", 1, &|it| human_duration(it.known_ms as f64 / 1000.0)),
            column(" time left", 2, &left),
        ]
    }

    fn summary(&self) -> String {
        let Counts { working, idle, held_back, away } = self.counts;
        let parts = [(working, "working"), (idle, "idle"), (held_back, "held back"), (away, "away")];
        let parts: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        format!("{}: {}\n", counted(self.workers.len(), "worker"), parts.join(", "))
    }
}

impl View for WorkerList {
    fn table(&self) -> String {
        if self.workers.is_empty() {
            return "no workers\n".to_owned();
        }
        let mut text = fitted(self.columns(), terminal_width());
        text.push_str(&self.summary());
        text.extend(self.workers.iter().filter_map(WorkerView::note));
        text
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{StageSpec, sample};

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn list() -> WorkerList {
        let spec = StageSpec { steps: 0..3906, ..sample::stage() };
        let stage = v1::Stage {
            key: "stage_1".to_owned(),
            size: "tiny-128".to_owned(),
            role: v1::StageRole::Decay.into(),
            spec_json: String::from_utf8(spec.to_json()).expect("JSON is UTF-8"),
            ..Default::default()
        };
        let latest = v1::CurvePoint { step: 3599, ..Default::default() };
        let place = v1::Place {
            pool: "gpu".to_owned(),
            job: "1234_5".to_owned(),
            restart: Some(1),
            node: "node-17".to_owned(),
            until_unix_ms: Some(10 * HOUR_MS),
            ..Default::default()
        };
        let busy = v1::WorkerStatus {
            name: "node-17".to_owned(),
            device: "cuda:0 with 8 threads".to_owned(),
            connected: true,
            progress: Some(v1::Progress { latest: Some(latest), tokens_per_second: 82_100.0, ..Default::default() }),
            stage: Some(stage),
            place: Some(place.clone()),
            known_ms: HOUR_MS / 2,
            ..Default::default()
        };
        let held_back = v1::WorkerStatus {
            name: "node-18".to_owned(),
            connected: true,
            held_back: "it failed three different stages in a row".to_owned(),
            held_back_ms: Some(61_000),
            place: Some(v1::Place { node: "node-18".to_owned(), restart: Some(0), ..place }),
            ..Default::default()
        };
        let local = v1::WorkerStatus { name: "local-1".to_owned(), connected: true, ..Default::default() };
        let away = v1::WorkerStatus { name: "node-19".to_owned(), connected: false, ..busy.clone() };
        WorkerList::at([busy, held_back, local, away].iter().map(WorkerView::from).collect(), 8 * HOUR_MS)
    }

    #[test]
    fn workers_fit_eighty_columns_and_say_where_they_are_and_what_they_do() {
        insta::assert_snapshot!(fitted(list().columns(), Some(80)));
        insta::assert_snapshot!(fitted(list().columns(), None));
        let list = list();
        assert_eq!(list.summary(), "4 workers: 1 working, 1 idle, 1 held back, 1 away\n");
        let notes: Vec<String> = list.workers.iter().filter_map(WorkerView::note).collect();
        assert_eq!(notes, ["node-18 is held back for 1m 01s: it failed three different stages in a row\n"]);
    }

    #[test]
    fn programs_read_the_same() {
        let json = serde_json::to_value(list()).expect("can be written");
        let first = &json["workers"][0];
        assert_eq!((&first["job"], &first["node"]), (&"1234_5".into(), &"node-17".into()));
        assert_eq!((&first["until_ms"], &first["tokens_per_second"]), (&(10 * HOUR_MS).into(), &82_100.0.into()));
        assert_eq!(json["counts"]["held_back"], 1);
        assert!(json["workers"][2].get("job").is_none(), "{json}");
    }
}
