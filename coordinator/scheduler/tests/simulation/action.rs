//! What befalls the world.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::world::{CAMPAIGNS, GROWTHS};

/// Workers that can be alive at a time.
pub(crate) const SLOTS: usize = 3;

/// Something that befalls the world. What names a worker's slot does nothing where it makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Submit(usize),
    /// A campaign is submitted (again), with one more failure allowed.
    BePatient(usize),
    Cancel(usize),
    /// More is asked of a campaign, whatever has become of it.
    Grow(usize),
    Retry(usize),
    /// A process is started where none is, and dials; one that is connected dials anew, and what it said on the old
    /// connection is still on its way.
    Connect(usize),
    /// A connection breaks: the coordinator notices and what is on its way is lost, or it does not and it is late.
    Disconnect {
        slot: usize,
        noticed: bool,
    },
    /// A process ends without a word; somebody saw it, or nobody, and what it said last is late.
    Kill {
        slot: usize,
        noticed: bool,
    },
    /// A worker trains up to its next checkpoint.
    Train(usize),
    /// A worker takes in its next order.
    Obey(usize),
    /// The coordinator takes in a worker's next message, and the acknowledgement arrives or does not.
    Hear {
        slot: usize,
        acknowledged: bool,
    },
    /// As `Hear`, but the checkpoint that the message is about is not there.
    Refuse {
        slot: usize,
        is_impossible: bool,
    },
    /// The coordinator takes in the next message of a connection that is over, of the living or of the dead.
    HearLate(usize),
    /// A message that was heard before comes again, whatever has happened since.
    HearAgain(usize),
    Heartbeat(usize),
    Diverge(usize),
    Fail {
        slot: usize,
        started: bool,
    },
    /// A worker hands back what it has.
    Leave(usize),
    /// A worker cannot reach the storage, and hands back what it has.
    StorageFails(usize),
    /// A committed checkpoint is found to be damaged.
    Damage(usize),
    /// A worker cannot start from what it was told to.
    CannotStart(usize),
    /// Time goes by, and the coordinator listens.
    Wait(u64),
    /// The coordinator's clock jumps: it was stopped, or its machine suspended. It hears what has come meanwhile, or finds
    /// out first how late it is.
    Suspend {
        seconds: u64,
        deaf: bool,
    },
    /// The coordinator stores its ledger beside the log.
    Snapshot,
    /// The coordinator is killed over a worker's next message, before it committed or before it sent anything.
    Crash {
        slot: usize,
        committed: bool,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let slot = || 0..SLOTS;
    let campaign = || 0..CAMPAIGNS;
    prop_oneof![
        2 => campaign().prop_map(Action::Submit),
        1 => campaign().prop_map(Action::BePatient),
        1 => campaign().prop_map(Action::Cancel),
        1 => campaign().prop_map(Action::Retry),
        1 => (0..GROWTHS).prop_map(Action::Grow),
        4 => slot().prop_map(Action::Connect),
        2 => (slot(), any::<bool>()).prop_map(|(slot, noticed)| Action::Disconnect { slot, noticed }),
        2 => (slot(), any::<bool>()).prop_map(|(slot, noticed)| Action::Kill { slot, noticed }),
        12 => slot().prop_map(Action::Train),
        12 => slot().prop_map(Action::Obey),
        12 => (slot(), prop::bool::weighted(0.8)).prop_map(|(slot, acknowledged)| Action::Hear { slot, acknowledged }),
        2 => (slot(), prop::bool::weighted(0.2))
            .prop_map(|(slot, is_impossible)| Action::Refuse { slot, is_impossible }),
        3 => (0_usize..16).prop_map(Action::HearLate),
        2 => (0_usize..256).prop_map(Action::HearAgain),
        4 => slot().prop_map(Action::Heartbeat),
        1 => slot().prop_map(Action::Diverge),
        2 => (slot(), any::<bool>()).prop_map(|(slot, started)| Action::Fail { slot, started }),
        1 => slot().prop_map(Action::Leave),
        1 => slot().prop_map(Action::StorageFails),
        1 => (0_usize..16).prop_map(Action::Damage),
        1 => slot().prop_map(Action::CannotStart),
        3 => (1_u64..20).prop_map(Action::Wait),
        1 => (20_u64..70).prop_map(Action::Wait),
        1 => (1_u64..3600, any::<bool>()).prop_map(|(seconds, deaf)| Action::Suspend { seconds, deaf }),
        1 => Just(Action::Snapshot),
        1 => (slot(), any::<bool>()).prop_map(|(slot, committed)| Action::Crash { slot, committed }),
    ]
}

/// A history.
pub(crate) fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..250)
}
