//! A sheet as one request of OTLP/HTTP in its JSON form, `ExportMetricsServiceRequest`: what any OpenTelemetry collector takes, and
//! Prometheus itself. By hand, because it is one small document, and the library for it would be half a megabyte of program.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::sheet::{Family, Label, Sample, Sheet, Sort};

/// From the numbers of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    /// The alias of this installation.
    pub(crate) installation: String,
    /// The name of this computer; it is told only where names are allowed.
    pub(crate) host: Option<String>,
    /// When the agent started, and all that it counts.
    pub(crate) started: Timestamp,
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// The request's body.
pub(super) fn request(
    sheet: &Sheet,
    sender: &Sender,
    now: Timestamp,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut attributes = vec![
        Attribute::of("service.name", "backupwatch"),
        Attribute::of("service.version", env!("CARGO_PKG_VERSION")),
        Attribute::of("service.instance.id", &sender.installation),
    ];
    attributes.extend(
        sender
            .host
            .iter()
            .map(|host| Attribute::of("host.name", host)),
    );
    let moments = Moments {
        started: sender.started,
        now,
    };
    let metrics = sheet
        .families()
        .map(|(family, samples)| Metric::of(family, samples, moments))
        .collect();
    serde_json::to_vec(&Request {
        resource_metrics: [ResourceMetrics {
            resource: Resource { attributes },
            scope_metrics: [ScopeMetrics {
                scope: Scope {
                    name: "backupwatch",
                    version: env!("CARGO_PKG_VERSION"),
                },
                metrics,
            }],
        }],
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_metrics: [ResourceMetrics<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMetrics<'a> {
    resource: Resource<'a>,
    scope_metrics: [ScopeMetrics<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeMetrics<'a> {
    scope: Scope,
    metrics: Vec<Metric<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: Text<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    string_value: &'a str,
}

impl<'a> Attribute<'a> {
    fn of(key: &'a str, value: &'a str) -> Self {
        Self {
            key,
            value: Text {
                string_value: value,
            },
        }
    }

    fn of_label((key, value): &'a Label) -> Self {
        Self::of(key, value)
    }
}

/// The name has no unit in it and no `_total`: who makes Prometheus' names of it adds both.
#[derive(Serialize)]
struct Metric<'a> {
    name: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(flatten)]
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Data<'a> {
    #[serde(rename_all = "camelCase")]
    Gauge { data_points: Vec<Point<'a>> },
    #[serde(rename_all = "camelCase")]
    Sum {
        aggregation_temporality: u8,
        is_monotonic: bool,
        data_points: Vec<Point<'a>>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Point<'a> {
    attributes: Vec<Attribute<'a>>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "nanoseconds"
    )]
    start_time_unix_nano: Option<Timestamp>,
    #[serde(serialize_with = "nanoseconds")]
    time_unix_nano: Option<Timestamp>,
    as_double: f64,
}

/// 64-bit numbers are text in protobuf's JSON.
fn nanoseconds<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&at.map_or(0, Timestamp::as_nanosecond))
}

#[derive(Clone, Copy)]
struct Moments {
    started: Timestamp,
    now: Timestamp,
}

impl<'a> Metric<'a> {
    fn of(family: &Family, samples: &'a [Sample], moments: Moments) -> Self {
        let points = |started: Option<Timestamp>| {
            let point = |sample: &'a Sample| Point {
                attributes: sample.labels.iter().map(Attribute::of_label).collect(),
                start_time_unix_nano: started,
                time_unix_nano: Some(moments.now),
                as_double: sample.value,
            };
            samples.iter().map(point).collect()
        };
        Self {
            name: family.name,
            description: family.help,
            unit: family.unit.map(super::sheet::Unit::symbol),
            data: match family.sort {
                Sort::Gauge => Data::Gauge {
                    data_points: points(None),
                },
                Sort::Counter => Data::Sum {
                    aggregation_temporality: CUMULATIVE,
                    is_monotonic: true,
                    data_points: points(Some(moments.started)),
                },
            },
        }
    }
}
