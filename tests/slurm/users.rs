//! Workers of another user than the coordinator's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};

use crate::engine::Engine;
use crate::site::{PROGRAM, SERVE, Site};
use crate::support::process::wait_for;
use crate::support::{Place, by};

/// `nobody` on every Linux, and its group.
const NOBODY: u32 = 65_534;

fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", program]);
    command
}

/// The program in a place, so that the group of a folder can write what it makes there.
fn for_the_group(place: &Place, args: &[&str]) -> Command {
    let with_mask = [&["-c", "umask 002; exec \"$0\" \"$@\"", PROGRAM], args].concat();
    by("sh", &place.command(&with_mask))
}

/// Whether this test can take on another user.
fn can_change_users() -> bool {
    let ran = as_nobody("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

/// The worker has a token, and a storage that its group can write; where its folder would be, somebody else has one.
#[test]
fn a_worker_of_another_user_trains_a_campaign_and_the_folder_that_somebody_prepared_for_it_is_left_alone() {
    if !can_change_users() {
        eprintln!("skipped: only root can act as another user");
        return;
    }
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let mode =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    let storage = place.path("storage");
    fs::create_dir(&storage).expect("made");
    chown(&storage, None, Some(NOBODY)).expect("is root");
    mode(&storage, 0o2775);
    // Whatever the coordinator makes there, the group can write.
    let at = storage.display().to_string();
    let mut serve = for_the_group(&place, &[SERVE.as_slice(), &["--storage", &at]].concat());
    let site = Site::start_by(&engine, &place, &mut serve);
    let token = place.run(&["token", "create", "--scope", "worker", "--name", "nobody"]).expect(0).stdout;
    let token_file = place.write("token", token.trim());
    chown(&token_file, Some(NOBODY), Some(NOBODY)).expect("is root");
    mode(&token_file, 0o600);
    let submitted = for_the_group(&place, &["submit", "smoke.toml"]).output().expect("starts");
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));

    let jobs = place.path("jobs");
    fs::create_dir_all(jobs.join("windtunnel-nobody")).expect("made");
    let mut sbatch = as_nobody("sbatch");
    sbatch.env("WINDTUNNEL_PROGRAM", place.program_for_everybody());
    sbatch.env("WINDTUNNEL_TOKEN_FILE", &token_file).env("USER", "nobody").env("HOME", &jobs);
    let pilot = site.submit(sbatch, &site.url, &[], "--name of-nobody");
    let ran = place.run(&["watch", "smoke"]);
    assert_eq!(ran.code, Some(0), "{}\n{}\n{}", ran.stderr, pilot.log(), site.log());
    place.run(&["report", "smoke"]).expect(0);
    assert!(site.log().contains("name=\"of-nobody\""), "{}", site.log());
    assert_eq!(fs::read_dir(jobs.join("windtunnel-nobody")).expect("is there").count(), 0);
    let written = wait_for("a checkpoint", || fs::read_dir(storage.join("checkpoints")).ok()?.next()?.ok());
    assert_eq!(written.metadata().expect("is there").uid(), NOBODY);
    engine.run("scancel", &[&pilot.id]);

    let local = Place::new();
    local.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), local.points("out/smoke"));
}
