//! A sheet as text: OpenMetrics, and the older format of Prometheus, which is all that node_exporter and many others read.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{self, DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as Named};

use super::sheet::{Sheet, Sort};

/// What the first is called on the wire.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What the second is called.
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Collector for Sheet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (family, samples) in self.families() {
            let unit = family.unit.map(|unit| Named::Other(unit.name().to_owned()));
            let sort = match family.sort {
                Sort::Gauge => MetricType::Gauge,
                Sort::Counter => MetricType::Counter,
            };
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), sort)?;
            for sample in samples {
                // No braces where there is nothing in them.
                if sample.labels.is_empty() {
                    encode(&mut metric, family.sort, sample.value)?;
                } else {
                    let mut labelled = metric.encode_family(&sample.labels)?;
                    encode(&mut labelled, family.sort, sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(metric: &mut MetricEncoder<'_>, sort: Sort, value: f64) -> fmt::Result {
    match sort {
        Sort::Gauge => metric.encode_gauge(&value),
        Sort::Counter => metric.encode_counter::<[(&str, &str); 0], f64, f64>(&value, None),
    }
}

/// The sheet in OpenMetrics.
pub(super) fn open_metrics(sheet: Arc<Sheet>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(sheet));
    let mut text = String::new();
    encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The same in the older format: a counter is named by its samples there, and neither a unit nor an end is said.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut counters = Vec::new();
    for line in open_metrics.lines() {
        if let Some(name) = line
            .strip_prefix("# TYPE ")
            .and_then(|line| line.strip_suffix(" counter"))
        {
            counters.push(name);
        }
    }
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        // No sample begins like this, whatever a label holds: line ends are escaped in there.
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(word), Some(name), Some(rest)) if counters.contains(&name) => {
                text.push_str(&format!("# {word} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sheet::{Family, Unit};
    use super::*;

    const AGE: Family = Family {
        name: "backupwatch_age",
        help: "How old.",
        unit: Some(Unit::Seconds),
        sort: Sort::Gauge,
    };
    const RUNS: Family = Family {
        name: "backupwatch_runs",
        help: "How many.",
        unit: None,
        sort: Sort::Counter,
    };

    fn sheet(name: &str) -> Arc<Sheet> {
        let mut sheet = Sheet::default();
        let labels = [("name", name.to_owned())];
        sheet.note(AGE, &labels, Some(1.5));
        sheet.note(AGE, &[], None);
        sheet.note(AGE, &[], Some(f64::NAN));
        sheet.note(RUNS, &labels, Some(3.0));
        Arc::new(sheet)
    }

    #[test]
    fn both_formats_say_the_same() {
        let open = open_metrics(sheet("Anna")).unwrap();
        insta::assert_snapshot!(open, @r#"
        # HELP backupwatch_age_seconds How old.
        # TYPE backupwatch_age_seconds gauge
        # UNIT backupwatch_age_seconds seconds
        backupwatch_age_seconds{name="Anna"} 1.5
        # HELP backupwatch_runs How many.
        # TYPE backupwatch_runs counter
        backupwatch_runs_total{name="Anna"} 3.0
        # EOF
        "#);
        insta::assert_snapshot!(classic(&open), @r#"
        # HELP backupwatch_age_seconds How old.
        # TYPE backupwatch_age_seconds gauge
        backupwatch_age_seconds{name="Anna"} 1.5
        # HELP backupwatch_runs_total How many.
        # TYPE backupwatch_runs_total counter
        backupwatch_runs_total{name="Anna"} 3.0
        "#);
    }

    /// A name comes from a phone, and a phone may be anybody's.
    #[test]
    fn a_hostile_name_stays_inside_its_label() {
        let lines = open_metrics(sheet("x")).unwrap().lines().count();
        for name in [
            "\"} 1\nbackupwatch_age_seconds 0",
            "\\",
            "\\\"",
            "a\n# EOF\nb",
            "a\r\n# TYPE backupwatch_runs counter",
            "{}=,\"",
            "\u{2028}\u{85}é🐴",
            "",
        ] {
            let open = open_metrics(sheet(name)).unwrap();
            let escaped = name
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let line = format!("backupwatch_age_seconds{{name=\"{escaped}\"}} 1.5");
            assert!(open.split('\n').any(|one| one == line), "{name:?}: {open}");
            assert_eq!(open.split('\n').count(), lines + 1, "{name:?}: {open}");
            let text = classic(&open);
            assert_eq!(text.split('\n').count(), lines - 1, "{name:?}: {text}");
            assert!(text.split('\n').any(|one| one == line), "{name:?}: {text}");
        }
    }
}
