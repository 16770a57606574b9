//! Prices of recipes, checked against calculations by hand and as people read them.

use std::path::Path;

use recipes::price::{Device, Measurement, Price, Speed, Speeds, table};
use recipes::{Recipe, price, sketch};
use vocabulary::Plan;

fn plan_of(name: &str) -> Plan {
    let recipe =
        Recipe::load(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_else(|error| panic!("{error}"));
    sketch(&recipe).unwrap_or_else(|error| panic!("{error}"))
}

fn on(device: &str, mfu: f64) -> Speeds {
    Speeds { device: Some((Device::find(device).expect("is known"), mfu)), ..Speeds::default() }
}

fn stated(tokens_per_second: f64) -> Speeds {
    Speeds { stated: Some(tokens_per_second), ..Speeds::default() }
}

fn close(found: f64, expected: f64, within: f64) {
    assert!((found / expected - 1.0).abs() < within, "{found} and {expected}");
}

#[test]
fn the_wind_tunnel_is_priced_as_by_hand() {
    let plan = plan_of("paper/scaling-law.toml");
    let price = price(&plan, &on("H100", 0.4), Some(8));
    let largest = price.sizes.last().expect("has sizes");
    let n = 34.0 * (4.0 * 2240.0 * 2240.0 + 3.0 * 2240.0 * 5600.0 + 2.0 * 2240.0) + 2240.0;
    assert_eq!(largest.n as f64, n);
    // The trunk to 60N, and decays of a tenth of 10N to 60N, rounded to steps of half a million tokens.
    close(largest.tokens.0 as f64, 81.0 * n, 1e-4);
    close(largest.paper_flops.0, 6.0 * 81.0 * n * n, 1e-4);
    // Plus the head, and attention to half of 4096 tokens, forward and backward.
    let of_token = 6.0 * (n + 122_753.0 * 2240.0) + 6.0 * 34.0 * 2240.0 * 4096.0;
    close(largest.flops.0, of_token * 81.0 * n, 1e-3);
    let hours = |seconds: Option<f64>| seconds.expect("a device is named") / 3600.0;
    close(hours(largest.device_seconds), of_token * 81.0 * n / (0.4 * 989.4e12) / 3600.0, 2e-3);
    // 12 stages end with a measurement on 4.2M tokens, a third of the work of training on as many.
    assert!(hours(largest.device_seconds) > largest.flops.0 / (0.4 * 989.4e12) / 3600.0);
    assert_eq!((largest.stages, largest.checkpoint_bytes), (12, 12 * (n as u64 + 122_753 * 2240)));
    let whole: f64 = price.sizes.iter().filter_map(|size| size.device_seconds).sum();
    close(price.device_seconds.expect("all are known"), whole, 1e-12);

    let wall = price.wall.expect("all are known");
    let schedule = wall.schedule.expect("workers are given");
    // Seven stretches, the trunk's and the last decay: 66N of the largest.
    assert_eq!(wall.critical_path.len(), 7);
    close(wall.critical_path_seconds, of_token * 66.0 * n / (0.4 * 989.4e12), 2e-3);
    // Five small sizes fit beside the largest one's trunk.
    close(schedule.seconds, wall.critical_path_seconds, 1e-9);
    close(schedule.busy, whole / 8.0 / schedule.seconds, 1e-9);
}

#[test]
fn more_workers_are_no_slower_down_to_the_critical_path() {
    let plan = plan_of("quickstart.toml");
    let seconds = |workers| {
        let wall = price(&plan, &stated(10_000.0), Some(workers)).wall.expect("is known");
        (wall.schedule.expect("workers are given").seconds, wall.critical_path_seconds)
    };
    let one = price(&plan, &stated(10_000.0), None).device_seconds.expect("is known");
    close(seconds(1).0, one, 1e-9);
    assert!(seconds(2).0 < 0.6 * one);
    close(seconds(1000).0, seconds(1000).1, 1e-9);
    let (three, path) = seconds(3);
    assert!(three >= one / 3.0 && three <= one / 3.0 + path, "Graham's bound: {three}");
}

#[test]
fn what_was_measured_is_used_and_named() {
    let plan = plan_of("smoke.toml");
    let [small, large] = ["smoke-16", "smoke-32"]
        .map(|size| plan.stages.iter().find(|stage| stage.size == size).expect("is there").spec.clone());
    let mut measured = Measurement::nothing_of(&small);
    measured.add(&small, 2.0);
    measured.add(&small, 6.0);
    let rate = 2.0 * small.tokens().0 as f64 / 8.0;
    let speeds = Speeds { measured: vec![measured], ..Speeds::default() };
    let price_of = |speeds: &Speeds| -> Price { price(&plan, speeds, None) };
    let sizes = price_of(&speeds).sizes;
    assert_eq!(sizes[0].speeds, [Speed::Measured { tokens_per_second: rate, stages: 2 }]);
    close(sizes[0].device_seconds.expect("measured"), sizes[0].tokens.0 as f64 / rate, 1e-12);
    // The other size is assumed to reach the same FLOP/s.
    let flops = small.flops().0 / small.tokens().0 as f64 * rate;
    assert!(matches!(sizes[1].speeds[..], [Speed::MeasuredOnAnotherSize { n, .. }] if n == sizes[0].n));
    close(sizes[1].device_seconds.expect("is carried over"), sizes[1].flops.0 / flops, 1e-12);
    assert!(large.flops().0 > small.flops().0);

    // A named device is a different one, and a stated speed takes precedence over both.
    let named = Speeds { measured: speeds.measured.clone(), ..on("a100", 0.5) };
    let peak = Speed::Assumed { device: "NVIDIA A100 SXM", peak_flops_per_second: 19.5e12, mfu: 0.5 };
    assert_eq!(price_of(&named).sizes[0].speeds, [peak]);
    let mut both = named;
    both.stated_of.insert("smoke-32".to_owned(), 7.0);
    assert_eq!(price_of(&both).sizes[1].speeds, [Speed::Stated { tokens_per_second: 7.0 }]);

    let nothing = price_of(&Speeds::default());
    assert_eq!((nothing.device_seconds, nothing.wall, nothing.checkpoints.between), (None, None, None));
    assert!(nothing.sizes.iter().all(|size| size.device_seconds.is_none() && size.speeds.is_empty()));
}

#[test]
fn checkpoints_are_counted_under_the_quota() {
    let mut plan = plan_of("smoke.toml");
    let of = |plan: &Plan, speeds: &Speeds| price(plan, speeds, Some(2)).checkpoints;
    let small = 12 * (2_992 + 300 * 16);
    let large = 12 * (10_848 + 300 * 32);
    // Six stages each, all of them branch points or results, and the newest of two workers.
    let last = 6 * (small + large);
    let free = of(&plan, &stated(1e9));
    assert_eq!((free.kept_bytes, free.needed_bytes), (last, last + 2 * large));
    assert_eq!((free.between, free.peak_bytes, free.quota_bytes), (Some(0), Some(last + 2 * large), None));
    assert_eq!(of(&plan, &Speeds::default()).peak_bytes, None);

    // A token per second gives hours per stage.
    let slow = of(&plan, &stated(1.0));
    let between = slow.between.expect("the hours are known");
    assert!(between > 12 && slow.peak_bytes.expect("is known") >= last + between * small, "{slow:?}");
    plan.checkpoints.quota_bytes = Some(last + 3 * large);
    assert_eq!(of(&plan, &stated(1.0)).peak_bytes, plan.checkpoints.quota_bytes);
    assert_eq!(of(&plan, &Speeds::default()).peak_bytes, plan.checkpoints.quota_bytes);
    plan.checkpoints.quota_bytes = Some(1);
    assert_eq!(of(&plan, &stated(1.0)).peak_bytes, Some(last + 2 * large), "what is needed stays");

    plan.checkpoints.keep = vocabulary::Keep::Best;
    // One of three results per size stays.
    assert_eq!(of(&plan, &stated(1.0)).kept_bytes, last - 2 * (small + large));
}

#[test]
fn prices_as_people_read_them() {
    let tunnel = plan_of("paper/scaling-law.toml");
    let smoke = plan_of("smoke.toml");
    let shown = |plan: &Plan, speeds: &Speeds, workers| table(plan, &price(plan, speeds, workers));
    insta::assert_snapshot!("wind-tunnel", shown(&tunnel, &on("h100", 0.4), Some(8)));
    insta::assert_snapshot!("smoke-stated", shown(&smoke, &stated(20_000.0), Some(1)));
    insta::assert_snapshot!("smoke-unknown", shown(&smoke, &Speeds::default(), None));
}
