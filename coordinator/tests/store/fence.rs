//! Who may write to a PostgreSQL store: tests that fail when the single session, the term or the lock of its row is taken away.

use std::pin::pin;
use std::time::Duration;

use coordinator::store::{Commit, PostgresStore, Presence, Store, StoreError, Turn};
use scheduler::Fact;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use vocabulary::StageKey;

use crate::scratch::{Database, Scratch, ended, reached, started, worker};

/// How often a condition is looked at that always comes true, and for how long at most.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const LOOKS: u32 = 6000;

/// A leader that has accepted a campaign and started its first stage, and somebody who looks on.
async fn leading() -> Option<(Scratch, StageKey, PgConnection)> {
    let scratch = Scratch::postgres().await?;
    let stage = scratch.start_a_stage().await;
    let onlooker = scratch.database().connect().await;
    Some((scratch, stage, onlooker))
}

async fn execute(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The sessions that hold the lock.
async fn holders(connection: &mut PgConnection) -> Vec<i32> {
    let select = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(select).fetch_all(connection).await.expect("it can be read")
}

/// Ends the session that holds the lock, as an administrator, a crash of the network or a pooler does.
async fn end_leader(connection: &mut PgConnection) {
    let [holder] = holders(connection).await[..] else { panic!("one session holds the lock") };
    let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(holder).execute(&mut *connection).await;
    end.expect("it is ended");
    wait_until(
        connection,
        "SELECT NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted \
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .await;
}

async fn wait_until(connection: &mut PgConnection, condition: &str) {
    for _ in 0..LOOKS {
        let is_true =
            sqlx::query_scalar::<_, bool>(AssertSqlSafe(condition.to_owned())).fetch_one(&mut *connection).await;
        if is_true.expect("it can be read") {
            return;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    panic!("{condition} does not come true");
}

/// Sessions of this database that wait for a lock of this kind of statement.
fn waits_in(statement: &str) -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
         AND query LIKE '{statement}%')"
    )
}

#[tokio::test]
async fn whoever_lost_the_session_of_the_lock_commits_nothing_more() {
    let Some((scratch, stage, mut onlooker)) = leading().await else { return };
    let before = scratch.store.facts().await.expect("it is sound");
    end_leader(&mut onlooker).await;
    // Nobody has begun another term: without the session, the term itself forbids nothing.
    for _ in 0..2 {
        let commit = Commit { facts: vec![reached(stage, 1, 4)], ..Commit::default() };
        let error = scratch.try_commit(&commit).await.expect_err("the lock is gone");
        assert!(error.is_term_over() && !error.is_retryable(), "{error:?}");
        assert!(!matches!(error, StoreError::Deposed { .. }), "{error:?}");
    }
    assert_eq!(holders(&mut onlooker).await, [0; 0], "and it does not take the lock again by itself");
    let other = scratch.open_beside().await;
    assert_eq!(other.take_turn().await.expect("it is reached"), Turn::Taken);
    let term = other.begin_term().await.expect("it begins");
    assert_eq!(other.facts().await.expect("it is sound"), before);
    let error = scratch.try_commit(&Commit::default()).await.expect_err("there is another one now");
    assert!(matches!(error, StoreError::Deposed { current, .. } if current == term), "{error:?}");
    other.close().await;
}

#[tokio::test]
async fn an_open_transaction_ends_with_the_session_of_the_lock() {
    let Some((scratch, stage, mut onlooker)) = leading().await else { return };
    let mut blocker = scratch.database().connect().await;
    execute(&mut blocker, "BEGIN; LOCK TABLE worker_streams IN ACCESS EXCLUSIVE MODE").await;
    let commit = Commit { facts: vec![reached(stage, 1, 4)], session: vec![(worker(), 3)], ..Commit::default() };
    let other = scratch.open_beside().await;
    let (committed, seen) = tokio::join!(scratch.try_commit(&commit), async {
        wait_until(&mut onlooker, &waits_in("INSERT INTO worker_streams")).await;
        end_leader(&mut onlooker).await;
        other.begin_term().await.expect("it begins");
        let seen = other.facts().await.expect("it is sound");
        execute(&mut blocker, "ROLLBACK").await;
        seen
    });
    assert!(committed.expect_err("its session was ended").is_term_over());
    assert_eq!(seen.len(), 2, "what was not committed is not there");
    assert_eq!(other.facts().await.expect("it is sound"), seen, "and it does not come later");
    other.close().await;
}

#[tokio::test]
async fn under_an_older_term_nothing_is_written_even_with_the_lock() {
    let Some((scratch, stage, mut onlooker)) = leading().await else { return };
    let before = scratch.store.facts().await.expect("it is sound");
    // A replica that was promoted, or a restored backup: another term without the lock of this server.
    execute(&mut onlooker, "UPDATE leader SET epoch = epoch + 1").await;
    assert_eq!(holders(&mut onlooker).await.len(), 1);
    let session = Commit { session: vec![(worker(), 3)], ..Commit::default() };
    let error = scratch.try_commit(&session).await.expect_err("its term is over");
    assert!(matches!(error, StoreError::Deposed { .. }), "{error:?}");
    let facts = Commit { facts: vec![reached(stage, 1, 4)], ..Commit::default() };
    scratch.try_commit(&facts).await.expect_err("its term is over");
    assert_eq!(scratch.store.facts().await.expect("it is sound"), before);
    assert_eq!(scratch.store.last_sequence(worker()).await.expect("it can be read"), None);
    wait_until(
        &mut onlooker,
        "SELECT NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted \
                               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .await;
}

#[tokio::test]
async fn whoever_raises_the_term_waits_for_the_commit_that_is_under_way() {
    let Some((scratch, _, mut onlooker)) = leading().await else { return };
    let mut blocker = scratch.database().connect().await;
    let mut successor = scratch.database().connect().await;
    execute(&mut blocker, "BEGIN; LOCK TABLE worker_streams IN ACCESS EXCLUSIVE MODE").await;
    // No fact is in it, so that the end of the log is not touched either.
    let commit = Commit { session: vec![(worker(), 3)], ..Commit::default() };
    let select = "SELECT last_sequence FROM worker_streams WHERE worker = $1";
    let (committed, seen) = tokio::join!(scratch.try_commit(&commit), async {
        wait_until(&mut onlooker, &waits_in("INSERT INTO worker_streams")).await;
        let mut raise = pin!(async {
            execute(&mut successor, "UPDATE leader SET epoch = epoch + 1").await;
            // From here on it builds on what it reads, once it can: the blocker has the table.
        });
        let waits = waits_in("UPDATE leader");
        // The commit waits for the table, and whoever raises the term has to wait for the commit.
        tokio::select! {
            () = &mut raise => panic!("the next leader did not wait for the commit that is under way"),
            () = wait_until(&mut onlooker, &waits) => {}
        }
        execute(&mut blocker, "ROLLBACK").await;
        raise.await;
        let seen = sqlx::query_scalar::<_, i64>(select).bind(worker().to_string()).fetch_optional(&mut onlooker);
        seen.await.expect("it can be read")
    });
    committed.expect("it began before the other term");
    assert_eq!(seen, Some(3), "the next leader reads all that was committed");
    scratch.try_commit(&commit).await.expect_err("and nothing more is");
}

#[tokio::test]
async fn a_fact_says_in_which_term_it_was_written() {
    let Some((scratch, stage, mut onlooker)) = leading().await else { return };
    let first = scratch.term;
    let scratch = scratch.reopen().await;
    scratch.record([ended(stage, 1), started(stage, 2)]).await;
    let epochs =
        sqlx::query_scalar::<_, i64>("SELECT epoch FROM facts ORDER BY sequence").fetch_all(&mut onlooker).await;
    let epochs: Vec<String> = epochs.expect("they can be read").iter().map(ToString::to_string).collect();
    let [first, second] = [first, scratch.term].map(|term| term.to_string());
    assert_eq!(epochs, [first.clone(), first, second.clone(), second]);
    for sql in ["UPDATE facts SET at_ms = 0", "DELETE FROM facts", "TRUNCATE facts"] {
        let refused = sqlx::raw_sql(sql).execute(&mut onlooker).await.expect_err("the log keeps what happened");
        assert!(refused.to_string().contains("facts are appended"), "{refused}");
    }
}

#[tokio::test]
async fn one_leads_and_the_other_is_told_who() {
    let Some(database) = Database::create().await else { return };
    let named = |name: &str| {
        let presence = Presence { name: name.to_owned(), lease: Duration::from_millis(600) };
        PostgresStore::new(&database.address, presence).expect("the address can be used")
    };
    let (one, other) = (named("one"), named("other"));
    assert_eq!(one.take_turn().await.expect("it is reached"), Turn::Taken);
    assert_eq!(other.take_turn().await.expect("it is reached"), Turn::Held(None), "the first has said nothing yet");
    let term = one.begin_term().await.expect("it begins");
    assert_eq!(one.take_turn().await.expect("it is reached"), Turn::Taken, "it has it already");
    let leader = async |store: &PostgresStore| match store.take_turn().await.expect("it is reached") {
        Turn::Held(Some(leader)) => leader,
        turn => panic!("{turn:?}"),
    };
    let first = leader(&other).await;
    assert_eq!((first.name.as_str(), first.term, first.lease), ("one", term, Duration::from_millis(600)));
    // Signs of life are counted for as long as they are given.
    tokio::select! {
        error = one.keep_term(term) => panic!("{error}"),
        () = async { while leader(&other).await.beats < 2 { tokio::time::sleep(BETWEEN_LOOKS).await } } => {}
    }
    // One that hangs is ended, and finds out when it wakes.
    other.end_leader().await.expect("it is ended");
    while other.take_turn().await.expect("it is reached") != Turn::Taken {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let next = other.begin_term().await.expect("it begins");
    let error = one.keep_term(term).await;
    assert!(error.is_term_over(), "{error:?}");
    let error = one.commit(term, &Commit::default()).await.expect_err("its term is over");
    assert!(matches!(error, StoreError::Deposed { current, .. } if current == next), "{error:?}");
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_ends_the_term_and_keeps_no_lock() {
    let Some((scratch, stage, mut onlooker)) = leading().await else { return };
    let mut blocker = scratch.database().connect().await;
    execute(&mut blocker, "BEGIN; LOCK TABLE worker_streams IN ACCESS EXCLUSIVE MODE").await;
    let commit = Commit { facts: vec![reached(stage, 1, 4)], session: vec![(worker(), 3)], ..Commit::default() };
    let waits = waits_in("INSERT INTO worker_streams");
    tokio::select! {
        outcome = scratch.try_commit(&commit) => panic!("{outcome:?}"),
        () = wait_until(&mut onlooker, &waits) => {}
    }
    let error = scratch.try_commit(&Commit::default()).await.expect_err("nobody knows what became of it");
    assert!(error.is_term_over(), "{error:?}");
    execute(&mut blocker, "ROLLBACK").await;
    wait_until(
        &mut onlooker,
        "SELECT NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted \
                               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .await;
    let facts: Vec<Fact> = scratch.store.facts().await.expect("it is sound");
    assert_eq!(facts.len(), 2, "nothing of it is kept");
    blocker.close().await.expect("it closes");
}
