//! One function per event, one file per area. A handler checks the event, records the facts that follow, and orders the
//! rest. What a worker reports may be late, repeated or nonsense; it is only data.

mod attempts;
mod campaigns;
mod checkpoints;
mod time;
mod workers;

use attempts::Claim;
use workers::Newcomer;

use crate::effect::Effect;
use crate::event::Event;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;

impl Scheduler {
    /// Takes in an event at `now`, and returns what the caller has to do. `now` never goes back.
    #[must_use]
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        self.forgive_absence(now);
        match event {
            Event::CampaignSubmitted { plan } => self.on_campaign_submitted(plan, out),
            Event::GrowthRequested { growth } => self.on_growth_requested(growth, out),
            Event::WeightRequested { campaign, weight } => self.on_weight_requested(campaign, weight, out),
            Event::CampaignCancelled { campaign } => self.on_campaign_cancelled(campaign, out),
            Event::ForgetRequested { campaign } => self.on_forget_requested(now, campaign, out),
            Event::RetryRequested { campaign, diverged } => self.on_retry_requested(campaign, diverged, out),
            Event::WorkerJoined { worker, name, memory_bytes, can, running, holds, unfit } => {
                self.on_worker_joined(now, worker, Newcomer { name, memory_bytes, can, holds, unfit }, &running, out);
            }
            Event::WorkerUnfit { worker, reason } => self.workers.set_unfit(worker, Some(reason)),
            Event::WorkerFit { worker } => self.workers.set_unfit(worker, None),
            Event::HeartbeatReceived { worker, running, holds } => {
                self.on_heartbeat_received(now, worker, &running, holds, out);
            }
            Event::WorkerDisconnected { worker } => self.on_worker_disconnected(worker),
            Event::WorkerLeft { worker, in_order } => self.on_worker_left(now, worker, in_order, out),
            Event::CheckpointCommitted { worker, key, step } => {
                self.on_checkpoint_committed(now, Claim { worker, key }, step, out);
            }
            Event::StageCompleted { worker, key, result } => {
                self.on_stage_completed(now, Claim { worker, key }, result, out);
            }
            Event::StageDiverged { worker, key, step, loss } => {
                self.on_stage_diverged(now, Claim { worker, key }, step, loss, out);
            }
            Event::AttemptFailed { worker, key, reason, started } => {
                self.on_attempt_failed(now, Claim { worker, key }, reason, started, out);
            }
            Event::AttemptReleased { worker, key } => {
                self.on_attempt_released(now, Claim { worker, key }, out);
            }
            Event::StartUnusable { worker, key, of, step } => {
                self.on_start_unusable(now, Claim { worker, key }, of, step, out);
            }
            Event::StorageFailed { worker, key, reason } => {
                self.on_storage_failed(now, Claim { worker, key }, reason, out);
            }
            Event::CheckpointRefused { worker, key, reason, is_impossible } => {
                self.on_checkpoint_refused(now, Claim { worker, key }, reason, is_impossible, out);
            }
            Event::CheckpointDamaged { stage, step } => self.on_checkpoint_damaged(stage, step, out),
            Event::CollectionRequested { checkpoints } => self.on_collection_requested(&checkpoints, out),
            Event::RevocationConfirmed { worker, key } => {
                self.on_revocation_confirmed(now, Claim { worker, key }, out);
            }
            Event::DrainRequested => self.is_draining = true,
            Event::TimePassed => self.on_time_passed(now, out),
        }
        self.place(now, &mut effects);
        effects
    }
}
