//! Checks whether a store is whole, and repairs what can be repaired without inventing data.
//!
//! It works on a data directory that no coordinator is using. Repairs only move forward: a lost checkpoint is recorded as
//! lost, tables are rewritten from the log, orphaned files are deleted. Rows of the log are never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use scheduler::{Effect, Event, Fact, Ledger, RestoreError, Scheduler, Settings, Snapshot, StageState, Timestamp};
use serde::Serialize;
use storage::Storage;
use vocabulary::StageKey;
use vocabulary::text::one_line;

use crate::STORE_FILE;
use crate::clock::unix_ms;
use crate::home::{self, StorageRefusal};
use crate::lock::LockError;
use crate::orphans::{self, InUse};
use crate::start;
use crate::store::{
    self, Commit, CommittedCheckpoint, DerivedCheck, Differences, Leader, LogCheck, Place, Store, StoreError, Term,
    Turn, UnusableSnapshot,
};
use crate::verify::{self, CheckpointHealth};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A sentence for people.
    pub what: String,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// One kind of thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, for people.
    pub name: &'static str,
    /// How many were checked.
    pub looked_at: usize,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// The state a store is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The address of the storage of checkpoints and datasets.
    pub storage: String,
    /// Everything that was checked. If the log is damaged, what depends on it was not.
    pub checks: Vec<Check>,
    /// What could not be: nothing in the store says how it was written.
    pub not_checked: Vec<String>,
}

impl Diagnosis {
    /// Whether nothing is wrong, or all that was wrong is repaired.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.checks.iter().flat_map(|check| &check.problems).all(|problem| problem.repaired)
    }
}

