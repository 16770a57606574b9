//! Reads what Slurm's commands say.

use std::time::Duration;

use scheduler::pool::batch::{AllocationId, Job, JobEnd, JobId, JobState};

use crate::pools::batch::one_line;

/// What `squeue` is asked for, as its `-o` spells it: number, state, reason, time used, time left, nodes, comment.
pub(super) const FORMAT: &str = "%A|%T|%r|%M|%L|%N|%k";

/// The comment of an allocation's job.
pub(super) fn comment(pool: &str, allocation: AllocationId) -> String {
    format!("windtunnel:{pool}:{allocation}")
}

/// The jobs among the lines of `squeue` that pools submitted. Other lines, such as a cluster's name, are passed over.
pub(super) fn jobs(output: &str) -> Vec<Job> {
    output.lines().filter_map(job).collect()
}

fn job(line: &str) -> Option<Job> {
    let [job, state, reason, used, left, nodes, comment] =
        line.trim().splitn(7, '|').collect::<Vec<_>>().try_into().ok()?;
    let (_, allocation) = comment.trim().strip_prefix("windtunnel:")?.rsplit_once(':')?;
    let is_one = !nodes.is_empty() && nodes.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    Some(Job {
        job: JobId(job.parse().ok()?),
        allocation: allocation.parse().ok()?,
        state: state_of(state, reason),
        reason: one_line(reason).chars().take(64).collect(),
        node: is_one.then(|| nodes.to_owned()),
        used: time(used).unwrap_or_default(),
        left: time(left),
    })
}

/// A state that is not known says that there is such a job, and nothing of its end.
fn state_of(state: &str, reason: &str) -> JobState {
    match state {
        "SPECIAL_EXIT" => JobState::Held,
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "RESV_DEL_HOLD" => {
            let reason = reason.to_ascii_lowercase();
            // After a prolog that failed: `launch failed requeued held`, in 22.05 with underscores.
            let is_held = (reason.contains("launch") && reason.contains("held")) || reason == "jobholdmaxrequeue";
            if is_held { JobState::Held } else { JobState::Pending }
        }
        "COMPLETED" => JobState::Ended(JobEnd::Completed),
        "FAILED" | "BOOT_FAIL" | "OUT_OF_MEMORY" => JobState::Ended(JobEnd::Failed),
        "CANCELLED" | "TIMEOUT" | "PREEMPTED" | "NODE_FAIL" | "DEADLINE" | "REVOKED" => {
            JobState::Ended(JobEnd::Stopped)
        }
        _ => JobState::Running,
    }
}

/// A time of Slurm: `DAYS-HOURS:MINUTES:SECONDS` without the parts at the front that are zero. `None` for `UNLIMITED`, `INVALID`
/// and `NOT_SET`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (days, clock) = text.trim().split_once('-').unwrap_or(("0", text.trim()));
    let mut seconds = 0_u64;
    let parts: Vec<&str> = clock.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let days: u64 = days.parse().ok()?;
    Some(Duration::from_secs(days.checked_mul(86_400)?.checked_add(seconds)?))
}

/// The job that `sbatch --parsable` says it submitted: `NUMBER` or `NUMBER;CLUSTER`.
pub(super) fn submitted(output: &str) -> Option<JobId> {
    let number = output.lines().find_map(|line| line.trim().split(';').next()?.parse().ok());
    number.map(JobId)
}

/// Whether what `sbatch` says leaves open if there is a job: it could not reach Slurm, or did not hear its answer.
pub(super) fn leaves_open(errors: &str) -> bool {
    const OPEN: [&str; 6] =
        ["timed out", "unable to contact", "zero bytes", "communication", "connection refused", "transport endpoint"];
    let errors = errors.to_ascii_lowercase();
    OPEN.iter().any(|open| errors.contains(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0001020304050607ffffffffffffffff";

    #[test]
    fn the_lines_of_pools_are_read_and_all_others_passed_over() {
        let output = format!(
            "CLUSTER: test\n\
             12|RUNNING|None|1:02|1-00:00:09|n1|windtunnel:main:{ID}\n\
             13|PENDING|Resources|0:00|59:00||windtunnel:main:{ID}\n\
             14|PENDING|launch_failed_requeued_held|0:00|59:00||windtunnel:a:b:{ID}\n\
             15|TIMEOUT|TimeLimit|1:00|0:00|n[1-2]|windtunnel:main:{ID}\n\
             16|FAILED|NonZeroExitCode|0:01|0:59|n2|windtunnel:main:{ID}\n\
             17|FROM_THE_FUTURE||0:01|UNLIMITED|n2|windtunnel:main:{ID}\n\
             18|RUNNING|None|1:02|1:00|n1|(null)\n\
             19|RUNNING|None|1:02|1:00|n1|windtunnel:main:{}\n\
             x|RUNNING|None|1:02|1:00|n1|windtunnel:main:{ID}\n\
             20|RUNNING\n",
            &ID[1..]
        );
        let jobs = jobs(&output);
        let short: Vec<_> = jobs.iter().map(|job| (job.job.0, job.state, job.node.as_deref())).collect();
        assert_eq!(
            short,
            [
                (12, JobState::Running, Some("n1")),
                (13, JobState::Pending, None),
                (14, JobState::Held, None),
                (15, JobState::Ended(JobEnd::Stopped), None),
                (16, JobState::Ended(JobEnd::Failed), Some("n2")),
                (17, JobState::Running, Some("n2")),
            ]
        );
        assert_eq!(jobs[0].used, Duration::from_secs(62));
        assert_eq!(jobs[0].left, Some(Duration::from_secs(86_409)));
        assert_eq!((jobs[1].reason.as_str(), jobs[5].left), ("Resources", None));
        assert_eq!(comment("main", jobs[0].allocation), format!("windtunnel:main:{ID}"));
    }

    #[test]
    fn times_are_read() {
        let seconds = |text| time(text).map(|time| time.as_secs());
        assert_eq!(seconds("0:00"), Some(0));
        assert_eq!(seconds("2-03:04:05"), Some(2 * 86_400 + 3 * 3600 + 4 * 60 + 5));
        for text in ["UNLIMITED", "INVALID", "NOT_SET", "", "5", "a:b", "1:2:3:4", "99999999999999999999:00"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn answers_of_sbatch_are_told_apart() {
        assert_eq!(submitted("123\n"), Some(JobId(123)));
        assert_eq!(submitted("note: hello\n123;east\n"), Some(JobId(123)));
        assert_eq!(submitted("Submitted\n"), None);
        assert!(leaves_open("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"));
        assert!(leaves_open(
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
        ));
        assert!(!leaves_open(
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination"
        ));
    }
}
