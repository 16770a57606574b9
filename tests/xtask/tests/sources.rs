//! Files name only what the rules allow, and the top-level modules of no crate use each other in a circle.

use std::collections::BTreeMap;

use xtask::check::root;
use xtask::sources::{circles, violations};

#[test]
fn the_rules_hold() {
    assert_eq!(violations(root()).expect("readable sources"), Vec::<String>::new());
}

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_circle_of_two_is_found() {
    let found = circles(&files(&[("a.rs", "use crate::b::{self, C};"), ("b/mod.rs", "use super::a;")]), &["a", "b"]);
    assert_eq!(found, ["a uses b uses a, which closes a circle"]);
}

#[test]
fn a_circle_behind_a_name_that_is_passed_on_is_found() {
    let sources = [
        ("lib.rs", "mod a; mod b; mod c; pub use c::{D as E};"),
        ("a.rs", "fn f() { crate::b::g() }"),
        ("b.rs", "use crate::{E, x::y};"),
        ("c.rs", "use super::a::f;"),
    ];
    assert_eq!(circles(&files(&sources), &["a", "b", "c"]), ["a uses b uses c uses a, which closes a circle"]);
}

#[test]
fn tests_comments_and_one_way_uses_close_no_circle() {
    let sources = [
        ("a.rs", "//! See `crate::b`.\nuse crate::b;\nfn f() { print(\"crate::b\") }"),
        ("b.rs", "// crate::a\n#[cfg(test)]\nmod tests { use crate::a; }"),
    ];
    assert_eq!(circles(&files(&sources), &["a", "b"]), Vec::<String>::new());
}

#[test]
fn a_rule_about_a_module_that_is_gone_is_found() {
    let found = circles(&files(&[("a.rs", "")]), &["a", "b"]);
    assert_eq!(found, ["the module b has a rule but does not exist"]);
}
