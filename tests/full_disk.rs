//! Full disks: nothing committed is lost, and the campaign continues once there is space.
//!
//! Each test mounts a small file system of its own. Where that is not permitted, it prints so and passes.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::process::{Running, process_with, send, wait_for};
use support::{Place, one_at_a_time, undisturbed};

const RUN: [&str; 6] = ["run", "smoke.toml", "--workers", "2", "--checkpoint-interval", "0.1"];

/// A file system in memory, for as long as this lives.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one, where that is permitted.
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).expect("made");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|ran| ran.status.success()) {
            return Some(Self { at });
        }
        eprintln!("left out: no file system can be mounted here");
        None
    }

    /// Takes all the room there is, and gives back what is to be removed for it to be there again.
    fn fill(&self) -> PathBuf {
        let path = self.at.join("filler");
        let mut file = File::create(&path).expect("made");
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()), "it is unmounted");
    }
}

fn wait_for_a_checkpoint(place: &Place) {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    wait_for("a first checkpoint", || {
        let stages = folders(&place.path("data/checkpoints"));
        let attempts = stages.iter().flat_map(|stage| folders(stage));
        attempts.map(|folder| folder.join("manifest.json")).find(|manifest| manifest.is_file())
    });
}

#[test]
fn a_campaign_whose_storage_is_full_goes_on_once_there_is_room() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let Some(disk) = SmallDisk::mount(place.path("data/checkpoints"), "64m") else { return };
    let mut run = Running::start_with_stderr(&mut place.command(&RUN));
    wait_for_a_checkpoint(&place);
    let filler = disk.fill();
    wait_for("a worker to notice", || {
        let logs = fs::read_dir(place.path("data/logs")).ok()?.flatten();
        let texts = logs.filter_map(|log| fs::read_to_string(log.path()).ok());
        texts.into_iter().find(|text| text.contains("No space left on device"))
    });
    fs::remove_file(filler).expect("it is there");
    let ended = run.wait();
    assert!(ended.success(), "{}", run.stderr());
    assert_eq!(place.points("out/smoke"), expected);
}

#[test]
fn a_coordinator_whose_disk_is_full_waits_and_goes_on_once_there_is_room() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let Some(disk) = SmallDisk::mount(place.path("data"), "64m") else { return };
    let log = place.path("run.log");
    let mut run = Running::start_to(&mut place.command(&RUN), File::create(&log).expect("made"));
    wait_for_a_checkpoint(&place);
    let filler = disk.fill();
    let said = || fs::read_to_string(&log).unwrap_or_default();
    wait_for("the coordinator to notice", || {
        let said = said();
        (said.contains("the store cannot be used now") && said.contains("database or disk is full")).then_some(())
    });
    assert!(!run.has_ended(), "{}", said());

    fs::remove_file(filler).expect("it is there");
    let ended = run.wait();
    assert!(ended.success(), "{}", said());
    assert_eq!(place.points("out/smoke"), expected);
}

#[test]
fn a_local_worker_that_cannot_start_on_a_full_disk_is_started_once_there_is_room() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(place.path("data"), "16m") else { return };
    let log = place.path("serve.log");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--log", "info"];
    let _serving = Running::start_to(&mut place.command(&serve), File::create(&log).expect("made"));
    let said = |what: &str| fs::read_to_string(&log).unwrap_or_default().matches(what).count();
    wait_for("a worker", || (said("a worker joined") == 1).then_some(()));
    let filler = disk.fill();
    let data_dir = place.path("data").display().to_string();
    let worker = wait_for("its process", || process_with(&["worker", "--name", "local-1", &data_dir]));
    send("KILL", &worker.to_string());
    wait_for("a start that fails", || (said("exit status: 1") > 0).then_some(()));
    fs::remove_file(filler).expect("it is there");
    wait_for("another worker", || (said("a worker joined") == 2).then_some(()));
    assert_eq!(said("is not started again"), 0);
}

#[test]
fn an_upload_waits_for_room_on_the_coordinators_disk() {
    let _turn = one_at_a_time();
    let place = Place::new();
    fs::create_dir(place.path("server")).expect("made");
    let Some(disk) = SmallDisk::mount(place.path("data/uploads"), "64k") else { return };
    // Each process has a storage of its own, so that the data goes through the coordinator.
    let serve = ["serve", "--listen", "127.0.0.1:0", "--storage", "file:///proc/self/cwd/store"];
    let (serving, mut lines) = Running::piped(place.command(&serve).current_dir(place.path("server")));
    lines.next().expect("it says where it serves");
    let log = place.path("submit.log");
    let mut submitting =
        Running::start_to(&mut place.command(&["submit", "smoke.toml"]), File::create(&log).expect("made"));
    wait_for("the full disk", || fs::read_to_string(&log).ok()?.contains("data directory is full").then_some(()));
    assert!(!submitting.has_ended(), "it waits");
    let enlarged = Command::new("mount").args(["-o", "remount,size=16m"]).arg(&disk.at).status();
    assert!(enlarged.expect("a mount that was made").success());
    assert_eq!(submitting.wait().code(), Some(0), "{}", fs::read_to_string(&log).unwrap_or_default());
    let stored = fs::read_dir(place.path("server/store/datasets")).expect("it was sent").flatten().next().expect("one");
    let prepared = place.path("data/datasets").join(stored.file_name());
    for entry in fs::read_dir(prepared).expect("it is there").flatten() {
        let copy = fs::read(stored.path().join(entry.file_name())).expect("it was sent");
        assert_eq!(copy, fs::read(entry.path()).expect("it is there"), "{:?}", entry.file_name());
    }
    serving.signal("TERM");
}
