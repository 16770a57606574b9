//! The batch script of an allocation.

use std::path::Path;
use std::time::Duration;

use scheduler::pool::batch::AllocationId;

use super::settings::SlurmSettings;
use crate::pools::batch::{ADDRESS, CA, TOKEN};

/// What a script is made of.
pub(super) struct Script<'a> {
    pub(super) pool: &'a str,
    pub(super) allocation: AllocationId,
    pub(super) settings: &'a SlurmSettings,
    /// The pool's folder, which has the token and the coordinator's address.
    pub(super) folder: &'a Path,
    pub(super) program: &'a str,
}

impl Script<'_> {
    /// The text, for bash. It holds no secret: Slurm keeps a copy that its administrators read.
    pub(super) fn text(&self) -> String {
        let Self { pool, allocation, settings, folder, program } = self;
        let folder = quoted(&folder.display().to_string());
        let program = quoted(program);
        let mark = format!("{:016x}", u64::from_be_bytes(allocation.mark()));
        let (time, workers) = (settings.time_seconds, settings.workers_per_allocation);
        let clusters = match settings.clusters.as_str() {
            "" => String::new(),
            clusters => format!(" -M {}", quoted(clusters)),
        };
        let ca = if settings.ca.is_empty() { String::new() } else { format!(" --tls-ca \"$folder/{CA}\"") };
        let device = match settings.device.as_str() {
            "" => String::new(),
            device => format!(" --device {}", quoted(device)),
        };
        // Of a pool with a minimum the coordinator alone decides who goes.
        let idle = match (settings.min, Duration::from_secs(settings.idle_seconds)) {
            (0, idle) => format!(" --idle-timeout {}", idle.as_secs()),
            _ => String::new(),
        };
        format!(
            r#"#!/bin/bash
# An allocation of the Windtunnel pool {pool}. Its coordinator made this script.
umask 077
folder={folder}
program={program}
for name in $(compgen -e WINDTUNNEL_); do unset "$name"; done
export WINDTUNNEL_POOL={pool} WINDTUNNEL_ALLOCATION={allocation}
# The coordinator may have moved since this job was submitted.
IFS= read -r coordinator < "$folder/{ADDRESS}" || {{ echo "cannot read $folder/{ADDRESS}" >&2; exit 78; }}

# Undelivered messages of a worker stay here, and the pool's next one on this node delivers them. Anyone can make such a folder in
# /tmp first: one that is not ours is not used.
scratch=${{SLURM_TMPDIR:-${{TMPDIR:-/tmp}}}}/windtunnel-{mark}
mkdir -m 700 "$scratch" 2>/dev/null || {{ [ -O "$scratch" ] && [ ! -L "$scratch" ]; }} || scratch=$(mktemp -d) || exit 1

# When Slurm ends this job, in seconds since 1970: what squeue says is left, or else the limit that was asked for.
left=$(squeue -h -j "$SLURM_JOB_ID"{clusters} -o %L 2>/dev/null | tail -n 1)
seconds={time}
if [[ $left =~ ^(([0-9]+)-)?(([0-9]+):)?([0-9]+):([0-9]+)$ ]]; then
    seconds=$(( 10#${{BASH_REMATCH[2]:-0}} * 86400 + 10#${{BASH_REMATCH[4]:-0}} * 3600 ))
    seconds=$(( seconds + 10#${{BASH_REMATCH[5]}} * 60 + 10#${{BASH_REMATCH[6]}} ))
fi
until=$(( $(date +%s) + seconds ))

# The tasks get every signal from Slurm or through srun; this shell only waits for them. --kill-on-bad-exit=0 lets the others train
# on when one fails. Slurm gives 75 where work was handed back in time, which is a good end.
trap : TERM USR1 CONT
srun --ntasks={workers} --kill-on-bad-exit=0 --export=ALL "$program" --data-dir "$scratch" --log info worker \
    --coordinator "$coordinator" --token-file "$folder/{TOKEN}"{ca}{device} \
    --threads "${{SLURM_CPUS_PER_TASK:-1}}" --until "$until"{idle} &
step=$!
while wait "$step"; status=$?; [ "$status" -gt 128 ] && kill -0 "$step" 2>/dev/null; do :; done
[ "$status" = 75 ] && exit 0
exit "$status"
"#
        )
    }
}

/// One word for the shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::pools::slurm::settings::sample;

    fn script(settings: &SlurmSettings) -> String {
        let (allocation, folder) = (AllocationId([0xab; 16]), Path::new("/shared/it's here"));
        Script { pool: "main", allocation, settings, folder, program: "/opt/wind tunnel" }.text()
    }

    fn bash(text: &str, args: &[&str]) -> (bool, String) {
        let mut shell = Command::new("bash");
        let mut shell = shell.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash starts");
        let mut input = shell.stdin.take().expect("it is piped");
        std::io::Write::write_all(&mut input, text.as_bytes()).expect("it is read");
        drop(input);
        let ended = shell.wait_with_output().expect("it ends");
        (ended.status.success(), String::from_utf8_lossy(&ended.stdout).into_owned())
    }

    #[test]
    fn bash_can_parse_it_and_it_holds_what_was_asked_for() {
        let settings =
            SlurmSettings { device: "flex".to_owned(), ca: "PEM".to_owned(), clusters: "east".to_owned(), ..sample() };
        let text = script(&settings);
        assert!(bash(&text, &["-n"]).0);
        for part in [
            "/windtunnel-abababababababab\n",
            "WINDTUNNEL_POOL=main WINDTUNNEL_ALLOCATION=abababababababababababababababab",
            r"folder='/shared/it'\''s here'",
            "--tls-ca \"$folder/ca.pem\" --device 'flex'",
            "-M 'east'",
            "--until \"$until\" --idle-timeout 300",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let kept = script(&SlurmSettings { min: 1, ..sample() });
        assert!(!kept.contains("--idle-timeout") && !kept.contains("--tls-ca") && !kept.contains("--device"));
    }

    #[test]
    fn the_time_left_is_understood_in_every_form_of_squeue() {
        let text = script(&sample());
        let from = text.find("seconds=3600").expect("the limit is there");
        let to = text.find("until=$((").expect("the end is computed");
        for (left, expected) in [
            ("", 3600),
            ("INVALID", 3600),
            ("UNLIMITED", 3600),
            ("0:00", 0),
            ("59:08", 59 * 60 + 8),
            ("09:08:07", 9 * 3600 + 8 * 60 + 7),
            ("2-00:00:01", 2 * 86_400 + 1),
        ] {
            let (is_success, said) = bash(&format!("left='{left}'\n{}echo $seconds\n", &text[from..to]), &[]);
            assert!(is_success);
            assert_eq!(said.trim(), expected.to_string(), "{left}");
        }
    }
}
