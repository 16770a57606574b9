//! The task that keeps all pools of Slurm jobs: it looks, hands on what it sees, and carries out what is ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scheduler::Timestamp;
use scheduler::pool::batch::{AllocationId, BatchOrder, BatchSettings, Job, Look, Mode};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use vocabulary::WorkerId;
use vocabulary::text::one_line;

use super::answers::comment;
use super::commands::{self, Request as JobRequest, Submission};
use super::error::SlurmError;
use super::pool::{KIND, Kept};
use super::script::Script;
use super::service::{Added, Change, Request, Surroundings};
use super::settings::SlurmSettings;
use super::view::{Seen, SlurmPoolView};
use crate::auth::{Scope, fresh_token, token_id};
use crate::clock::unix_ms;
use crate::driver::input::Input;
use crate::driver::view::View;
use crate::store::{AllocationRow, PoolChange, PoolRow, StoreError, TokenRow};

/// The longest wait between two looks: while Slurm does not answer, and while no pool has jobs or wants some.
const LONGEST: Duration = Duration::from_secs(300);

/// Changes that come closer together are taken in together.
const TOGETHER: Duration = Duration::from_millis(200);

/// The time of day, as the pools' decisions take it: what they remember outlives the process.
pub(super) fn now() -> Timestamp {
    Timestamp(unix_ms())
}

pub(super) struct Keeper {
    surroundings: Surroundings,
    pools: BTreeMap<String, Kept>,
    requests: mpsc::Receiver<Request>,
    publish: watch::Sender<Seen>,
    last_look: Option<Instant>,
    /// Looks in a row that were not answered.
    unanswered: u32,
    /// Workers that came with the token of their pool.
    own: BTreeSet<WorkerId>,
}

impl Keeper {
    pub(super) async fn new(
        surroundings: Surroundings,
        requests: mpsc::Receiver<Request>,
        publish: watch::Sender<Seen>,
    ) -> Result<Self, StoreError> {
        let allocations = surroundings.store.allocations().await?;
        let mut pools = BTreeMap::new();
        for row in surroundings.store.pools().await?.into_iter().filter(|row| row.kind == KIND) {
            let name = row.name.clone();
            match Kept::restore(row, &allocations, &surroundings.folders, surroundings.options.settle) {
                Ok(kept) => drop(pools.insert(name, kept)),
                Err(error) => {
                    error!(pool = name, error = one_line(&error), "a pool cannot be kept: its row is damaged")
                }
            }
        }
        let (last_look, unanswered, own) = (None, 0, BTreeSet::new());
        let mut keeper = Self { surroundings, pools, requests, publish, last_look, unanswered, own };
        let names: Vec<String> = keeper.pools.keys().cloned().collect();
        for name in names {
            if let Err(error) = keeper.equip(&name).await {
                error!(pool = name, error = one_line(&error), "the folder of a pool cannot be written");
            }
        }
        // Whoever asks before the first look at the queue sees what is stored.
        keeper.publish();
        Ok(keeper)
    }

