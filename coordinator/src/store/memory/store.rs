//! The contract, method by method.

use std::sync::Arc;

use async_trait::async_trait;
use scheduler::{Fact, Snapshot};
use vocabulary::{AttemptKey, CampaignId, Rows, StageKey, WorkerId};

use super::MemoryStore;
use super::derived::{COMPLETED, Derived};
use super::state::refused;
use crate::store::snapshot::KEPT;
use crate::store::{
    AllocationRow, AttemptRow, CampaignRow, Commit, CommittedCheckpoint, CurvePoint, DerivedCheck, Differences,
    LogCheck, LogPosition, PackedSnapshot, PoolChange, PoolRow, RecipeText, Speaker, Store, StoreError, Term, TokenRow,
    UnusableSnapshot, WholeAttempt,
};

#[async_trait]
impl Store for MemoryStore {
    async fn begin_term(&self) -> Result<Term, StoreError> {
        let mut state = self.state();
        state.term += 1;
        Ok(Term(state.term))
    }

    async fn commit(&self, term: Term, commit: &Commit) -> Result<(), StoreError> {
        let mut state = self.state();
        assert!(!state.is_broken, "broken for a test");
        term.expect_current(state.term)?;
        let mut next = state.clone();
        next.take_in(commit)?;
        *state = next;
        Ok(())
    }

    async fn facts_after(&self, position: LogPosition) -> Result<Vec<Fact>, StoreError> {
        let rows = self.state().read_log(position)?;
        Ok(rows.into_iter().map(|(_, fact)| fact).collect())
    }

    async fn check_log(&self) -> Result<LogCheck, StoreError> {
        let rows = self.state().read_log(LogPosition::default())?.len() as u64;
        Ok(LogCheck { rows, unchained: 0 })
    }

    async fn save_snapshot(
        &self,
        term: Term,
        sequence: u64,
        _at_ms: u64,
        packed: &PackedSnapshot,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        term.expect_current(state.term)?;
        let Some(chain) = state.chain_of(sequence) else { return Ok(()) };
        state.snapshots.insert(sequence, (chain, Arc::new(packed.clone())));
        while state.snapshots.len() > KEPT {
            state.snapshots.pop_first();
        }
        Ok(())
    }

    async fn delete_snapshot(&self, term: Term, sequence: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        term.expect_current(state.term)?;
        state.snapshots.remove(&sequence);
        Ok(())
    }

    async fn snapshots(&self) -> Result<Vec<(LogPosition, Result<Snapshot, UnusableSnapshot>)>, StoreError> {
        let state = self.state();
        let read = |(sequence, (chain, packed)): (&u64, &(_, Arc<PackedSnapshot>))| {
            let is_of_this_log = state.chain_of(*sequence) == Some(*chain);
            (LogPosition { sequence: *sequence, chain: *chain }, packed.unpack(is_of_this_log))
        };
        Ok(state.snapshots.iter().rev().map(read).collect())
    }

    async fn campaign_rows(&self) -> Result<Vec<CampaignRow>, StoreError> {
        let state = self.state();
        let row = |(campaign, at_ms): (&_, &_)| CampaignRow { campaign: *campaign, submitted_at_ms: *at_ms };
        Ok(state.derived.campaigns.iter().map(row).collect())
    }

    async fn recipe(&self, campaign: CampaignId) -> Result<Option<RecipeText>, StoreError> {
        Ok(self.state().recipes.get(&campaign).cloned())
    }

    async fn curve(&self, stage: StageKey, from: u64, limit: usize) -> Result<Vec<CurvePoint>, StoreError> {
        let state = self.state();
        let curve = state.curves.get(&stage).into_iter().flat_map(|curve| curve.range(from..));
        Ok(curve.map(|(_, point)| point.clone()).take(limit).collect())
    }

    async fn rows(&self, stage: StageKey) -> Result<Rows, StoreError> {
        Ok(self.state().rows.get(&stage).map(|rows| (**rows).clone()).unwrap_or_default())
    }

    async fn checkpoint(&self, stage: StageKey, step: u64) -> Result<Option<CommittedCheckpoint>, StoreError> {
        Ok(self.state().checkpoints.get(&(stage, step)).map(|(checkpoint, _)| checkpoint.clone()))
    }

    async fn last_checkpoint(&self, stage: StageKey) -> Result<Option<CommittedCheckpoint>, StoreError> {
        Ok(self.state().checkpoints_of(stage).next_back().cloned())
    }

    async fn checkpoints(&self) -> Result<Vec<(CommittedCheckpoint, u64)>, StoreError> {
        Ok(self.state().checkpoints.values().cloned().collect())
    }

