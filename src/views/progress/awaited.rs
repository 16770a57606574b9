//! What pools do about a campaign without workers.

use proto::v1;
use vocabulary::text::counted;

/// What a campaign without a connected worker waits for, if there are pools.
pub(crate) fn awaited(pools: &[v1::Pool]) -> Option<String> {
    let said: Vec<String> = pools.iter().map(said).collect();
    (!said.is_empty()).then(|| format!("waiting: no worker is connected. {}", said.join("; ")))
}

fn said(pool: &v1::Pool) -> String {
    let v1::Pool { name, mode, reason, idle, allocations, .. } = pool;
    let in_state = |state: &'static str| allocations.iter().filter(move |known| known.state == state);
    let (waiting, running) = (in_state("pending").chain(in_state("submitting")).count(), in_state("running").count());
    let mut parts = Vec::new();
    if running > 0 {
        parts.push(format!("{} whose workers are not connected yet", counted(running as u64, "running job")));
    }
    if waiting > 0 {
        let why = in_state("pending").map(|known| known.reason.as_str()).find(|why| !why.is_empty());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        parts.push(format!("{} in the queue{why}", counted(waiting as u64, "job")));
    }
    if parts.is_empty() {
        let why = if mode == "active" { idle } else { reason };
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let state = if mode == "active" { "has no job".to_owned() } else { format!("is {mode}") };
        return format!("pool {name} {state}{why}");
    }
    format!("pool {name} has {}", parts.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(allocations: &[(&str, &str)]) -> v1::Pool {
        let allocation = |(state, reason): &(&str, &str)| v1::Allocation {
            state: (*state).to_owned(),
            reason: (*reason).to_owned(),
            ..v1::Allocation::default()
        };
        v1::Pool {
            name: "gpu".to_owned(),
            mode: "active".to_owned(),
            idle: "nothing is ready".to_owned(),
            allocations: allocations.iter().map(allocation).collect(),
            ..v1::Pool::default()
        }
    }

    #[test]
    fn a_campaign_without_workers_waits_for_the_jobs_of_its_pools() {
        assert_eq!(awaited(&[]), None);
        let of = |pool| awaited(&[pool]).expect("there is a pool");
        let jobs = of(pool(&[("running", ""), ("pending", "Resources"), ("submitting", "")]));
        assert_eq!(
            jobs,
            "waiting: no worker is connected. pool gpu has 1 running job whose workers are not connected yet and 2 jobs in the \
             queue (Resources)"
        );
        assert!(of(pool(&[])).ends_with("pool gpu has no job: nothing is ready"), "{}", of(pool(&[])));
        let paused = v1::Pool { mode: "paused".to_owned(), reason: "5 jobs ended early".to_owned(), ..pool(&[]) };
        assert!(of(paused.clone()).ends_with("pool gpu is paused: 5 jobs ended early"), "{}", of(paused));
    }
}
