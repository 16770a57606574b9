//! The prose of the repository reads as a native engineer would write it, as far as a table of phrases can tell.

use xtask::check::root;
use xtask::prose::text::Language;
use xtask::prose::{hits_in, scan};

#[test]
fn nothing_is_written_in_turns_that_stop_a_reader() {
    let hits: Vec<String> =
        scan(root(), None).expect("a readable repository").iter().map(ToString::to_string).collect();
    assert!(hits.is_empty(), "rewrite these; `cargo xtask prose` lists them:\n{}", hits.join("\n"));
}

fn said(text: &str) -> Vec<String> {
    hits_in("a.rs", Language::Rust, text).iter().map(ToString::to_string).collect()
}

#[test]
fn a_turn_is_found_across_lines_in_comments_and_strings() {
    let text = "// It goes\n// on.\nfn a() { panic!(\"{path} is no\\\n   recipe\") }\n";
    let found = said(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "a.rs:1: \"goes on\": write \"continues\" or \"resumes\"");
    assert!(found[1].starts_with("a.rs:3: \"is no\": write "), "{found:?}");
}

#[test]
fn plain_english_is_left_alone() {
    let text = "// There is no worker, it is not here, is now gone, is no longer known, and is nobody's.\n\
                // There is none. What goes on is shown. It is nonetheless `is no` code.\n\
                fn is_no() -> bool { is.no() }\n";
    assert_eq!(said(text), Vec::<String>::new());
}

#[test]
fn a_doc_comment_that_says_nothing_is_found() {
    let text = "/// The stage.\npub stage: u64,\n/// Which.\npub stage: u64,\n/// Seconds.\npub wall: f64,\n\
                /// The stage, as `show` prints it.\npub stage: u64,\n";
    let found = said(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a.rs:1: \"the stage\": write "), "{found:?}");
    assert!(found[1].starts_with("a.rs:3: \"which\": write "), "{found:?}");
}