    /// Keeps the pools until the coordinator stops.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        let mut changes = self.surroundings.driver.changes();
        loop {
            let due = self.next_look();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                request = self.requests.recv() => match request {
                    Some(request) => self.meet(request).await,
                    None => return,
                },
                () = changed(&mut changes) => {}
                () = tokio::time::sleep_until(due), if !self.pools.is_empty() => {}
            }
            if self.step().await.is_err() {
                // The coordinator ends for the same reason.
                return;
            }
        }
    }

    /// Takes in what work there is, looks at the queue if that is due, and carries out what follows.
    async fn step(&mut self) -> Result<(), Deposed> {
        let Ok(view) = self.surroundings.driver.view().await else { return Ok(()) };
        self.recognise(&view).await;
        let looks = if self.next_look() <= Instant::now() { self.look().await } else { BTreeMap::new() };
        let names: Vec<String> = self.pools.keys().cloned().collect();
        for name in &names {
            let others = self.pools.iter().filter(|(other, _)| *other != name).map(|(_, other)| other.coming()).sum();
            let Some(kept) = self.pools.get_mut(name) else { continue };
            kept.take_in(&view, others, &self.own);
            let look = match looks.get(name) {
                Some(Some(jobs)) => Look::Jobs(jobs),
                Some(None) => Look::Away,
                None => Look::Nothing,
            };
            let orders = kept.pool.handle(now(), look, &kept.load);
            for order in orders {
                self.carry_out(name, order).await?;
            }
            self.remove_if_over(name).await?;
        }
        self.publish();
        Ok(())
    }

    /// When to look at the queue next.
    fn next_look(&self) -> Instant {
        let Some(last) = self.last_look else { return Instant::now() };
        let poll = self.surroundings.options.poll;
        let is_quiet = self.pools.values().all(|kept| kept.pool.is_empty() && kept.load.ready.is_empty());
        let wait = match self.unanswered {
            0 if is_quiet => LONGEST,
            unanswered => poll.saturating_mul(1 << unanswered.min(10)).min(LONGEST),
        };
        last + wait.max(poll)
    }

    /// One `squeue` for all pools of a cluster: the jobs by pool, or `None` if Slurm gave no usable answer.
    async fn look(&mut self) -> BTreeMap<String, Option<Vec<Job>>> {
        let mut by_cluster: BTreeMap<&str, Vec<&Kept>> = BTreeMap::new();
        for kept in self.pools.values() {
            by_cluster.entry(kept.settings.clusters.as_str()).or_default().push(kept);
        }
        let (mut looks, mut is_answered) = (BTreeMap::new(), true);
        for pools in by_cluster.into_values() {
            let names: Vec<&str> = pools.iter().map(|kept| kept.row.name.as_str()).collect();
            let Some(first) = pools.first() else { continue };
            let asked = commands::queue(&names, &first.settings, self.surroundings.options.patience).await;
            if let Err(error) = &asked {
                is_answered = false;
                if self.unanswered == 0 {
                    warn!(pools = names.join(","), error = one_line(error), "Slurm does not say what is in its queue");
                }
            }
            for kept in pools {
                let is_own = |job: &&Job| job.allocation.mark() == kept.mark;
                let jobs = asked.as_ref().ok().map(|jobs| jobs.iter().filter(is_own).cloned().collect());
                looks.insert(kept.row.name.clone(), jobs);
            }
        }
        if is_answered && self.unanswered > 0 {
            info!("Slurm answers again");
        }
        self.unanswered = if is_answered { 0 } else { self.unanswered.saturating_add(1) };
        self.last_look = Some(Instant::now());
        looks
    }

    /// Notes which of the workers that name a pool came with that pool's token.
    async fn recognise(&mut self, view: &View) {
        self.own.retain(|worker| view.is_connected(worker));
        for status in view.scheduler.workers() {
            let worker = status.worker;
            let named = self.pools.values().find(|kept| kept.allocation_of(view, &worker).is_some());
            let Some(kept) = named.filter(|_| !self.own.contains(&worker)) else { continue };
            match self.surroundings.store.speaker(worker).await {
                // Where callers need no token, a worker's word is all there is.
                Ok(speaker) if kept.is_spoken_for_by(speaker.token.as_deref(), &self.surroundings.dial) => {
                    self.own.insert(worker);
                }
                Ok(_) => debug!(%worker, pool = kept.row.name, "a worker names a pool whose token it does not have"),
                Err(error) => warn!(%worker, error = one_line(&error), "cannot read who speaks for a worker"),
            }
        }
    }

    async fn carry_out(&mut self, name: &str, order: BatchOrder) -> Result<(), Deposed> {
        let patience = self.surroundings.options.patience;
        match order {
            BatchOrder::Submit { exclude } => self.submit(name, &exclude).await?,
            BatchOrder::Found { allocation, job } => {
                info!(pool = name, %allocation, %job, "a job was found in the queue whose number was not known");
                self.note_job(name, allocation, job.0).await?;
            }
            BatchOrder::Cancel { job } => {
                let Some(kept) = self.pools.get(name) else { return Ok(()) };
                info!(pool = name, %job, "a job that nothing needs is cancelled");
                if let Err(error) = commands::cancel(job, &kept.settings, patience).await {
                    warn!(pool = name, %job, error = one_line(&error), "a job cannot be cancelled");
                }
            }
            BatchOrder::Dismiss { worker } => {
                info!(pool = name, %worker, "a worker has nothing to do and is asked to go");
                // A driver that is gone dismisses nobody.
                let _ = self.surroundings.driver.inputs().send(Input::Dismissed { worker }).await;
            }
            BatchOrder::Forget { allocation, end } => {
                let line = self.pools.get(name).map(|kept| kept.folder.last_log_line(allocation)).unwrap_or_default();
                info!(pool = name, %allocation, ?end, last_log_line = line, "an allocation is over");
                self.write(&PoolChange::RemoveAllocation(allocation.to_string())).await?;
                if let Some(kept) = self.pools.get(name) {
                    kept.folder.prune_logs();
                }
            }
            BatchOrder::Pause { allocation } => {
                let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
                let line = kept.folder.last_log_line(allocation);
                let said =
                    if line.is_empty() { "without a log".to_owned() } else { format!("its log ends with: {line}") };
                let count = BatchSettings::STRIKES_OF_POOL;
                let log = kept.folder.log(allocation);
                let reason =
                    format!("{count} allocations in a row ended before a worker said hello; the last one, {said}");
                error!(pool = name, reason, log = %log.display(), "a pool is paused");
                kept.row = PoolRow { mode: "paused".to_owned(), reason, ..kept.row.clone() };
                let row = kept.row.clone();
                self.write(&PoolChange::SetPool(row)).await?;
            }
        }
        Ok(())
    }

    /// Commits the intent, then submits.
    async fn submit(&mut self, name: &str, exclude: &[String]) -> Result<(), Deposed> {
        let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
        let allocation = AllocationId::of(kept.mark, rand::random());
        let (pool, intended_at_ms) = (name.to_owned(), unix_ms());
        let row = AllocationRow { allocation: allocation.to_string(), pool, intended_at_ms, job: None };
        if !self.write(&PoolChange::SetAllocation(row)).await? {
            return Ok(());
        }
        let patience = self.surroundings.options.patience;
        let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
        kept.pool.intended(Timestamp(intended_at_ms), allocation);
        // `sbatch` may take long.
        self.publish();
        let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
        let script = script(&self.surroundings, kept, allocation);
        let submission = job_request(kept, allocation, exclude).submit(&script, patience).await;
        match submission {
            Submission::Job(job) => {
                info!(pool = name, %allocation, %job, "an allocation is asked for");
                kept.pool.submitted(allocation, job);
                self.note_job(name, allocation, job.0).await?;
            }
            Submission::Refused { why } => {
                warn!(pool = name, %allocation, why, "sbatch refuses an allocation");
                kept.pool.refused(now(), allocation, why);
                self.write(&PoolChange::RemoveAllocation(allocation.to_string())).await?;
            }
            Submission::Open { why } => {
                warn!(pool = name, %allocation, why, "sbatch gave no answer; the queue will show whether there is a job");
            }
        }
        Ok(())
    }

    async fn note_job(&mut self, name: &str, allocation: AllocationId, job: u64) -> Result<(), Deposed> {
        let known =
            self.pools.get(name).and_then(|kept| kept.pool.allocations().find(|(known, _)| *known == allocation));
        let Some((_, known)) = known else { return Ok(()) };
        let (allocation, pool) = (allocation.to_string(), name.to_owned());
        let row = AllocationRow { allocation, pool, intended_at_ms: known.intended_at.0, job: Some(job) };
        self.write(&PoolChange::SetAllocation(row)).await?;
        Ok(())
    }

    /// Writes a change; whether it is kept. What is not kept is found again in the queue.
    async fn write(&self, change: &PoolChange) -> Result<bool, Deposed> {
        let term = self.surroundings.driver.term();
        match self.surroundings.store.change_pools(term, change).await {
            Ok(()) => Ok(true),
            Err(error @ StoreError::Deposed { .. }) => {
                error!(error = one_line(&error), "the pools are kept by another coordinator");
                Err(Deposed)
            }
            Err(error) => {
                warn!(error = one_line(&error), "what is known of a pool cannot be written");
                Ok(false)
            }
        }
    }

    async fn meet(&mut self, request: Request) {
        // Whoever asked may be gone.
        match request {
            Request::Add { name, settings, reply } => drop(reply.send(self.add(name, *settings).await)),
            Request::Change { name, change, reply } => drop(reply.send(self.change(&name, change).await)),
        }
    }

    async fn add(&mut self, name: String, settings: SlurmSettings) -> Result<Added, SlurmError> {
        if self.pools.contains_key(&name) {
            return Err(SlurmError::Taken { name });
        }
        let mark: [u8; 8] = rand::random();
        let row = PoolRow {
            name: name.clone(),
            kind: KIND.to_owned(),
            mark: format!("{:016x}", u64::from_be_bytes(mark)),
            mode: "active".to_owned(),
            reason: String::new(),
            settings: serde_json::to_string(&settings).expect("settings always have a JSON form"),
        };
        let Surroundings { folders, options, driver, store, .. } = &self.surroundings;
        let kept = Kept::restore(row.clone(), &[], folders, options.settle).expect("it was made here");
        kept.folder.make(&kept.row.mark)?;
        let (example, patience) = (AllocationId::of(mark, [0; 8]), options.patience);
        let script = script(&self.surroundings, &kept, example);
        let said = job_request(&kept, example, &[]).test(&script, patience).await?;
        store.change_pools(driver.term(), &PoolChange::SetPool(row)).await?;
        self.pools.insert(name.clone(), kept);
        self.equip(&name).await?;
        info!(pool = name, "a pool is added");
        self.last_look = None;
        let kept = &self.pools[&name];
        Ok(Added { view: kept.view(now()), said, script })
    }

    /// Gives a pool's jobs what they need to find the coordinator and to be let in.
    async fn equip(&mut self, name: &str) -> Result<(), SlurmError> {
        let Some(kept) = self.pools.get(name) else { return Ok(()) };
        let Surroundings { dial, store, .. } = &self.surroundings;
        kept.folder.make(&kept.row.mark)?;
        kept.folder.write_address(if kept.settings.dial.is_empty() { dial } else { &kept.settings.dial })?;
        if !kept.settings.ca.is_empty() {
            kept.folder.write_ca(&kept.settings.ca)?;
        }
        if kept.folder.token().is_none() {
            let (secret, id, hash) = fresh_token();
            let row = TokenRow {
                token: id,
                name: format!("pool {name}"),
                scope: Scope::Worker.to_string(),
                hash,
                created_at_ms: unix_ms(),
                expires_at_ms: None,
                revoked_at_ms: None,
            };
            store.add_token(&row).await?;
            kept.folder.write_token(&secret)?;
        }
        Ok(())
    }

    async fn change(&mut self, name: &str, change: Change) -> Result<SlurmPoolView, SlurmError> {
        let unknown = || SlurmError::Unknown { name: name.to_owned() };
        let kept = self.pools.get_mut(name).ok_or_else(unknown)?;
        let (word, mode) = match change {
            Change::Pause => ("paused", Mode::Paused),
            Change::Resume => ("active", Mode::Active),
            Change::Drain => ("draining", Mode::Draining),
            Change::Remove => ("removing", Mode::Draining),
        };
        let row = PoolRow { mode: word.to_owned(), reason: String::new(), ..kept.row.clone() };
        let Surroundings { store, driver, .. } = &self.surroundings;
        store.change_pools(driver.term(), &PoolChange::SetPool(row.clone())).await?;
        kept.row = row;
        kept.pool.set_mode(mode);
        info!(pool = name, mode = word, "a pool is changed");
        self.last_look = None;
        // Whoever looks after the answer sees the change.
        self.publish();
        Ok(self.pools[name].view(now()))
    }

    /// Removes a pool that is to go, once nothing of it is left.
    async fn remove_if_over(&mut self, name: &str) -> Result<(), Deposed> {
        let is_over = |kept: &&Kept| kept.is_removing() && kept.pool.is_empty() && kept.load.workers.is_empty();
        let Some(kept) = self.pools.get(name).filter(is_over) else { return Ok(()) };
        let token = kept.folder.token().and_then(token_id);
        if !self.write(&PoolChange::RemovePool(name.to_owned())).await? {
            return Ok(());
        }
        if let Some(token) = token
            && let Err(error) = self.surroundings.store.revoke_token(&token, unix_ms()).await
        {
            warn!(
                pool = name,
                token,
                error = one_line(&error),
                "the token of a pool cannot be revoked: revoke it by hand"
            );
        }
        if let Some(kept) = self.pools.remove(name) {
            kept.folder.close();
        }
        info!(pool = name, "a pool is removed");
        Ok(())
    }

    fn publish(&self) {
        let views = self.pools.values().map(|kept| kept.view(now())).collect();
        self.publish.send_replace(Seen { at: Instant::now(), pools: views });
    }
}

/// Another coordinator writes the store.
struct Deposed;

fn job_request<'a>(kept: &'a Kept, allocation: AllocationId, exclude: &'a [String]) -> JobRequest<'a> {
    JobRequest {
        pool: &kept.row.name,
        settings: &kept.settings,
        comment: comment(&kept.row.name, allocation),
        folder: kept.folder.path().display().to_string(),
        log: kept.folder.log(allocation).display().to_string(),
        exclude,
    }
}

fn script(surroundings: &Surroundings, kept: &Kept, allocation: AllocationId) -> String {
    let own = surroundings.program.display().to_string();
    let program = if kept.settings.program.is_empty() { &own } else { &kept.settings.program };
    let (pool, settings, folder) = (kept.row.name.as_str(), &kept.settings, kept.folder.path());
    Script { pool, allocation, settings, folder, program }.text()
}

/// Resolves some time after a change; never once there is nobody to change anything.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending().await
    }
    tokio::time::sleep(TOGETHER).await;
}
