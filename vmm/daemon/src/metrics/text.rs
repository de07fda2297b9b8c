//! The text format.

use paravane_api::stats::{Histogram, LATENCY_BOUNDS_NS};
use std::fmt::{Display, Write};

/// What a family of figures is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A text with figures, in which a family's are together.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    name: &'static str,
}

/// The labels of a figure.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    /// Begins a family.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.name = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // A string takes all that is written.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A figure of the family.
    pub fn figure(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A histogram of the family, in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let mut sum = 0;
        for (bound, count) in LATENCY_BOUNDS_NS.iter().zip(&histogram.buckets) {
            sum += count;
            let bound = seconds(*bound).to_string();
            self.line("_bucket", labels, Some(&bound), sum);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count);
        self.line("_sum", labels, None, seconds(histogram.sum_ns));
        self.line("_count", labels, None, histogram.count);
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, end: &str, labels: Labels<'_>, le: Option<&str>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(end);
        let le = le.map(|le| ("le", le));
        let mut mark = '{';
        for (name, value) in labels.iter().copied().chain(le) {
            self.text.push(mark);
            mark = ',';
            let _ = write!(self.text, "{name}=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        if mark == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

/// Counts a time in a histogram.
pub fn count(histogram: &mut Histogram, ns: u64) {
    histogram.buckets.resize(LATENCY_BOUNDS_NS.len() + 1, 0);
    let bucket = LATENCY_BOUNDS_NS.partition_point(|bound| *bound < ns);
    if let Some(bucket) = histogram.buckets.get_mut(bucket) {
        *bucket += 1;
    }
    histogram.count += 1;
    histogram.sum_ns = histogram.sum_ns.saturating_add(ns);
}

/// Adds a histogram to another. What comes from a VM's process may be anything.
pub fn add(sum: &mut Histogram, other: &Histogram) {
    sum.buckets.resize(LATENCY_BOUNDS_NS.len() + 1, 0);
    for (sum, other) in sum.buckets.iter_mut().zip(&other.buckets) {
        *sum = sum.saturating_add(*other);
    }
    sum.count = sum.count.saturating_add(other.count);
    sum.sum_ns = sum.sum_ns.saturating_add(other.sum_ns);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_prometheus_reads_it() {
        let mut text = Text::default();
        text.family("a_total", Kind::Counter, "Things");
        text.figure(&[], 1);
        text.figure(&[("vm", "a\"b\\c\nd"), ("x", "y")], 2.5);
        let mut histogram = Histogram::default();
        for ns in [400, 500, 501, 200_000_000] {
            count(&mut histogram, ns);
        }
        text.family("b_seconds", Kind::Histogram, "Times");
        text.histogram(&[("vm", "a")], &histogram);
        let text = text.finish();
        let expected = "# HELP a_total Things\n# TYPE a_total counter\na_total 1\n\
                        a_total{vm=\"a\\\"b\\\\c\\nd\",x=\"y\"} 2.5\n\
                        # HELP b_seconds Times\n# TYPE b_seconds histogram\n\
                        b_seconds_bucket{vm=\"a\",le=\"0.0000005\"} 2\n\
                        b_seconds_bucket{vm=\"a\",le=\"0.000001\"} 3\n";
        assert!(text.starts_with(expected), "{text}");
        let end = "b_seconds_bucket{vm=\"a\",le=\"0.1\"} 3\n\
                   b_seconds_bucket{vm=\"a\",le=\"+Inf\"} 4\n\
                   b_seconds_sum{vm=\"a\"} 0.200001401\nb_seconds_count{vm=\"a\"} 4\n";
        assert!(text.ends_with(end), "{text}");
    }
}
