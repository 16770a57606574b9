//! What people ask of the pools.

use scheduler::pool::batch::{AllocationId, Mode};
use tracing::{info, warn};
use vocabulary::text::one_line;

use super::error::BatchError;
use super::keeper::{Deposed, Keeper, now};
use super::pool::Kept;
use super::service::{Added, Change, Request, Surroundings};
use super::settings::Settings;
use super::view::BatchPoolView;
use crate::auth::{Scope, fresh_token, token_id};
use crate::clock::unix_ms;
use crate::store::{PoolChange, PoolRow, TokenRow};

impl Keeper {
    pub(super) async fn meet(&mut self, request: Request) {
        // Whoever asked may be gone.
        match request {
            Request::Add { name, settings, reply } => drop(reply.send(self.add(name, *settings).await)),
            Request::Change { name, change, reply } => drop(reply.send(self.change(&name, change).await)),
        }
    }

    async fn add(&mut self, name: String, settings: Settings) -> Result<Added, BatchError> {
        if self.pools.contains_key(&name) {
            return Err(BatchError::Taken { name });
        }
        let mark: [u8; 8] = rand::random();
        let row = PoolRow {
            name: name.clone(),
            kind: settings.kind().to_owned(),
            mark: format!("{:016x}", u64::from_be_bytes(mark)),
            mode: "active".to_owned(),
            reason: String::new(),
            settings: settings.json(),
        };
        let Surroundings { grounds, driver, store } = &self.surroundings;
        let kept = Kept::restore(row.clone(), &[], grounds).expect("it was made here");
        kept.folder.make(&kept.row.mark)?;
        let example = AllocationId::of(mark, [0; 8]);
        let script = kept.system.script(example);
        let said = kept.system.test(example).await.inspect_err(|_| kept.folder.discard())?;
        store.change_pools(driver.term(), &PoolChange::SetPool(row)).await?;
        self.pools.insert(name.clone(), kept);
        self.equip(&name).await?;
        if let Err(error) = self.pools[&name].system.equip().await {
            warn!(pool = name, error = one_line(&error), "the jobs of a pool cannot be given what they need yet");
        }
        info!(pool = name, "a pool is added");
        self.queues.hurry();
        // Before the reply, so that the next query sees the pool.
        self.publish();
        let kept = &self.pools[&name];
        Ok(Added { view: kept.view(now()), said, script })
    }

    /// Writes what a pool's jobs need to find the coordinator and to be let in into the pool's folder.
    pub(super) async fn equip(&mut self, name: &str) -> Result<(), BatchError> {
        let Some(kept) = self.pools.get(name) else { return Ok(()) };
        let Surroundings { grounds, store, .. } = &self.surroundings;
        kept.folder.make(&kept.row.mark)?;
        let (dial, ca) = (kept.settings.dial(), kept.settings.ca());
        kept.folder.write_address(if dial.is_empty() { &grounds.dial } else { dial })?;
        if !ca.is_empty() {
            kept.folder.write_ca(ca)?;
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

    async fn change(&mut self, name: &str, change: Change) -> Result<BatchPoolView, BatchError> {
        let unknown = || BatchError::Unknown { name: name.to_owned() };
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
        self.queues.hurry();
        // Before the reply, so that the next query sees the change.
        self.publish();
        Ok(self.pools[name].view(now()))
    }

    /// Removes a pool that is to go, once nothing of it is left.
    pub(super) async fn remove_if_over(&mut self, name: &str) -> Result<(), Deposed> {
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
            if let Err(error) = kept.system.close().await {
                warn!(pool = name, error = one_line(&error), "what a pool had in its batch system cannot be deleted");
            }
        }
        info!(pool = name, "a pool is removed");
        Ok(())
    }
}
