//! The benchmark's tables.

use bench::Summary;
use bench::report::{Entry, GrowthTable, Report, ShapeResult};
use bench::targets::Verdict;
use serde::Serialize;
use vocabulary::units::human_count;

use crate::views::output::{View, columns};

/// What was measured.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct BenchView(pub(crate) Report);

impl View for BenchView {
    fn table(&self) -> String {
        let report = &self.0;
        let mut text = machine(report);
        text.push_str(&products(report));
        for shape in &report.shapes {
            text.push_str(&of_shape(shape));
        }
        text.push_str(&operations(report));
        text.push_str(&around(report));
        text.push_str(&growth(report));
        text.push_str(&campaign(report));
        text.push_str(&verdicts(&report.verdicts));
        for missing in &report.missing {
            text.push_str(&format!("left out: {}: {}\n", missing.what, missing.reason));
        }
        text
    }
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let cpu = machine.cpu.as_deref().unwrap_or("an unknown processor");
    let peer = report.peer.as_ref().and_then(|peer| peer.torch.as_ref());
    let peer = match (peer, &report.no_peer_because) {
        (Some(torch), _) => format!("PyTorch {torch}"),
        (None, Some(reason)) => format!("no peer: {reason}"),
        (None, None) => "no peer".to_owned(),
    };
    let build = if machine.is_debug_build { ", a debug build: its times mean little" } else { "" };
    format!("{cpu}, {} cores; {peer}; {} rounds of {} s{build}\n", machine.cores, report.rounds, report.sample_seconds)
}

/// `12.3k (11.9k to 12.5k)`.
fn speed(summary: Summary) -> String {
    let [median, low, high] = [summary.median, summary.low, summary.high].map(human_count);
    format!("{median} ({low} to {high})")
}

/// `2.31 (2.25 to 2.40)`.
fn ratio(summary: Summary) -> String {
    format!("{:.2} ({:.2} to {:.2})", summary.median, summary.low, summary.high)
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("{:.0} MB", bytes as f64 / 1e6))
}

