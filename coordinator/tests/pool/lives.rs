//! How processes begin, end, and are followed by others.

use std::pin::pin;
use std::time::Duration;

use coordinator::pools::PoolError;
use futures::FutureExt;

use crate::script::{Bench, PATIENCE, WORK, options, refused};

#[tokio::test]
async fn workers_are_told_who_they_are_and_end_with_their_standard_input() {
    let bench = Bench::new(2, &format!("echo hello; echo trouble >&2; {WORK}")).await;
    let mut lives = bench.lives(2).await;
    lives.sort_by(|a, b| a.argument("--name").cmp(b.argument("--name")));
    for (life, name) in lives.iter().zip(["local-1", "local-2"]) {
        let id = life.id().to_string();
        let expected =
            ["worker", "--coordinator", "http://127.0.0.1:1", "--name", name, "--worker-id", &id, "--exit-with-stdin"];
        assert_eq!(life.args, expected);
        assert_ne!(life.group(), life.process, "who kills the group of the coordinator kills it, too");
        bench.wait_for(|bench| (bench.read(&format!("logs/{name}.log")) == "hello\ntrouble\n").then_some(())).await;
    }

    let mut ids = vec![lives[0].id(), lives[1].id()];
    let (dir, mut reported) = bench.stop().await;
    ids.sort();
    reported.sort();
    assert_eq!(reported, ids, "both are different, and their ends are reported");
    assert!(lives.iter().all(|life| !life.is_there()));
    let ends = std::fs::read_to_string(dir.path().join("ends")).expect("they ended by themselves");
    assert_eq!(ends, "done\ndone\n");
}

#[tokio::test]
async fn a_worker_that_is_killed_is_reported_when_it_is_gone_and_followed_by_another() {
    let mut bench = Bench::new(1, WORK).await;
    let first = bench.lives(1).await.remove(0);
    assert!(first.is_there());
    first.kill();
    assert_eq!(bench.next_exit().await, first.id());
    assert!(!first.is_there(), "it is reaped before it is reported");

    let second = bench.lives(2).await.remove(1);
    assert_eq!(second.argument("--name"), first.argument("--name"));
    assert_ne!(second.id(), first.id());
    let (_, reported) = bench.stop().await;
    assert_eq!(reported, [second.id()]);
}

#[tokio::test]
async fn whatever_a_worker_ends_with_it_is_followed_by_another() {
    let script = "case $(wc -l < lives) in 1) exit 0;; 2) exit 1;; 3) exit 75;; *) cat > /dev/null;; esac";
    let mut bench = Bench::new(1, script).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.next_exit().await);
    }
    let lives = bench.lives(4).await;
    assert_eq!(lives[..3].iter().map(|life| life.id()).collect::<Vec<_>>(), ids);
    assert!(bench.pool.gone().now_or_never().is_none());
    bench.stop().await;
}

#[tokio::test]
async fn one_that_cannot_work_is_not_started_again_and_the_others_go_on() {
    let script = format!(r#"[ $5 = local-1 ] && {{ echo starts; echo "error: no device"; exit 78; }}; {WORK}"#);
    let mut bench = Bench::new(2, &script).await;
    let lives = bench.lives(2).await;
    let (broken, sound): (Vec<_>, Vec<_>) = lives.into_iter().partition(|life| life.argument("--name") == "local-1");
    assert_eq!(bench.next_exit().await, broken[0].id());
    assert!(bench.pool.gone().now_or_never().is_none(), "one is left");

    // The sound one is started again meanwhile, after as long a wait as the other would have had.
    sound[0].kill();
    assert_eq!(bench.next_exit().await, sound[0].id());
    let lives = bench.lives(3).await;
    assert_eq!(lives[2].argument("--name"), "local-2");
    let (_, reported) = bench.stop().await;
    assert_eq!(reported, [lives[2].id()]);
}

#[tokio::test]
async fn when_none_can_work_somebody_hears_of_it() {
    let mut bench = Bench::new(2, r#"echo starts; echo "error: no device" >&2; exit 78"#).await;
    let gone = tokio::time::timeout(PATIENCE, bench.pool.gone()).await.expect("none is left");
    assert_eq!(gone.last_log_line, "error: no device");
    assert_eq!(gone.log, bench.dir.path().join("logs").join(format!("{}.log", gone.name)));
    let text = gone.to_string();
    assert!(text.contains("error: no device") && text.contains(&gone.log.display().to_string()), "{text}");
    let reported = [bench.next_exit().await, bench.next_exit().await];
    assert_ne!(reported[0], reported[1]);
    assert_eq!(bench.noted().len(), 2, "each was started once");
    let (_, reported) = bench.stop().await;
    assert_eq!(reported, []);
}

#[tokio::test]
async fn a_pool_that_is_dropped_lets_its_workers_go() {
    let Bench { dir, pool, .. } = {
        let bench = Bench::new(2, WORK).await;
        bench.lives(2).await;
        bench
    };
    drop(pool);
    let ends = async {
        while std::fs::read_to_string(dir.path().join("ends")).unwrap_or_default() != "done\ndone\n" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ends).await.expect("they end");
}

#[tokio::test]
async fn a_pool_that_waits_to_start_again_stops_at_once() {
    let mut bench = Bench::new(1, "exit 1").await;
    // After the fourth end it waits for 1.6 seconds.
    for _ in 0..4 {
        bench.next_exit().await;
    }
    let Bench { dir, pool, .. } = bench;
    let mut stopping = pin!(pool.stop());
    // What is stopped by word alone is over after a few turns of the runtime; what waits for a timer is not.
    let mut turns = 0..100;
    while stopping.as_mut().now_or_never().is_none() {
        assert!(turns.next().is_some(), "it waits until it would have started again");
        tokio::task::yield_now().await;
    }
    let lives = std::fs::read_to_string(dir.path().join("lives")).expect("they noted it");
    assert_eq!(lives.lines().count(), 4, "none is started any more");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut missing = options(dir.path(), 2, WORK);
    missing.program = dir.path().join("nothing");
    let error = refused(missing).await;
    assert!(matches!(&error, PoolError::Start { program, .. } if program.ends_with("nothing")), "{error:?}");

    let mut nowhere = options(dir.path(), 2, WORK);
    nowhere.log_dir = dir.path().join("file/logs");
    std::fs::write(dir.path().join("file"), "").expect("it is written");
    assert!(matches!(refused(nowhere).await, PoolError::Log { .. }));
}
