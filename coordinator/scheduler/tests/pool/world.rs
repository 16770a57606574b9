//! A pool as it really is, and what its keeper knows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use scheduler::Timestamp;
use scheduler::pool::{
    AllocationNumber, AllocationState, Allocations, Demand, Ending, Order, PoolSettings, Seen, scale,
};
use vocabulary::WorkerId;

use super::{BACKOFF, SOUND};

/// Something that happens in the world, or that the keeper does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Time passes.
    Wait(u64),
    /// The pool sees an allocation end.
    End(u32, Ending),
    /// An allocation is gone, and the pool does not say so.
    Vanish(u32),
    /// A worker gets a stage, or loses it.
    Work(u32, bool),
    /// So many stages are ready.
    Ready(usize),
    /// The pool refuses submissions, or takes them again.
    Refuse(bool),
    /// The keeper observes the pool.
    Look,
    /// The keeper ends, and another one begins.
    Restart,
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let number = 1_u32..6;
    let ending = prop_oneof![9 => Just(Ending::Replaceable), 1 => Just(Ending::Hopeless)];
    prop_oneof![
        3 => (0_u64..20_000).prop_map(Action::Wait),
        2 => (number.clone(), ending).prop_map(|(number, ending)| Action::End(number, ending)),
        1 => number.clone().prop_map(Action::Vanish),
        3 => (number, any::<bool>()).prop_map(|(number, works)| Action::Work(number, works)),
        2 => (0_usize..8).prop_map(Action::Ready),
        1 => any::<bool>().prop_map(Action::Refuse),
        4 => Just(Action::Look),
        1 => Just(Action::Restart),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = PoolSettings> {
    (0_u32..5, 0_u32..5, prop::option::of(1_u64..30)).prop_map(|(one, other, idle)| PoolSettings {
        min: one.min(other),
        idle_time: idle.map(Duration::from_secs),
        ..PoolSettings::fixed(one.max(other), BACKOFF, SOUND)
    })
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) allocations: Allocations,
    settings: PoolSettings,
    demand: Demand,
    there: BTreeMap<AllocationNumber, WorkerId>,
    released: BTreeSet<AllocationNumber>,
    ended: BTreeMap<AllocationNumber, Ending>,
    refuses: bool,
    submissions: u64,
}

impl World {
    pub(crate) fn new(settings: PoolSettings) -> Self {
        Self {
            now: Timestamp(0),
            allocations: Allocations::default(),
            settings,
            demand: Demand::default(),
            there: BTreeMap::new(),
            released: BTreeSet::new(),
            ended: BTreeMap::new(),
            refuses: false,
            submissions: 0,
        }
    }

    pub(crate) fn act(&mut self, action: &Action) {
        match *action {
            Action::Wait(milliseconds) => self.now = self.now + Duration::from_millis(milliseconds),
            Action::End(number, ending) => self.end(AllocationNumber(number), Some(ending)),
            Action::Vanish(number) => self.end(AllocationNumber(number), None),
            Action::Work(number, works) => match self.there.get(&AllocationNumber(number)) {
                Some(worker) if works => {
                    self.demand.busy.insert(*worker);
                }
                Some(worker) => {
                    self.demand.busy.remove(worker);
                }
                None => {}
            },
            Action::Ready(stages) => self.demand.ready = BTreeMap::from([(1, stages)]),
            Action::Refuse(refuses) => self.refuses = refuses,
            Action::Look => self.look(),
            Action::Restart => {
                self.allocations = Allocations::default();
                self.ended.clear();
                self.look();
            }
        }
        self.allocations.note_busy(self.now, &self.demand.busy);
    }

    fn end(&mut self, number: AllocationNumber, ending: Option<Ending>) {
        let Some(worker) = self.there.remove(&number) else { return };
        self.demand.busy.remove(&worker);
        self.released.remove(&number);
        self.ended.extend(ending.map(|ending| (number, ending)));
    }

    fn look(&mut self) {
        let ended = std::mem::take(&mut self.ended).into_iter().map(|(number, ending)| (number, Seen::Ended(ending)));
        let there = self.there.iter().map(|(number, worker)| (*number, Seen::Alive { worker: *worker }));
        // Of a number that ended and is there again, the one that is there counts.
        let seen = ended.chain(there).collect();
        self.allocations.observed(self.now, &seen, &self.settings);
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        scale(self.now, &self.demand, &self.allocations, &self.settings)
    }

    pub(crate) fn carry_out(&mut self, orders: &[Order]) {
        for order in orders {
            match *order {
                Order::Submit(number) if self.refuses => {
                    self.allocations.not_submitted(self.now, number, &self.settings);
                }
                Order::Submit(number) => {
                    self.submissions += 1;
                    let worker = WorkerId::from_bytes(self.submissions.to_le_bytes());
                    assert!(number.0 <= self.settings.max, "{number} is above the maximum");
                    assert_eq!(self.there.insert(number, worker), None, "{number} is there already");
                    self.allocations.submitted(self.now, number, worker);
                }
                Order::Release(number) => {
                    if self.there.contains_key(&number) {
                        self.released.insert(number);
                    }
                    self.allocations.released(number);
                }
            }
        }
    }

    pub(crate) fn alive(&self) -> BTreeSet<AllocationNumber> {
        self.there.keys().copied().collect()
    }

    pub(crate) fn abandoned(&self) -> usize {
        self.allocations.iter().filter(|(_, state)| *state == AllocationState::Abandoned).count()
    }

    /// Lets time pass until nothing is ordered any more, with nothing to do for anybody. What is released goes.
    pub(crate) fn settle(&mut self) {
        (self.refuses, self.demand) = (false, Demand::default());
        for _ in 0..200 {
            for number in std::mem::take(&mut self.released) {
                self.end(number, Some(Ending::Replaceable));
            }
            self.act(&Action::Look);
            let orders = self.orders();
            self.carry_out(&orders);
            match self.allocations.next_deadline(self.now, &self.settings) {
                Some(deadline) => self.now = deadline,
                None if orders.is_empty() && self.released.is_empty() => break,
                None => {}
            }
        }
    }
}
