//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

/// What the media type of the format is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics. Samples follow the declaration of their metric.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    name: &'static str,
}

impl Exposition {
    /// Declares what only grows while the coordinator runs. Its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> &mut Self {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.declare(name, "counter", help)
    }

    /// Declares what goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.declare(name, "gauge", help)
    }

    fn declare(&mut self, name: &'static str, kind: &str, help: &str) -> &mut Self {
        self.name = name;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// A sample of the metric that was declared last.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, value);
        self
    }

    /// Declares a metric of durations and writes it: how many took at most as long as each bound, how many there were, and how
    /// long they took together.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        bounds: &[f64],
        cumulative: &[u64],
        seconds: f64,
    ) -> &mut Self {
        self.declare(name, "histogram", help);
        for (bound, count) in bounds.iter().zip(cumulative) {
            self.line("_bucket", &[("le", &bound.to_string())], count);
        }
        let all = cumulative.last().copied().unwrap_or_default();
        self.line("_bucket", &[("le", "+Inf")], all);
        self.line("_sum", &[], seconds);
        self.line("_count", &[], all);
        self
    }

    fn line(&mut self, ending: &str, labels: &[(&str, &str)], value: impl Display) {
        // Writing to a text cannot fail.
        let _ = write!(self.text, "{}{ending}", self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_format() {
        let mut page = Exposition::default();
        page.gauge("a_b", "What it is,\nin \\ words.").sample(&[], 2.5).sample(&[("c", "d\"e\\f\ng"), ("h", "")], 3);
        page.counter("n_total", "Counted.").sample(&[], u64::MAX);
        page.histogram("t_seconds", "Took.", &[0.5, 1.0], &[1, 3, 4], 7.25);
        assert_eq!(
            page.into_text(),
            "# HELP a_b What it is,\\nin \\\\ words.\n# TYPE a_b gauge\na_b 2.5\na_b{c=\"d\\\"e\\\\f\\ng\",h=\"\"} 3\n\
             # HELP n_total Counted.\n# TYPE n_total counter\nn_total 18446744073709551615\n\
             # HELP t_seconds Took.\n# TYPE t_seconds histogram\nt_seconds_bucket{le=\"0.5\"} 1\n\
             t_seconds_bucket{le=\"1\"} 3\nt_seconds_bucket{le=\"+Inf\"} 4\nt_seconds_sum 7.25\nt_seconds_count 4\n"
        );
    }
}