fn seconds(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1e-3 => format!("{:.1} us", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

fn products(report: &Report) -> String {
    let cells = |product: &bench::report::Product| {
        let Summary { median, low, high, .. } = product.gflops;
        [product.library.name().to_owned(), product.threads.to_string(), format!("{median:.0} ({low:.0} to {high:.0})")]
    };
    let rows: Vec<_> = report.products.iter().map(cells).collect();
    format!("\nProducts of 2048 x 2048 32-bit floats\n{}", columns(["library", " threads", " GFLOP/s"], &rows))
}

fn of_shape(shape: &ShapeResult) -> String {
    let cells = |entry: &Entry| {
        let over = shape.ratios.iter().find(|ratio| {
            (ratio.over, ratio.threads, ratio.processes) == (entry.side, entry.threads, entry.processes)
                && ratio.of.name() == "windtunnel"
        });
        [
            entry.side.name(),
            format!("{} x {}", entry.processes, entry.threads),
            speed(entry.tokens_per_second),
            format!("{:.0}", entry.gflops),
            entry.share_of_best_product.map_or_else(String::new, |share| format!("{:.0}%", 100.0 * share)),
            megabytes(entry.peak_bytes),
            over.map_or_else(String::new, |over| ratio(over.speed)),
            over.and_then(|over| over.memory).map_or_else(String::new, |memory| format!("{memory:.2}")),
        ]
    };
    let rows: Vec<_> = shape.entries.iter().map(cells).collect();
    let header = [
        "who",
        " processes x threads",
        " tokens/s",
        " GFLOP/s",
        " of best sgemm",
        " peak memory",
        " windtunnel is faster by",
        " takes memory",
    ];
    let mut text = format!(
        "\n{}: {} parameters, {} tokens a step\n{}",
        shape.case.name,
        human_count(shape.params as f64),
        shape.case.batch.tokens(),
        columns(header, &rows)
    );
    if let Some(gain) = shape.processes_over_threads {
        text.push_str(&format!("one-thread processes over as many threads: {}\n", ratio(gain)));
    }
    text
}

fn operations(report: &Report) -> String {
    let mut text = String::new();
    for result in &report.operations {
        let step = result.measured.step_seconds;
        let mut rows: Vec<_> = result
            .measured
            .operations
            .iter()
            .map(|operation| {
                [
                    operation.name.clone(),
                    operation.count.to_string(),
                    seconds(operation.forward_seconds),
                    seconds(operation.backward_seconds),
                    format!("{:.1}%", 100.0 * operation.seconds() / step),
                ]
            })
            .collect();
        let left = result.measured.seconds_left_over();
        rows.push([
            "what is left".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            format!("{:.1}%", 100.0 * left / step),
        ]);
        text.push_str(&format!(
            "\n{}: a step of {} on {} thread(s), operation by operation\n{}outside matrix products: {:.0}%\n",
            result.shape,
            seconds(step),
            result.threads,
            columns(["operation", " times", " forward", " backward", " of the step"], &rows),
            100.0 * result.share_outside_products
        ));
    }
    text
}

fn around(report: &Report) -> String {
    let Some(result) = &report.around else { return String::new() };
    let measured = &result.measured;
    let [batch, between, checkpoint] = measured.shares().map(|share| format!("{:.3}%", 100.0 * share));
    let rows = [
        ["the batch".to_owned(), seconds(measured.batch_seconds.median), batch],
        ["between steps: losses, reports, signals".to_owned(), seconds(measured.between_seconds.median), between],
        ["a snapshot, every 30 s".to_owned(), seconds(measured.snapshot_seconds.median), checkpoint],
    ];
    format!(
        "\n{}: around a step of {}\n{}all of it: {:.2}% of a step; a checkpoint of {} is encoded in {} and written in {} beside \
         training, {:.0} MB/s\n",
        result.shape,
        seconds(measured.step_seconds.median),
        columns(["what", " takes", " of a step"], &rows),
        100.0 * result.share_of_step,
        megabytes(Some(measured.checkpoint_bytes)),
        seconds(measured.encode_seconds.median),
        seconds(measured.store_seconds.median),
        measured.store_bytes_per_second() / 1e6
    )
}

fn growth(report: &Report) -> String {
    let mut text = String::new();
    for (table, title) in [(GrowthTable::Model, "As models grow"), (GrowthTable::Context, "As the context grows")] {
        let of_table = report.growth.iter().filter(|growth| growth.table == table);
        let rows: Vec<_> = of_table
            .map(|growth| {
                let own = growth.result.entries.iter().find(|entry| entry.side.name() == "windtunnel");
                let peer = growth.result.ratios.first();
                [
                    growth.result.case.name.clone(),
                    human_count(growth.result.params as f64),
                    own.map_or_else(String::new, |own| speed(own.tokens_per_second)),
                    own.map_or_else(String::new, |own| format!("{:.0}", own.gflops)),
                    own.map_or_else(String::new, |own| megabytes(own.peak_bytes)),
                    peer.map_or_else(String::new, |peer| ratio(peer.speed)),
                    peer.and_then(|peer| peer.memory).map_or_else(String::new, |memory| format!("{memory:.2}")),
                    growth.memory_power.map_or_else(String::new, |power| format!("{power:.2}")),
                ]
            })
            .collect();
        if !rows.is_empty() {
            let header = [
                "model",
                " parameters",
                " tokens/s",
                " GFLOP/s",
                " peak memory",
                " over torch eager",
                " memory over its",
                " memory's power",
            ];
            text.push_str(&format!("\n{title}\n{}", columns(header, &rows)));
        }
    }
    text
}

fn campaign(report: &Report) -> String {
    let Some(campaign) = &report.campaign else { return String::new() };
    let spread = |summary: Summary| format!("{:.0} s ({:.0} to {:.0})", summary.median, summary.low, summary.high);
    let peer = campaign.peer_seconds.map_or_else(String::new, |peer| format!(", PyTorch's {}", spread(peer)));
    format!(
        "\nThe quick start's {} tokens, {} one-thread workers, computed: {}{peer}\n",
        human_count(campaign.tokens as f64),
        campaign.workers,
        spread(campaign.seconds)
    )
}

fn verdicts(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let cells = |verdict: &Verdict| {
        [
            verdict.shape.clone().unwrap_or_else(|| "quick start".to_owned()),
            verdict.what.clone(),
            verdict.target.clone(),
            verdict.reached.map_or_else(|| "not measured".to_owned(), ratio),
            verdict.holds.map_or("", |holds| if holds { "holds" } else { "MISSED" }).to_owned(),
        ]
    };
    let rows: Vec<_> = verdicts.iter().map(cells).collect();
    format!("\nTargets\n{}", columns(["shape", "what", " target", " reached", ""], &rows))
}
