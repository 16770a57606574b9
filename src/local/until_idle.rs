//! A coordinator that ends once it has nothing left to do.

use std::time::Duration;

use client::{CallError, Campaigns};
use proto::v1::{CampaignPhase, Pool, PoolChange};
use vocabulary::text::one_line;

use crate::logging::say;

/// Between two looks.
const BETWEEN: Duration = Duration::from_secs(1);

/// Idle looks in a row before stopping, so that `watch` sees the campaign's end before the coordinator is gone.
const LOOKS: u32 = 5;

/// What one look says.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// What to do with which pools.
    changes: Vec<(String, PoolChange)>,
    /// Whether nothing is left: no open campaign, and no allocation of a pool.
    is_idle: bool,
}

/// Pools are drained while no campaign is open, so that their workers go at once, and resumed while one is. The first look also
/// resumes pools that were paused: whoever starts the coordinator anew has fixed what paused them.
fn seen(is_open: bool, is_first: bool, pools: &[Pool]) -> Seen {
    let change = |pool: &Pool| match (pool.mode.as_str(), is_open) {
        ("draining", true) => Some(PoolChange::Resume),
        ("paused", true) if is_first => Some(PoolChange::Resume),
        ("active" | "paused", false) => Some(PoolChange::Drain),
        _ => None,
    };
    let changes = pools.iter().filter_map(|pool| Some((pool.name.clone(), change(pool)?))).collect();
    Seen { changes, is_idle: !is_open && pools.iter().all(|pool| pool.allocations.is_empty()) }
}

/// Resolves once no campaign is open and no pool has an allocation, and says so.
pub(crate) async fn until_idle(mut campaigns: Campaigns) {
    let (mut looks, mut is_first, mut said) = (0, true, String::new());
    loop {
        looks = match look(&mut campaigns, is_first).await {
            Ok(is_idle) => {
                (is_first, said) = (false, String::new());
                if is_idle { looks + 1 } else { 0 }
            }
            Err(error) => {
                let why = one_line(&error);
                if why != said {
                    say(&format!("cannot tell whether work is left: {why}"));
                    said = why;
                }
                0
            }
        };
        // At once: what is submitted after the last look would be left behind.
        if looks >= LOOKS {
            break;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    say("no campaign is open and no pool has a job: stopping");
}

async fn look(campaigns: &mut Campaigns, is_first: bool) -> Result<bool, CallError> {
    let is_open = campaigns.list().await?.iter().any(|campaign| campaign.phase() == CampaignPhase::Open);
    let Seen { changes, is_idle } = seen(is_open, is_first, &campaigns.list_pools().await?);
    for (name, change) in changes {
        campaigns.change_pool(&name, change).await?;
    }
    Ok(is_idle)
}

#[cfg(test)]
mod tests {
    use proto::v1::Allocation;

    use super::*;

    fn pool(mode: &str, allocations: usize) -> Pool {
        let allocations = vec![Allocation::default(); allocations];
        Pool { name: "p".to_owned(), mode: mode.to_owned(), allocations, ..Pool::default() }
    }

    fn changes(change: PoolChange) -> Vec<(String, PoolChange)> {
        vec![("p".to_owned(), change)]
    }

    #[test]
    fn pools_are_drained_at_the_end_and_resumed_when_something_else_is_submitted() {
        let looks = |mode, is_open, is_first| seen(is_open, is_first, &[pool(mode, 1)]);
        assert_eq!(looks("active", true, false), Seen { changes: Vec::new(), is_idle: false });
        assert_eq!(looks("active", false, false), Seen { changes: changes(PoolChange::Drain), is_idle: false });
        assert_eq!(looks("draining", false, false), Seen { changes: Vec::new(), is_idle: false });
        assert_eq!(looks("draining", true, false).changes, changes(PoolChange::Resume));
        assert_eq!(looks("paused", true, true).changes, changes(PoolChange::Resume), "a new start");
        assert_eq!(looks("paused", true, false).changes, [], "it was paused meanwhile");
        assert_eq!(looks("removing", false, false).changes, []);
    }

    #[test]
    fn it_is_idle_without_campaigns_and_jobs_alone() {
        assert!(seen(false, true, &[]).is_idle);
        assert!(seen(false, false, &[pool("draining", 0)]).is_idle);
        assert!(!seen(true, false, &[pool("active", 0)]).is_idle);
        assert!(!seen(false, false, &[pool("draining", 0), pool("removing", 2)]).is_idle);
    }
}
