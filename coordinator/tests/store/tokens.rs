//! Tokens, and who speaks under which.

use coordinator::store::{Commit, Speaker, TokenRow, TokenState};
use vocabulary::WorkerId;

use crate::scratch::{AT_MS, Scratch, conforming, token, worker};

conforming! {
    tokens_come_back_as_they_were_the_oldest_first,
    a_token_is_created_once,
    a_token_is_revoked_once_and_for_good,
    a_worker_keeps_the_token_and_the_secret_it_came_with,
}

async fn tokens_come_back_as_they_were_the_oldest_first(scratch: Scratch) {
    let forever = token(2);
    let brief = TokenRow { expires_at_ms: Some(AT_MS + 3), created_at_ms: AT_MS, ..token(3) };
    for row in [&forever, &brief] {
        scratch.store.add_token(row).await.expect("it is written");
    }
    let scratch = scratch.reopen().await;
    assert_eq!(scratch.store.tokens().await.expect("they can be read"), [brief.clone(), forever.clone()]);
    let found = scratch.store.token(&forever.token).await.expect("it can be read");
    assert_eq!(found.as_ref().map(TokenRow::state), Some(TokenState::Valid));
    assert_eq!(brief.state(), TokenState::Expired);
    assert_eq!(scratch.store.token("a stranger").await.expect("it can be read"), None);
}

async fn a_token_is_created_once(scratch: Scratch) {
    scratch.store.add_token(&token(1)).await.expect("it is written");
    let other = TokenRow { name: "another".to_owned(), ..token(1) };
    scratch.store.add_token(&other).await.expect_err("there is one already");
    assert_eq!(scratch.store.tokens().await.expect("they can be read"), [token(1)]);
}

async fn a_token_is_revoked_once_and_for_good(scratch: Scratch) {
    scratch.store.add_token(&token(1)).await.expect("it is written");
    let revoke = |token: &'static str, at_ms| scratch.store.revoke_token(token, at_ms);
    assert!(!revoke("token-002", AT_MS).await.expect("no fault"), "there is none");
    assert!(revoke("token-001", AT_MS + 5).await.expect("it is written"));
    assert!(!revoke("token-001", AT_MS + 9).await.expect("no fault"), "it was revoked before");
    let row = scratch.store.token("token-001").await.expect("it can be read").expect("it is there");
    assert_eq!((row.revoked_at_ms, row.state()), (Some(AT_MS + 5), TokenState::Revoked));
}

async fn a_worker_keeps_the_token_and_the_secret_it_came_with(scratch: Scratch) {
    let (one, other) = (worker(), WorkerId::from_content(b"another"));
    let speaker = Speaker { token: Some("token-001".to_owned()), secret_hash: Some("00ff".to_owned()) };
    let bound = Commit { speakers: vec![(one, speaker.clone())], ..Commit::default() };
    scratch.commit(bound).await;
    scratch.commit(Commit { session: vec![(one, 7), (other, 1)], ..Commit::default() }).await;
    let scratch = scratch.reopen().await;
    let of = |worker| scratch.store.speaker(worker);
    assert_eq!(of(one).await.expect("it can be read"), speaker);
    assert_eq!(of(other).await.expect("it can be read"), Speaker::default(), "it needed neither");
    assert_eq!(of(WorkerId::from_content(b"a stranger")).await.expect("it can be read"), Speaker::default());
    assert_eq!(scratch.store.last_sequence(one).await.expect("it can be read"), Some(7));
}
