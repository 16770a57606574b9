//! Fitted laws in a line or two, shared by the terminal, the page and the captions of figures.

use scaling::batch::BatchFit;
use scaling::single::Comparison;
use vocabulary::numbers::three_digits;

/// What is measured, with its unit; `unit` is empty where nobody said it.
pub(crate) fn in_unit(what: &str, unit: &str) -> String {
    if unit.is_empty() { what.to_owned() } else { format!("{what}, {unit}") }
}

/// The batch-size law in a line.
pub(crate) fn batch_law(law: &BatchFit) -> String {
    let mut text = format!("batch = {} / L^{}", three_digits(law.c), three_digits(law.p));
    if let Some(intervals) = &law.intervals {
        let [p, c] = [intervals.p, intervals.c];
        text.push_str(&format!(
            " ({:.0}% intervals: exponent {} to {}, coefficient {} to {})",
            100.0 * intervals.level,
            three_digits(p.low),
            three_digits(p.high),
            three_digits(c.low),
            three_digits(c.high)
        ));
    }
    text
}

/// Two forms of the loss of a single size, one line each, the better form first.
pub(crate) fn envelope(compared: &Comparison, unit: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fit in &compared.fits {
        let law = fit.law;
        let mut line = format!(
            "{}: a {}, b {}, c {}, rmse {:.4} {unit}",
            law.form,
            three_digits(law.a),
            three_digits(law.b),
            three_digits(law.c),
            fit.rmse
        );
        line.extend(fit.aic.map(|aic| format!(", AIC {aic:.1}")));
        lines.push(line);
    }
    lines.extend(compared.refused.iter().map(|(form, why)| format!("{form}: {why}")));
    lines
}
