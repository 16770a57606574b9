//! Looks whether a store is whole, and mends what can be mended without inventing anything.
//!
//! It works on a data directory that no coordinator has. What it mends it mends forwards: a checkpoint that is lost is
//! recorded as lost, tables are written anew from the log, orphaned files are deleted. The log's past is never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use object_store::ObjectStore;
use scheduler::{Effect, Event, Ledger, RestoreError, Scheduler, Settings, StageState, Timestamp};
use serde::Serialize;
use vocabulary::StageKey;

use crate::lock::LockError;
use crate::orphans::{self, InUse};
use crate::people::{chain, unix_ms};
use crate::start;
use crate::store::{Commit, CommittedCheckpoint, Differences, LogCheck, Store, StoreError};
use crate::verify::{self, Found};

/// What is wrong with one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What, for people.
    pub what: String,
    /// Whether it is mended.
    pub repaired: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How many of it there are.
    pub looked_at: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// How a store is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Everything that was looked at. Where the log is damaged, what depends on it was not.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Whether nothing is wrong that is not mended.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.checks.iter().flat_map(|check| &check.problems).all(|problem| problem.repaired)
    }
}

/// Why a store could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// There is none.
    #[error("there is no store in {}", .data_dir.display())]
    NoStore {
        /// Where it was looked for.
        data_dir: PathBuf,
    },
    /// A coordinator has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be opened, read or written.
    #[error("the store cannot be examined")]
    Store(#[from] StoreError),
    /// The storage of checkpoints cannot be opened.
    #[error("the storage of checkpoints cannot be opened")]
    Storage(#[source] start::StartError),
    /// Files cannot be listed or deleted.
    #[error("the files of checkpoints cannot be listed or deleted")]
    Files(#[source] object_store::Error),
}

/// What to look at, and whether to mend it.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Whether to mend what can be.
    pub repair: bool,
    /// Files that were never committed are orphans when they are this old.
    pub min_age: Duration,
}

/// Examines a store that no coordinator has.
///
/// # Errors
/// If there is none, a coordinator has it, or something cannot be read or written.
pub async fn examine(options: &DoctorOptions) -> Result<Diagnosis, DoctorError> {
    let path = options.data_dir.join(crate::STORE_FILE);
    if !path.is_file() {
        return Err(DoctorError::NoStore { data_dir: options.data_dir.clone() });
    }
    let data_dir = start::make_data_dir(&options.data_dir).map_err(DoctorError::Storage)?;
    let _lock = start::take_lock(&data_dir).await?;
    let store = Store::open(&path).await?;
    let (storage, _) = start::open_storage(&data_dir).map_err(DoctorError::Storage)?;
    let mut doctor = Doctor {
        store: store.clone(),
        storage: storage.as_ref(),
        data_dir: &data_dir,
        options,
        diagnosis: Diagnosis::default(),
    };
    let examined = doctor.examine().await;
    let diagnosis = doctor.diagnosis;
    store.close().await;
    examined.map(|()| diagnosis)
}

struct Doctor<'a> {
    store: Store,
    storage: &'a dyn ObjectStore,
    data_dir: &'a Path,
    options: &'a DoctorOptions,
    diagnosis: Diagnosis,
}

