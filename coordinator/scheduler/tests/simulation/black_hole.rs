//! One worker that fails whatever it is given, in every way there is, among others that train: nothing that they could train
//! may be given up, and every campaign has to end.

use proptest::prelude::*;
use scheduler::{CampaignPhase, StageState};

use crate::action::{Action, SLOTS};
use crate::world::{CAMPAIGNS, World};

/// Where the broken worker is.
const BROKEN: usize = 0;

/// Rounds until a campaign has to be over: many times what it takes.
const ROUNDS: usize = 2_000;

/// What the broken worker does in a round with what it has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    CannotBegin,
    Fails,
    Dies,
    StorageFails,
    CannotStart,
    /// It holds on to it for a round more.
    Waits,
    /// It does so while the coordinator is replaced.
    Restart,
}

pub(crate) fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::CannotBegin),
        4 => Just(Fate::Fails),
        4 => Just(Fate::Dies),
        1 => Just(Fate::StorageFails),
        1 => Just(Fate::CannotStart),
        1 => Just(Fate::Waits),
        1 => Just(Fate::Restart),
    ];
    prop::collection::vec(fate, 1..40)
}

impl Fate {
    fn action(self) -> Action {
        let slot = BROKEN;
        match self {
            Self::CannotBegin => Action::Fail { slot, started: false },
            Self::Fails => Action::Fail { slot, started: true },
            Self::Dies => Action::Kill { slot, noticed: true },
            Self::StorageFails => Action::StorageFails(slot),
            Self::CannotStart => Action::CannotStart(slot),
            Self::Waits => Action::Heartbeat(slot),
            Self::Restart => Action::Crash { slot: BROKEN, committed: false },
        }
    }
}

/// Plays rounds with these fates, over and over, until everything is trained. The others train a stretch every `pace` rounds.
///
/// # Errors
/// The invariant that does not hold on the way, or what is open or given up at the end.
pub(crate) fn play(fates: &[Fate], pace: usize) -> Result<(), String> {
    let mut world = World::new(SLOTS);
    let outcome = rounds(&mut world, fates, pace);
    outcome.map_err(|violation| format!("{violation}\nwhat happened:\n  {}", world.history.join("\n  ")))
}

fn rounds(world: &mut World, fates: &[Fate], pace: usize) -> Result<(), String> {
    (0..CAMPAIGNS).map(Action::Submit).try_for_each(|action| world.act(&action))?;
    // A worker that holds on to a stage forever is another fault.
    for (round, fate) in (0..ROUNDS).zip(fates.iter().chain([&Fate::Dies]).cycle()) {
        // The broken one is always the first to be free.
        for slot in 0..SLOTS {
            if !world.is_connected(slot) {
                world.act(&Action::Connect(slot))?;
            }
            world.act(&Action::Heartbeat(slot))?;
            hear(world, slot)?;
            for _ in 0..4 {
                world.act(&Action::Obey(slot))?;
            }
            if slot == BROKEN {
                world.act(&fate.action())?;
            } else if (round + slot) % pace == 0 {
                world.act(&Action::Train(slot))?;
            }
            hear(world, slot)?;
        }
        world.act(&Action::Wait(2))?;
        for (work, state) in world.scheduler().ledger().nodes() {
            if let StageState::Failed { limit } = state {
                return Err(format!("{} is given up ({limit}), and the others could train it", work.key().short()));
            }
        }
        if world.scheduler().campaigns().all(|campaign| campaign.phase == CampaignPhase::Ended) {
            return Ok(());
        }
    }
    Err("not everything is trained".to_owned())
}

fn hear(world: &mut World, slot: usize) -> Result<(), String> {
    (0..6).try_for_each(|_| world.act(&Action::Hear { slot, acknowledged: true }))
}
