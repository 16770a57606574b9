//! The compute-optimal frontier of a table, for a terminal.

use std::fmt::Write;

use scaling::frontier::{Best, Growth};
use vocabulary::numbers::{operations, three_digits};
use vocabulary::text::{lined_up, wrapped};
use vocabulary::units::human_count;

use super::text::{of_source, range};
use crate::conclude::isoflop_fit::IsoFlopFit;

pub(super) fn text(fit: &IsoFlopFit) -> String {
    let IsoFlopFit { table, found, .. } = fit;
    let points: usize = found.budgets.iter().map(|budget| budget.points.len()).sum();
    let mut text = of_source(table, points);
    text.push_str("\nbest size at each budget\n");
    let mut rows = vec![["C", "sizes", "N", "D", "D/N", "loss", ""].map(str::to_owned).to_vec()];
    for budget in &found.budgets {
        let best = found.frontier.best.iter().find(|best| best.flops == budget.flops);
        let cells = match best {
            Some(Best { n, d, loss, .. }) => {
                [human_count(*n), human_count(*d), three_digits(d / n), format!("{loss:.4}"), String::new()]
            }
            None => {
                let why = budget.valley.why_not().unwrap_or_default();
                [String::new(), String::new(), String::new(), String::new(), why]
            }
        };
        rows.push([operations(budget.flops), budget.points.len().to_string()].into_iter().chain(cells).collect());
    }
    // The reasons are text and begin at the left.
    text.push_str(&lined_up(&rows, |column| (1..6).contains(&column)));
    text.push('\n');
    for (name, growth) in [("N", found.frontier.n), ("D", found.frontier.d)] {
        let _ = writeln!(text, "{}", power(name, growth));
    }
    let draws = found.frontier.draws.as_ref().map_or(0, |draws| draws.used);
    let method = match draws {
        0 => "no intervals: too few budgets have a best size".to_owned(),
        draws => format!(
            "{:.0}% intervals: percentiles of {draws} draws of whole budgets. What a second seed would change at all budgets \
             alike is not in them",
            100.0 * found.frontier.level
        ),
    };
    text.push_str(&wrapped(&method, 2));
    table.notes.iter().for_each(|note| text.push_str(&wrapped(&format!("note: {note}"), 2)));
    text
}

/// `N = 0.0123 C^0.49 (0.47 to 0.51)`.
fn power(name: &str, Growth { line, exponent }: Growth) -> String {
    let interval = exponent.map(|interval| format!(" ({})", range(interval))).unwrap_or_default();
    format!("{name} = {} C^{}{interval}", three_digits(line.coefficient), three_digits(line.exponent))
}
