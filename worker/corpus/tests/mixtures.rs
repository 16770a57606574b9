//! Batches over several domains.

use std::collections::BTreeMap;

use corpus::dataset::write_domains;
use corpus::{Batch, BatchError, OpenDataset};
use tempfile::TempDir;
use vocabulary::Mixture;

fn text(alphabet: &str, seed: u64, words: u64) -> String {
    (0..words).map(|i| format!("{alphabet}{} ", (i * i + seed) % 97)).collect()
}

fn domains() -> (TempDir, OpenDataset) {
    let dir = tempfile::tempdir().expect("a directory");
    let texts = ["aaa", "bbb", "ccc"].map(|name| [text(name, 1, 900), text(name, 2, 300)]);
    let of = |number: usize| ([texts[number][0].as_str()], [texts[number][1].as_str()]);
    let (a, b, c) = (of(0), of(1), of(2));
    let all: [(&str, &[&str], &[&str]); 3] = [("a", &a.0, &a.1), ("b", &b.0, &b.1), ("c", &c.0, &c.1)];
    let (_, at) = write_domains(dir.path(), &all, 400).expect("is written");
    let open = OpenDataset::open(&at).expect("opens");
    (dir, open)
}

const SHAPE: vocabulary::Batch = vocabulary::Batch { sequences: 5, context: 16, micro_sequences: 5, lanes: 1 };

fn rows(batch: &Batch) -> Vec<Vec<i32>> {
    batch.inputs.chunks(batch.context).map(<[i32]>::to_vec).collect()
}

/// The domain of each row of these steps.
fn seen(data: &OpenDataset, mixture: &Mixture, steps: std::ops::Range<u64>) -> Vec<Vec<i32>> {
    let turns = mixture.turns();
    steps.flat_map(|step| rows(&data.mixed_batch(7, step, &SHAPE, &turns).expect("a batch"))).collect()
}

/// The rows of one domain alone, in the order of its windows.
fn alone(data: &OpenDataset, domain: usize, count: u64) -> Vec<Vec<i32>> {
    let mut weights = [0.0; 3];
    weights[domain] = 1.0;
    seen(data, &Mixture::of(&weights).expect("weights"), 0..count)
}

#[test]
fn each_domain_has_its_share_and_goes_on_behind_a_switch() {
    let (_dir, data) = domains();
    let trunk = Mixture::of(&[0.7, 0.3, 0.0]).expect("weights");
    let decay = trunk.switched(Mixture::of(&[0.1, 0.2, 0.7]).expect("weights").weights, 8 * 5);
    let all = [seen(&data, &trunk, 0..8), seen(&data, &decay, 8..20)].concat();
    let orders = [0, 1, 2].map(|domain| alone(&data, domain, 12));
    let mut next = [0; 3];
    for row in &all {
        // Every row is the next one of a domain: none repeats, none is skipped.
        let domain = (0..3).find(|domain| orders[*domain].get(next[*domain]) == Some(row)).expect("of some domain");
        next[domain] += 1;
    }
    assert_eq!(next, [28 + 6, 12 + 12, 42]);
}

#[test]
fn a_batch_depends_on_the_step_alone() {
    let (_dir, data) = domains();
    let mixture = Mixture::of(&[0.5, 0.3, 0.2]).expect("weights").switched([100, 900, 9_000, 0, 0, 0, 0, 0], 35);
    let turns = mixture.turns();
    let forwards: BTreeMap<u64, _> =
        (7..40).map(|step| (step, data.mixed_batch(5, step, &SHAPE, &turns).expect("a batch"))).collect();
    let again = OpenDataset::open(data.dir()).expect("opens");
    for (step, batch) in forwards.iter().rev() {
        assert_eq!(&again.mixed_batch(5, *step, &SHAPE, &mixture.turns()).expect("a batch"), batch);
    }
}

#[test]
fn a_domain_that_is_used_up_starts_over_shuffled_anew() {
    let (_dir, data) = domains();
    let windows = (data.dataset().domains[1].train_tokens / 16) as usize;
    let order = alone(&data, 1, windows as u64);
    let (first, second) = (&order[..windows], &order[windows..2 * windows]);
    assert_ne!(first, second);
    let sorted = |rows: &[Vec<i32>]| {
        let mut rows = rows.to_vec();
        rows.sort();
        rows
    };
    assert_eq!(sorted(first), sorted(second));
}

#[test]
fn each_domain_has_held_out_text_of_its_own() {
    let (_dir, data) = domains();
    let sets = data.validation_sets(64, 16).expect("there is enough");
    assert_eq!(sets.len(), 3);
    let targets: Vec<Vec<i32>> =
        sets.into_iter().map(|set| set.flat_map(|batch| batch.expect("a batch").targets).collect()).collect();
    assert!(targets.iter().all(|targets| targets.len() == 64));
    assert!(targets[0] != targets[1] && targets[1] != targets[2]);
    let shortest = data.dataset().domains.iter().map(|domain| domain.validation_tokens).min().expect("there are some");
    assert!(matches!(data.validation_sets(shortest + 1, 16), Err(BatchError::TooFewHeldOut { .. })));
}

#[test]
fn a_mixture_of_other_domains_is_refused() {
    let (_dir, data) = domains();
    let four = Mixture::of(&[1.0; 4]).expect("weights");
    assert_eq!(data.mixed_batch(1, 0, &SHAPE, &four.turns()), Err(BatchError::Mixture { domains: 3 }));
    assert_eq!(data.train_batch(1, 0, &SHAPE), Err(BatchError::Mixture { domains: 3 }));
    let mut broken = four;
    broken.weights[0] = 0;
    assert_eq!(data.mixed_batch(1, 0, &SHAPE, &broken.turns()), Err(BatchError::Mixture { domains: 3 }));
}