/// Why a store could not be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The data directory has no store.
    #[error("there is no store in {}", .data_dir.display())]
    NoStore {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The database has no store.
    #[error("{address} holds no store of this version: start `windtunnel serve --store`, which creates or upgrades it")]
    NoDatabase { address: String },
    /// No coordinator has ever led it.
    #[error("the store does not say where its datasets and checkpoints are: no coordinator has served it yet")]
    NoStorage,
    /// A coordinator is using it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A coordinator of another data directory is using it.
    #[error("the store is in use by the coordinator {by}: stop it first")]
    Led { by: String },
    /// It cannot be opened, read or written.
    #[error("cannot examine the store")]
    Store(#[from] StoreError),
    /// The data directory cannot be used.
    #[error("cannot open the data directory")]
    DataDir(#[source] start::StartError),
    /// The storage of checkpoints is not there, or is another.
    #[error(transparent)]
    Storage(#[from] StorageRefusal),
    /// Files cannot be listed or deleted.
    #[error("cannot list or delete the files of checkpoints")]
    Files(#[source] object_store::Error),
}

/// What to examine, and whether to repair it.
#[derive(Debug, Clone)]
pub struct DoctorOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The store to examine; without one, that of the data directory. With a database nothing of the directory is needed.
    pub place: Option<Place>,
    /// Whether to repair what can be repaired.
    pub repair: bool,
    /// Files that belong to no committed checkpoint are orphans once they are this old.
    pub min_age: Duration,
}

/// Examines a store that no coordinator is using.
///
/// # Errors
/// If there is none, a coordinator is using it, or something cannot be read or written.
pub async fn examine(options: &DoctorOptions) -> Result<Diagnosis, DoctorError> {
    if let Some(place @ Place::Postgres(_)) = &options.place {
        let place = place.clone().with_password().map_err(StoreError::from)?;
        let Some(store) = store::open_existing(&place).await? else {
            return Err(DoctorError::NoDatabase { address: place.to_string() });
        };
        return examine_store(store.as_ref(), None, options).await;
    }
    let is_file = options.place == Some(Place::File);
    let is_there = if is_file { options.data_dir.join(STORE_FILE).is_file() } else { store::is_in(&options.data_dir) };
    if !is_there {
        return Err(DoctorError::NoStore { data_dir: options.data_dir.clone() });
    }
    let data_dir = start::make_data_dir(&options.data_dir).map_err(DoctorError::DataDir)?;
    let _lock = start::take_lock(&data_dir).await?;
    let store = if is_file { store::open_file(&data_dir).await? } else { store::open_in(&data_dir).await? };
    examine_store(store.as_ref(), Some(&data_dir), options).await
}

/// Examines a store, with the storage of a data directory or else the one that the store itself remembers.
async fn examine_store(
    store: &dyn Store,
    data_dir: Option<&Path>,
    options: &DoctorOptions,
) -> Result<Diagnosis, DoctorError> {
    if let Turn::Held(leader) = store.take_turn().await? {
        return Err(DoctorError::Led { by: leader.as_ref().map_or_else(String::new, Leader::to_string) });
    }
    let (storage, address) = match data_dir {
        Some(dir) => (home::find(dir).await?, home::storage_address(dir)?),
        None => {
            let note = store.noted_storage().await?.ok_or(DoctorError::NoStorage)?;
            (home::find_noted(&note).await?, note.address)
        }
    };
    let mut doctor = Doctor {
        store,
        term: if options.repair { Some(store.begin_term().await?) } else { None },
        storage: &storage,
        options,
        diagnosis: Diagnosis { storage: address, ..Diagnosis::default() },
    };
    let examined = doctor.examine().await;
    let diagnosis = doctor.diagnosis;
    store.close().await;
    examined.map(|()| diagnosis)
}

struct Doctor<'a> {
    store: &'a dyn Store,
    /// The term it repairs in, if it is to repair.
    term: Option<Term>,
    storage: &'a Storage,
    options: &'a DoctorOptions,
    diagnosis: Diagnosis,
}

/// What has no hash: a changed value there looks like any other.
const NOT_CHECKED: [&str; 4] = [
    "the values of curves: only that no step is missing or too many",
    "the losses of held-out documents",
    "the text of recipes",
    "a log that somebody rewrote together with its hashes: they are not signed",
];

impl Doctor<'_> {
    async fn examine(&mut self) -> Result<(), DoctorError> {
        let file = self.store.check_engine().await?;
        self.found("database file", 1, file.into_iter().map(|what| Problem { what, repaired: false }).collect());
        self.diagnosis.not_checked.extend(NOT_CHECKED.map(str::to_owned));
        let Some((mut scheduler, facts)) = self.log().await? else { return Ok(()) };
        self.snapshots(&facts).await?;
        self.tables().await?;
        self.checkpoints(&mut scheduler).await?;
        self.curves(scheduler.ledger()).await?;
        self.files(&scheduler).await
    }

    fn found(&mut self, name: &'static str, looked_at: usize, problems: Vec<Problem>) {
        self.diagnosis.checks.push(Check { name, looked_at, problems });
    }

    /// The facts of the log and the scheduler that it restores, if it is sound: no row is missing or changed, its end is there,
    /// and no fact contradicts those before it.
    async fn log(&mut self) -> Result<Option<(Scheduler, Vec<Fact>)>, DoctorError> {
        let left = |what: String| vec![Problem { what, repaired: false }];
        let rows = match self.store.check_log().await {
            Ok(LogCheck { rows, unchained }) => {
                if unchained > 0 {
                    let old = format!(
                        "{unchained} rows of the log from a version without hashes: only that they can be read"
                    );
                    self.diagnosis.not_checked.push(old);
                }
                usize::try_from(rows).unwrap_or(usize::MAX)
            }
            Err(error @ StoreError::Read { .. }) => return Err(error.into()),
            Err(error) => {
                self.found("log", 0, left(one_line(&error)));
                return Ok(None);
            }
        };
        let facts = self.store.facts().await?;
        match Scheduler::restore(Settings::default(), Timestamp(0), facts.clone()) {
            Ok(scheduler) => {
                self.found("log", rows, Vec::new());
                Ok(Some((scheduler, facts)))
            }
            Err(error @ RestoreError { .. }) => {
                self.found("log", rows, left(one_line(&error)));
                Ok(None)
            }
        }
    }

    /// Compares each snapshot with its checksum, and with what the log amounts to at its place. The start of a coordinator does
    /// only the former.
    async fn snapshots(&mut self, facts: &[Fact]) -> Result<(), DoctorError> {
        let snapshots = self.store.snapshots().await?;
        let (looked_at, mut problems) = (snapshots.len(), Vec::new());
        for (position, snapshot) in snapshots {
            let sequence = position.sequence;
            let why = match snapshot {
                Ok(snapshot) if is_of(&snapshot, facts, sequence) => continue,
                Ok(_) => "it is not what the log says".to_owned(),
                // Of another version; the next start reads the log instead.
                Err(UnusableSnapshot::Version { .. }) => continue,
                Err(error) => one_line(&error),
            };
            if let Some(term) = self.term {
                self.store.delete_snapshot(term, sequence).await?;
            }
            let what = format!("the snapshot of the ledger after row {sequence} is damaged: {why}");
            problems.push(Problem { what, repaired: self.options.repair });
        }
        self.found("snapshots", looked_at, problems);
        Ok(())
    }

    async fn tables(&mut self) -> Result<(), DoctorError> {
        let differences = self.term.map_or(Differences::Leave, Differences::Rewrite);
        let DerivedCheck { wrong, rows } = self.store.check_derived(differences).await?;
        let repaired = self.options.repair;
        let problem = |table| Problem { what: format!("the table `{table}` differs from what the log says"), repaired };
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
                .nodes()
                .flat_map(|(work, _)| ledger.checkpoints(&work.key()).map(move |step| (work.key(), step)))
                .collect()
        };
        let (mut problems, mut lost) = (Vec::new(), Vec::new());
        for (stage, step) in &committed {
            let what = match (rows.get(&(*stage, *step)), scheduler.stage(stage)) {
                (Some(row), Some(known)) => match self.look_at(row, &known.spec.data.dataset).await {
                    CheckpointHealth::Sound => continue,
                    CheckpointHealth::Damaged(error) => one_line(&error),
                    CheckpointHealth::Unreachable(error) => {
                        let what = format!(
                            "the checkpoint of {} at step {step} cannot be read: {}",
                            stage.short(),
                            one_line(&error)
                        );
                        problems.push(Problem { what, repaired: false });
                        continue;
                    }
                },
                _ => "it is missing from the index of checkpoints".to_owned(),
            };
            lost.push((*stage, *step));
            let what = format!("the checkpoint of {} at step {step} is lost: {what}", stage.short());
            problems.push(Problem { what, repaired: self.options.repair });
        }
        for (stage, step) in rows.keys().filter(|key| !committed.contains(key)) {
            let what = format!("the index has a checkpoint of {} at step {step} that the log does not", stage.short());
            problems.push(Problem { what, repaired: false });
        }
        if let Some(term) = self.term {
            self.record_losses(term, scheduler, lost).await?;
        }
        self.found("checkpoints", committed.len(), problems);
        Ok(())
    }

    async fn look_at(&self, row: &CommittedCheckpoint, data: &vocabulary::DatasetId) -> CheckpointHealth {
        verify::examine(self.storage.store().as_ref(), None, row, data, verify::COMMITTED).await
    }

    /// Does what the coordinator does when a worker finds one: the scheduler decides what follows.
    async fn record_losses(
        &self,
        term: Term,
        scheduler: &mut Scheduler,
        lost: Vec<(StageKey, u64)>,
    ) -> Result<(), DoctorError> {
        let mut facts = Vec::new();
        for (stage, step) in lost {
            let effects = scheduler.handle(Timestamp(0), Event::CheckpointDamaged { stage, step });
            facts.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Record(fact) => Some(fact),
                _ => None,
            }));
        }
        self.store.commit(term, &Commit { at_ms: unix_ms(), facts, ..Commit::default() }).await?;
        Ok(())
    }

    /// Checks that no step is missing; that each is there once is what the table's key ensures.
    async fn curves(&mut self, ledger: &Ledger) -> Result<(), DoctorError> {
        let (mut looked_at, mut problems) = (0, Vec::new());
        let trained = ledger.nodes().filter_map(|(work, state)| Some((work.stage()?, state)));
        for (stage, state) in trained {
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
                let what = format!("{} points of the curve of {} lie outside its steps", outside, stage.key.short());
                problems.push(Problem { what, repaired: false });
            }
        }
        self.found("curve points", looked_at, problems);
        Ok(())
    }

    async fn files(&mut self, scheduler: &Scheduler) -> Result<(), DoctorError> {
        let files =
            orphans::list(self.storage.store().as_ref(), self.storage.directory()).await.map_err(DoctorError::Files)?;
        let rows = self.store.checkpoints().await?;
        let in_use = InUse::new(scheduler, rows.iter().map(|(row, _)| (row.key(), row.step)));
        let orphans = orphans::orphans(&files, &in_use, self.options.min_age, SystemTime::now());
        if self.options.repair {
            let deleted = orphans::delete(self.storage.store().as_ref(), self.storage.directory(), &orphans).await;
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

/// Whether a snapshot is what the first facts of a log amount to.
fn is_of(snapshot: &Snapshot, facts: &[Fact], sequence: u64) -> bool {
    let first = facts.iter().take(usize::try_from(sequence).unwrap_or(usize::MAX)).cloned();
    let restored = Scheduler::restore(Settings::default(), Timestamp(0), first);
    // As text, in which NaN equals itself.
    let text = |snapshot: &Snapshot| serde_json::to_vec(snapshot).ok();
    restored.is_ok_and(|restored| text(&restored.snapshot()) == text(snapshot))
}