impl Doctor<'_> {
    async fn examine(&mut self) -> Result<(), DoctorError> {
        let file = self.store.check_file().await?;
        self.found("database file", 1, file.into_iter().map(|what| Problem { what, repaired: false }).collect());
        let Some(mut scheduler) = self.log().await? else { return Ok(()) };
        self.tables().await?;
        self.checkpoints(&mut scheduler).await?;
        self.curves(scheduler.ledger()).await?;
        self.files(&scheduler).await
    }

    fn found(&mut self, name: &'static str, looked_at: usize, problems: Vec<Problem>) {
        self.diagnosis.checks.push(Check { name, looked_at, problems });
    }

    /// The scheduler that the log adds up to, if it does: no row is missing or changed, its end is there, and no fact
    /// contradicts those before it.
    async fn log(&mut self) -> Result<Option<Scheduler>, DoctorError> {
        let left = |what: String| vec![Problem { what, repaired: false }];
        let rows = match self.store.check_log().await {
            Ok(LogCheck { rows, .. }) => usize::try_from(rows).unwrap_or(usize::MAX),
            Err(error @ StoreError::Read { .. }) => return Err(error.into()),
            Err(error) => {
                self.found("log", 0, left(chain(&error)));
                return Ok(None);
            }
        };
        match Scheduler::restore(Settings::default(), Timestamp(0), self.store.facts().await?) {
            Ok(scheduler) => {
                self.found("log", rows, Vec::new());
                Ok(Some(scheduler))
            }
            Err(error @ RestoreError { .. }) => {
                self.found("log", rows, left(chain(&error)));
                Ok(None)
            }
        }
    }

    async fn tables(&mut self) -> Result<(), DoctorError> {
        let differences = if self.options.repair { Differences::Mend } else { Differences::Leave };
        let (wrong, rows) = self.store.check_derived(differences).await?;
        let repaired = self.options.repair;
        let problem = |table| Problem { what: format!("the table `{table}` is not what the log says"), repaired };
        self.found("tables of the log", rows, wrong.into_iter().map(problem).collect());
        Ok(())
    }

    async fn checkpoints(&mut self, scheduler: &mut Scheduler) -> Result<(), DoctorError> {
        let rows = self.store.checkpoints().await?;
        let rows: BTreeMap<(StageKey, u64), CommittedCheckpoint> =
            rows.into_iter().map(|(row, _)| ((row.stage, row.step), row)).collect();
        let committed: BTreeSet<(StageKey, u64)> = {
            let ledger = scheduler.ledger();
            ledger
                .stages()
                .flat_map(|(stage, _)| ledger.checkpoints(&stage.key).map(|step| (stage.key, step)))
                .collect()
        };
        let (mut problems, mut lost) = (Vec::new(), Vec::new());
        for (stage, step) in &committed {
            let what = match (rows.get(&(*stage, *step)), scheduler.stage(stage)) {
                (Some(row), Some(known)) => match self.look_at(row, &known.spec.data.dataset).await {
                    Found::Sound => continue,
                    Found::Damaged(error) => chain(&error),
                    Found::Unreachable(error) => {
                        let what = format!("{} at step {step} cannot be looked at: {}", stage.short(), chain(&error));
                        problems.push(Problem { what, repaired: false });
                        continue;
                    }
                },
                _ => "it is not in the index of checkpoints".to_owned(),
            };
            lost.push((*stage, *step));
            let what = format!("the checkpoint of {} at step {step} is lost: {what}", stage.short());
            problems.push(Problem { what, repaired: self.options.repair });
        }
        for (stage, step) in rows.keys().filter(|key| !committed.contains(key)) {
            let what = format!("the index has a checkpoint of {} at step {step} that the log has not", stage.short());
            problems.push(Problem { what, repaired: false });
        }
        if self.options.repair {
            self.record_losses(scheduler, lost).await?;
        }
        self.found("checkpoints", committed.len(), problems);
        Ok(())
    }

    async fn look_at(&self, row: &CommittedCheckpoint, data: &vocabulary::DatasetId) -> Found {
        verify::examine(self.storage, row, data, verify::FIRST_WAIT).await
    }

    /// As the coordinator does when a worker comes upon one: what follows from it is the scheduler's to say.
    async fn record_losses(&self, scheduler: &mut Scheduler, lost: Vec<(StageKey, u64)>) -> Result<(), DoctorError> {
        let mut facts = Vec::new();
        for (stage, step) in lost {
            let effects = scheduler.handle(Timestamp(0), Event::CheckpointDamaged { stage, step });
            facts.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Record(fact) => Some(fact),
                _ => None,
            }));
        }
        self.store.commit(&Commit { at_ms: unix_ms(), facts, ..Commit::default() }).await?;
        Ok(())
    }

    /// Every step once is what the table's key sees to; that none is missing is what is looked at here.
    async fn curves(&mut self, ledger: &Ledger) -> Result<(), DoctorError> {
        let (mut looked_at, mut problems) = (0, Vec::new());
        for (stage, state) in ledger.stages() {
            let steps: Vec<u64> =
                self.store.curve(stage.key, 0, usize::MAX).await?.iter().map(|point| point.step).collect();
            looked_at += steps.len();
            let spec = &stage.spec;
            let whole_to = match state {
                StageState::Completed { .. } => spec.steps.end,
                StageState::Diverged { step, .. } => *step + 1,
                _ => ledger.checkpoints(&stage.key).last().unwrap_or(spec.steps.start),
            };
            let known: BTreeSet<u64> = steps.iter().copied().collect();
            let missing = (spec.steps.start..whole_to.min(spec.steps.end)).filter(|step| !known.contains(step)).count();
            let outside = steps.iter().filter(|step| !spec.steps.contains(step)).count();
            if missing > 0 {
                let what = format!("{} steps of the curve of {} are missing", missing, stage.key.short());
                problems.push(Problem { what, repaired: false });
            }
            if outside > 0 {
                let what = format!("{} points of the curve of {} are outside of it", outside, stage.key.short());
                problems.push(Problem { what, repaired: false });
            }
        }
        self.found("curve points", looked_at, problems);
        Ok(())
    }

    async fn files(&mut self, scheduler: &Scheduler) -> Result<(), DoctorError> {
        let files = orphans::list(self.storage, Some(self.data_dir)).await.map_err(DoctorError::Files)?;
        let rows = self.store.checkpoints().await?;
        let in_use = InUse::new(scheduler, rows.iter().map(|(row, _)| (row.key(), row.step)));
        let orphans = orphans::orphans(&files, &in_use, self.options.min_age, SystemTime::now());
        if self.options.repair {
            let deleted = orphans::delete(self.storage, Some(self.data_dir), &orphans).await;
            deleted.map_err(DoctorError::Files)?;
        }
        let repaired = self.options.repair;
        let problem = |orphan: &orphans::Orphan| {
            let what = format!("{} ({} bytes) belongs to no committed checkpoint", orphan.path, orphan.bytes);
            Problem { what, repaired }
        };
        self.found("files of checkpoints", files.len(), orphans.iter().map(problem).collect());
        Ok(())
    }
}
