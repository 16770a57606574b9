//! Pools and their allocations.

use coordinator::store::{AllocationRow, PoolChange, PoolRow, StoreError};

use crate::scratch::{AT_MS, Scratch, conforming};

conforming! {
    pools_and_allocations_come_back_as_they_were,
    a_pool_goes_with_its_allocations,
    whoever_was_deposed_changes_no_pool,
}

fn pool(name: &str) -> PoolRow {
    let [name, kind, mark, mode] = [name, "slurm", "0011223344556677", "active"].map(str::to_owned);
    PoolRow { name, kind, mark, mode, reason: String::new(), settings: "{\"max\":4}".to_owned() }
}

fn allocation(number: u8, pool: &str, job: Option<u64>) -> AllocationRow {
    let (allocation, pool) = (format!("{number:032x}"), pool.to_owned());
    AllocationRow { allocation, pool, intended_at_ms: AT_MS + u64::from(number), job }
}

async fn change(scratch: &Scratch, changes: impl IntoIterator<Item = PoolChange>) {
    for change in changes {
        scratch.store.change_pools(scratch.term, &change).await.expect("it is written");
    }
}

async fn pools_and_allocations_come_back_as_they_were(scratch: Scratch) {
    let paused = PoolRow { mode: "paused".to_owned(), reason: "5 ended early: `no device`".to_owned(), ..pool("b") };
    let changes = [
        PoolChange::SetPool(pool("b")),
        PoolChange::SetPool(pool("a")),
        PoolChange::SetPool(paused.clone()),
        PoolChange::SetAllocation(allocation(2, "a", None)),
        PoolChange::SetAllocation(allocation(1, "b", None)),
        PoolChange::SetAllocation(allocation(2, "a", Some(u64::from(u32::MAX)))),
        PoolChange::SetAllocation(allocation(3, "a", Some(3))),
        PoolChange::RemoveAllocation(allocation(3, "a", None).allocation),
        PoolChange::RemoveAllocation("a stranger".to_owned()),
    ];
    change(&scratch, changes).await;
    let scratch = scratch.reopen().await;
    assert_eq!(scratch.store.pools().await.expect("they can be read"), [pool("a"), paused]);
    let allocations = [allocation(1, "b", None), allocation(2, "a", Some(u64::from(u32::MAX)))];
    assert_eq!(scratch.store.allocations().await.expect("they can be read"), allocations);
}

async fn a_pool_goes_with_its_allocations(scratch: Scratch) {
    let changes = [
        PoolChange::SetPool(pool("a")),
        PoolChange::SetPool(pool("b")),
        PoolChange::SetAllocation(allocation(1, "a", Some(1))),
        PoolChange::SetAllocation(allocation(2, "b", Some(2))),
        PoolChange::RemovePool("a".to_owned()),
    ];
    change(&scratch, changes).await;
    assert_eq!(scratch.store.pools().await.expect("they can be read"), [pool("b")]);
    assert_eq!(scratch.store.allocations().await.expect("they can be read"), [allocation(2, "b", Some(2))]);
}

async fn whoever_was_deposed_changes_no_pool(scratch: Scratch) {
    change(&scratch, [PoolChange::SetPool(pool("a"))]).await;
    let other = scratch.open_beside().await;
    other.begin_term().await.expect("it begins");
    for late in [PoolChange::RemovePool("a".to_owned()), PoolChange::SetAllocation(allocation(1, "a", None))] {
        let error = scratch.store.change_pools(scratch.term, &late).await.expect_err("it was deposed");
        assert!(matches!(error, StoreError::Deposed { .. }), "{error:?}");
    }
    assert_eq!(other.pools().await.expect("they can be read"), [pool("a")]);
    assert_eq!(other.allocations().await.expect("they can be read"), []);
    other.close().await;
}