    async fn deletions(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.state().deletions.iter().cloned().collect())
    }

    async fn last_sequence(&self, worker: WorkerId) -> Result<Option<u64>, StoreError> {
        Ok(self.state().streams.get(&worker).map(|stream| stream.last_sequence))
    }

    async fn speaker(&self, worker: WorkerId) -> Result<Speaker, StoreError> {
        Ok(self.state().streams.get(&worker).map(|stream| stream.speaker.clone()).unwrap_or_default())
    }

    async fn add_token(&self, row: &TokenRow) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.tokens.contains_key(&row.token) {
            return Err(refused("tokens", format!("there is a token {} already", row.token)));
        }
        state.tokens.insert(row.token.clone(), row.clone());
        Ok(())
    }

    async fn token(&self, token: &str) -> Result<Option<TokenRow>, StoreError> {
        Ok(self.state().tokens.get(token).cloned())
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let mut tokens: Vec<TokenRow> = self.state().tokens.values().cloned().collect();
        tokens.sort_by_key(|row| row.created_at_ms);
        Ok(tokens)
    }

    async fn revoke_token(&self, token: &str, at_ms: u64) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(row) = state.tokens.get_mut(token).filter(|row| row.revoked_at_ms.is_none()) else { return Ok(false) };
        row.revoked_at_ms = Some(at_ms);
        Ok(true)
    }

    async fn change_pools(&self, term: Term, change: &PoolChange) -> Result<(), StoreError> {
        let mut state = self.state();
        term.expect_current(state.term)?;
        match change.clone() {
            PoolChange::SetPool(row) => {
                state.pools.insert(row.name.clone(), row);
            }
            PoolChange::RemovePool(name) => {
                state.pools.remove(&name);
                state.allocations.retain(|_, row| row.pool != name);
            }
            PoolChange::SetAllocation(row) => {
                state.allocations.insert(row.allocation.clone(), row);
            }
            PoolChange::RemoveAllocation(allocation) => {
                state.allocations.remove(&allocation);
            }
        }
        Ok(())
    }

    async fn pools(&self) -> Result<Vec<PoolRow>, StoreError> {
        Ok(self.state().pools.values().cloned().collect())
    }

    async fn allocations(&self) -> Result<Vec<AllocationRow>, StoreError> {
        Ok(self.state().allocations.values().cloned().collect())
    }

    async fn campaign_facts(&self) -> Result<Vec<Fact>, StoreError> {
        let rows = self.state().read_log(LogPosition::default())?;
        let is_wanted = |fact: &Fact| matches!(fact, Fact::CampaignAccepted { .. } | Fact::CampaignGrown { .. });
        Ok(rows.into_iter().map(|(_, fact)| fact).filter(is_wanted).collect())
    }

    async fn attempts(&self, campaign: CampaignId) -> Result<Vec<AttemptRow>, StoreError> {
        let state = self.state();
        let derived = &state.derived;
        let is_of_campaign = |key: &AttemptKey| derived.campaign_stages.contains(&(campaign, key.stage));
        let rows = derived.attempts.iter().filter(|(key, _)| is_of_campaign(key)).map(|(key, attempt)| AttemptRow {
            key: *key,
            worker_name: attempt.name.clone(),
            started_at_ms: attempt.started_at_ms,
            ended_at_ms: attempt.ended.as_ref().map(|(at_ms, _)| *at_ms),
        });
        Ok(rows.collect())
    }

    async fn whole_attempts(&self) -> Result<Vec<WholeAttempt>, StoreError> {
        let state = self.state();
        let attempts = &state.derived.attempts;
        let is_only_one = |stage: &StageKey| attempts.keys().filter(|key| key.stage == *stage).count() == 1;
        let whole = attempts.iter().filter_map(|(AttemptKey { stage, .. }, row)| {
            let (ended_at_ms, outcome) = row.ended.as_ref()?;
            let is_whole = outcome == COMPLETED && is_only_one(stage);
            is_whole.then_some(WholeAttempt {
                stage: *stage,
                started_at_ms: row.started_at_ms,
                ended_at_ms: *ended_at_ms,
            })
        });
        Ok(whole.collect())
    }

    async fn check_derived(&self, differences: Differences) -> Result<DerivedCheck, StoreError> {
        let mut state = self.state();
        let mut derived = Derived::default();
        for (at_ms, fact) in state.read_log(LogPosition::default())? {
            derived.follow(at_ms, &fact)?;
        }
        let check = state.derived.compare(&derived);
        if let Differences::Rewrite(term) = differences {
            term.expect_current(state.term)?;
            state.derived = derived;
        }
        Ok(check)
    }

    async fn check_engine(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn close(&self) {}
}
