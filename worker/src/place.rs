//! Where this process runs, by its environment.

use vocabulary::{Label, Place};

use crate::home::machine_name;

/// Where this process runs: in which job of Slurm, as its environment says, and on which machine.
#[must_use]
pub fn this_place() -> Place {
    let place = within_slurm(|name| std::env::var(name).ok());
    Place { node: place.node.or_else(|| machine_name().parse().ok()), ..place }
}

/// What Slurm says of a task in its environment. A value that is not a label is left out: where a worker runs is for people,
/// and no reason to do without it.
fn within_slurm(variable: impl Fn(&str) -> Option<String>) -> Place {
    let label = |name| variable(name).and_then(|value| value.parse::<Label>().ok());
    let Some(job) = label("SLURM_JOB_ID") else { return Place::default() };
    // The form in which `squeue` lists a task of an array and `scancel` takes it.
    let of_array = label("SLURM_ARRAY_JOB_ID").zip(label("SLURM_ARRAY_TASK_ID"));
    let in_array = of_array.and_then(|(array, task)| format!("{array}_{task}").parse().ok());
    Place {
        job: Some(in_array.unwrap_or(job)),
        // Absent until the job is requeued.
        restart: variable("SLURM_RESTART_COUNT").map_or(Some(0), |count| count.parse().ok()),
        node: label("SLURMD_NODENAME"),
        ..Place::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> String {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let place = within_slurm(find);
        assert_eq!((place.pool.as_ref(), place.allocation.as_ref(), place.until_ms), (None, None, None));
        format!("{place}; restart {:?}", place.restart)
    }

    #[test]
    fn a_task_knows_its_job_its_restarts_and_its_machine() {
        assert_eq!(read(&[]), "; restart None");
        let job = ("SLURM_JOB_ID", "17");
        assert_eq!(read(&[job]), "job 17; restart Some(0)");
        let array = [job, ("SLURM_ARRAY_JOB_ID", "14"), ("SLURM_ARRAY_TASK_ID", "3"), ("SLURMD_NODENAME", "n1")];
        assert_eq!(read(&array), "job 14_3 on n1; restart Some(0)");
        let requeued = ("SLURM_RESTART_COUNT", "2");
        assert_eq!(read(&[job, requeued]), "job 17 (restart 2); restart Some(2)");
    }

    #[test]
    fn what_cannot_be_said_is_left_out() {
        let job = ("SLURM_JOB_ID", "17");
        assert_eq!(read(&[("SLURM_JOB_ID", "1 7"), ("SLURMD_NODENAME", "n1")]), "; restart None");
        assert_eq!(read(&[job, ("SLURM_RESTART_COUNT", "-1")]), "job 17; restart None");
        assert_eq!(read(&[job, ("SLURMD_NODENAME", "n\n1")]), "job 17; restart Some(0)");
        assert_eq!(read(&[job, ("SLURM_ARRAY_JOB_ID", "14"), ("SLURM_ARRAY_TASK_ID", "")]), "job 17; restart Some(0)");
    }
}
