//! Which connections are open, and which one makes room for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What to do with a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Take it in under this number, and close the other one, if any, to make room.
    Taken { number: u64, instead_of: Option<u64> },
    /// Refuse it: every connection has a call in progress.
    Refused,
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Register {
    most: usize,
    /// Counts arrivals and ends of calls: a smaller number is longer ago.
    clock: u64,
    open: BTreeMap<u64, Standing>,
    /// Connections that have made no call, by address, oldest first.
    fresh: BTreeMap<IpAddr, BTreeSet<u64>>,
    /// Connections between calls, by when the last call ended.
    idle: BTreeMap<u64, u64>,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Fresh { address: IpAddr },
    Idle { since: u64 },
    Busy { calls: u64 },
}

impl Register {
    /// A register for at most this many connections, and at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), clock: 0, open: BTreeMap::new(), fresh: BTreeMap::new(), idle: BTreeMap::new() }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// A connection arrives.
    pub(crate) fn arrive(&mut self, address: IpAddr) -> Arrival {
        let mut instead_of = None;
        if self.open.len() >= self.most {
            instead_of = self.first_to_go();
            let Some(first) = instead_of else { return Arrival::Refused };
            self.leave(first);
        }
        let number = self.tick();
        self.open.insert(number, Standing::Fresh { address });
        self.fresh.entry(address).or_default().insert(number);
        Arrival::Taken { number, instead_of }
    }

    /// A call begins. Ignored for a connection that was told to go.
    pub(crate) fn call_begins(&mut self, number: u64) {
        let Some(standing) = self.open.get(&number).copied() else { return };
        self.forget(number, standing);
        let calls = if let Standing::Busy { calls } = standing { calls + 1 } else { 1 };
        self.open.insert(number, Standing::Busy { calls });
    }

    pub(crate) fn call_ends(&mut self, number: u64) {
        let Some(Standing::Busy { calls }) = self.open.get(&number).copied() else { return };
        let mut standing = Standing::Busy { calls: calls - 1 };
        if calls == 1 {
            let since = self.tick();
            self.idle.insert(since, number);
            standing = Standing::Idle { since };
        }
        self.open.insert(number, standing);
    }

    /// A connection has ended.
    pub(crate) fn leave(&mut self, number: u64) {
        if let Some(standing) = self.open.remove(&number) {
            self.forget(number, standing);
        }
    }

    fn first_to_go(&self) -> Option<u64> {
        let crowd = self.fresh.values().max_by_key(|fresh| fresh.len());
        let fresh = crowd.and_then(|fresh| fresh.first());
        fresh.or_else(|| self.idle.values().next()).copied()
    }

    fn forget(&mut self, number: u64, standing: Standing) {
        match standing {
            Standing::Fresh { address } => {
                if let Some(fresh) = self.fresh.get_mut(&address) {
                    fresh.remove(&number);
                    if fresh.is_empty() {
                        self.fresh.remove(&address);
                    }
                }
            }
            Standing::Idle { since } => {
                self.idle.remove(&since);
            }
            Standing::Busy { .. } => {}
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    /// The number it came in under, and which one had to go.
    fn arrive(register: &mut Register, address: IpAddr) -> (u64, Option<u64>) {
        match register.arrive(address) {
            Arrival::Taken { number, instead_of } => (number, instead_of),
            Arrival::Refused => panic!("it is refused"),
        }
    }

    #[test]
    fn whoever_made_no_call_gives_way_first_and_the_oldest_of_them() {
        let mut register = Register::new(3);
        let (busy, _) = arrive(&mut register, HERE);
        register.call_begins(busy);
        let (idle, _) = arrive(&mut register, HERE);
        register.call_begins(idle);
        register.call_ends(idle);
        let (fresh, _) = arrive(&mut register, HERE);
        let (next, instead_of) = arrive(&mut register, HERE);
        assert_eq!(instead_of, Some(fresh));
        register.call_begins(next);
        let (last, instead_of) = arrive(&mut register, HERE);
        assert_eq!(instead_of, Some(idle));
        register.call_begins(last);
        assert_eq!(register.arrive(HERE), Arrival::Refused);
        assert_eq!(register.open(), 3);
    }

    #[test]
    fn a_crowd_from_one_address_displaces_only_its_own() {
        let mut register = Register::new(4);
        let (alone, _) = arrive(&mut register, THERE);
        let crowd: Vec<_> = (0..100).map(|_| arrive(&mut register, HERE)).collect();
        assert!(crowd.iter().all(|(_, instead_of)| *instead_of != Some(alone)));
        register.call_begins(alone);
        assert_eq!(register.open(), 4);
    }

    #[test]
    fn a_connection_is_busy_until_its_last_call_ends() {
        let mut register = Register::new(1);
        let (number, _) = arrive(&mut register, HERE);
        register.call_begins(number);
        register.call_begins(number);
        register.call_ends(number);
        assert_eq!(register.arrive(HERE), Arrival::Refused);
        register.call_ends(number);
        assert_eq!(arrive(&mut register, HERE).1, Some(number));
    }

    #[test]
    fn what_is_said_of_a_connection_that_had_to_go_changes_nothing() {
        let mut register = Register::new(1);
        let (gone, _) = arrive(&mut register, HERE);
        let (number, _) = arrive(&mut register, HERE);
        register.call_begins(gone);
        register.call_ends(gone);
        register.leave(gone);
        assert_eq!(register.open(), 1);
        register.leave(number);
        assert_eq!((register.open(), register.fresh.len(), register.idle.len()), (0, 0, 0));
    }
}
