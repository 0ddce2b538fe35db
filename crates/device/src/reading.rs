//! What the values of lockdown's domains mean as facts: keys, types and units of protocol.md 5, nothing invented.
//!
//! Of the root domain only what a verdict needs is kept; phone number, IMEI and serial number stay behind.
//! Not here: asking (`probe`), and whether a fact is good news (`core`).

use backupwatch_core::date::{self, RawDate};
use backupwatch_core::facts::{Battery, Disk, Setup};
use backupwatch_core::{DeviceTime, HostTime, NoAnswer, Reading};
use backupwatch_wire::fields;
use jiff::Timestamp;
use plist::{Dictionary, Value};

/// A domain that answered, or why it did not.
pub(crate) type Domain = Result<Dictionary, NoAnswer>;

/// Longest text that is kept of a value. A device name has at most 63 bytes in Apple's own settings; the phone decides.
const LONGEST_TEXT: usize = 128;
/// Longest raw value that an unreadable one is reported with.
const LONGEST_RAW: usize = 64;

pub(crate) fn text(domain: &Domain, key: &str) -> Reading<String> {
    let value = value(domain, key)?;
    match value.as_string() {
        Some(text) => Ok(clean(text, LONGEST_TEXT)),
        None => Err(unreadable(value)),
    }
}

/// A truth, written as boolean or as 0 and 1 (`RequiresEncryption` is an integer in capture A).
pub(crate) fn truth(domain: &Domain, key: &str) -> Reading<bool> {
    let value = value(domain, key)?;
    match (value.as_boolean(), fields::whole(value)) {
        (Some(truth), _) => Ok(truth),
        (None, Some(0)) => Ok(false),
        (None, Some(1)) => Ok(true),
        (None, _) => Err(unreadable(value)),
    }
}

/// A truth that is `false` where its domain answers but the key is absent: `WillEncrypt` and `RequiresEncryption`
/// (protocol.md 5.2).
pub(crate) fn truth_or_no(domain: &Domain, key: &str) -> Reading<bool> {
    match truth(domain, key) {
        Err(NoAnswer::Missing) if domain.is_ok() => Ok(false),
        other => other,
    }
}

/// A truth that nothing but a boolean tells (`IsAssociated`, remediation.md 1.5.1).
pub(crate) fn strict_truth(domain: &Domain, key: &str) -> Reading<bool> {
    let value = value(domain, key)?;
    value.as_boolean().ok_or_else(|| unreadable(value))
}

/// `TimeIntervalSince1970`: the phone's clock as a real of seconds.
pub(crate) fn device_clock(root: &Domain) -> Reading<DeviceTime> {
    let value = value(root, "TimeIntervalSince1970")?;
    let seconds = match (value.as_real(), fields::whole(value)) {
        (Some(real), _) => Some(real),
        (None, Some(whole)) => i64::try_from(whole).ok().map(|whole| whole as f64),
        (None, None) => None,
    };
    seconds
        .and_then(|seconds| jiff::SignedDuration::try_from_secs_f64(seconds).ok())
        .and_then(|since| Timestamp::from_duration(since).ok())
        .map(DeviceTime)
        .ok_or_else(|| unreadable(value))
}

/// A backup date. A date from the future is told by the phone's own clock; where the phone has not told its clock, ours
/// must do for that one comparison.
pub(crate) fn backup_date(
    domain: &Domain,
    key: &str,
    clock: &Reading<DeviceTime>,
    seen_at: HostTime,
) -> Reading<DeviceTime> {
    let value = value(domain, key)?;
    let raw = match (value.as_real(), value.as_date(), fields::whole(value)) {
        (Some(real), _, _) => RawDate::Real(real),
        (_, Some(date), _) => match Timestamp::try_from(std::time::SystemTime::from(date)) {
            Ok(date) => RawDate::Date(date),
            Err(_) => RawDate::Other(describe(value)),
        },
        (_, _, Some(whole)) => RawDate::Integer(whole),
        (None, None, None) => RawDate::Other(describe(value)),
    };
    let now = clock.as_ref().copied().unwrap_or(DeviceTime(seen_at.0));
    date::read(&raw, now)
}

pub(crate) fn battery(domain: &Domain) -> Reading<Battery> {
    let value = value(domain, "BatteryCurrentCapacity")?;
    let percent = fields::whole(value)
        .and_then(|whole| u8::try_from(whole).ok())
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| unreadable(value))?;
    // A phone that tells neither is taken to be on its battery: the cautious reading.
    let on_power = ["ExternalConnected", "BatteryIsCharging"]
        .iter()
        .any(|key| truth(domain, key) == Ok(true));
    Ok(Battery { percent, on_power })
}

pub(crate) fn disk(domain: &Domain) -> Reading<Disk> {
    let bytes = |key| {
        let value = value(domain, key)?;
        fields::whole(value)
            .and_then(|whole| u64::try_from(whole).ok())
            .ok_or_else(|| unreadable(value))
    };
    Ok(Disk {
        total: bytes("TotalDataCapacity")?,
        free: match bytes("TotalDataAvailable") {
            Err(NoAnswer::Missing) => bytes("AmountDataAvailable")?,
            other => other?,
        },
    })
}

/// `com.apple.purplebuddy` (protocol.md 5.5): a restore that is still running shows in either state's name, as
/// `RestoringFromBackup` and `BackgroundRestoringFromiCloudBackup` do; `RestoredFrom…` is one that is over.
pub(crate) fn setup(domain: &Domain) -> Reading<Setup> {
    let state = |key| text(domain, key).unwrap_or_default();
    if ["RestoreState", "SetupState"]
        .iter()
        .any(|key| state(key).contains("Restoring"))
    {
        return Ok(Setup::Restoring);
    }
    match truth(domain, "SetupDone")? {
        true => Ok(Setup::Done),
        false => Ok(Setup::InProgress),
    }
}

fn value<'a>(domain: &'a Domain, key: &str) -> Result<&'a Value, NoAnswer> {
    match domain {
        Ok(values) => values.get(key).ok_or(NoAnswer::Missing),
        Err(why) => Err(why.clone()),
    }
}

fn unreadable(value: &Value) -> NoAnswer {
    NoAnswer::Unreadable {
        raw: describe(value),
    }
}

/// A value in words, without the content of what may be long or secret.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text, LONGEST_RAW),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Date(date) => date.to_xml_format(),
        Value::Array(_) => "an array".to_owned(),
        Value::Dictionary(_) => "a dictionary".to_owned(),
        Value::Data(_) => "data".to_owned(),
        Value::Uid(_) | _ => "a value of an unknown kind".to_owned(),
    }
}

/// Text of a device as a terminal may show it: no control characters, not endless.
fn clean(text: &str, longest: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(longest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(values: &[(&str, Value)]) -> Domain {
        Ok(values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect())
    }

    fn unreadable(raw: &str) -> NoAnswer {
        NoAnswer::Unreadable { raw: raw.into() }
    }

    fn at(text: &str) -> DeviceTime {
        DeviceTime(text.parse().unwrap())
    }

    #[test]
    fn truths() {
        let key = "RequiresEncryption";
        for (name, value, want) in [
            ("boolean", Some(Value::from(true)), Ok(true)),
            ("integer 0", Some(Value::from(0)), Ok(false)),
            ("integer 1", Some(Value::from(1)), Ok(true)),
            ("integer 2", Some(Value::from(2)), Err(unreadable("2"))),
            ("text", Some(Value::from("yes")), Err(unreadable("yes"))),
            ("absent", None, Err(NoAnswer::Missing)),
        ] {
            let values: Vec<_> = value.into_iter().map(|value| (key, value)).collect();
            let domain = domain(&values);
            assert_eq!(truth(&domain, key), want, "{name}");
            let or_no = match want {
                Err(NoAnswer::Missing) => Ok(false),
                other => other,
            };
            assert_eq!(truth_or_no(&domain, key), or_no, "{name}, absent means no");
        }
        let closed: Domain = Err(NoAnswer::Missing);
        assert_eq!(truth_or_no(&closed, key), Err(NoAnswer::Missing));
        assert_eq!(
            strict_truth(&domain(&[(key, Value::from(1))]), key),
            Err(unreadable("1"))
        );
    }

    #[test]
    fn clocks() {
        let key = "TimeIntervalSince1970";
        for (name, value, want) in [
            (
                "capture A",
                Value::Real(1_747_429_388.65),
                Ok(at("2025-05-16T21:03:08.65Z")),
            ),
            ("integer", Value::from(0), Ok(at("1970-01-01T00:00:00Z"))),
            ("endless", Value::Real(1e300), Err(())),
            ("not a number", Value::Real(f64::NAN), Err(())),
            ("text", Value::from("noon"), Err(())),
        ] {
            let read = device_clock(&domain(&[(key, value)]));
            match want {
                Ok(want) => {
                    let off = read.unwrap().0.duration_since(want.0).abs();
                    assert!(off < jiff::SignedDuration::from_millis(1), "{name}");
                }
                Err(()) => assert!(matches!(read, Err(NoAnswer::Unreadable { .. })), "{name}"),
            }
        }
    }

    #[test]
    fn backup_dates() {
        let clock = Ok(at("2026-11-01T00:00:00Z"));
        let seen = HostTime("2026-11-01T00:00:00Z".parse().unwrap());
        let date = Timestamp::from_second(1_747_341_447).unwrap();
        for (name, value, want) in [
            (
                "capture A",
                Value::from(769_034_247),
                Ok(at("2025-05-15T20:37:27Z")),
            ),
            (
                "capture B",
                Value::from(812_806_913),
                Ok(at("2026-10-04T11:41:53Z")),
            ),
            (
                "real",
                Value::Real(769_034_247.75),
                Ok(at("2025-05-15T20:37:27Z")),
            ),
            (
                "plist date",
                Value::Date(std::time::SystemTime::from(date).into()),
                Ok(at("2025-05-15T20:37:27Z")),
            ),
            (
                "a Unix time",
                Value::from(1_747_341_447),
                Err(unreadable("1747341447")),
            ),
            (
                "text with an escape",
                Value::from("\u{1b}[31mnever"),
                Err(unreadable("[31mnever")),
            ),
            ("data", Value::Data(vec![1]), Err(unreadable("data"))),
            (
                "greater than 63 bits",
                Value::from(u64::MAX),
                Err(unreadable("18446744073709551615")),
            ),
        ] {
            let domain = domain(&[("LastCloudBackupDate", value)]);
            assert_eq!(
                backup_date(&domain, "LastCloudBackupDate", &clock, seen),
                want,
                "{name}"
            );
        }
    }

    #[test]
    fn batteries_and_disks() {
        let charge = |percent: i64| {
            battery(&domain(&[
                ("BatteryCurrentCapacity", Value::from(percent)),
                ("BatteryIsCharging", Value::from(false)),
                ("ExternalConnected", Value::from(true)),
            ]))
        };
        assert_eq!(
            charge(100),
            Ok(Battery {
                percent: 100,
                on_power: true
            })
        );
        assert_eq!(charge(101), Err(unreadable("101")));
        assert_eq!(charge(-1), Err(unreadable("-1")));

        let total = ("TotalDataCapacity", Value::from(100));
        let read = |free: &str| disk(&domain(&[total.clone(), (free, Value::from(7))]));
        let want = Ok(Disk {
            total: 100,
            free: 7,
        });
        assert_eq!(read("TotalDataAvailable"), want);
        assert_eq!(read("AmountDataAvailable"), want);
        assert_eq!(read("SomethingElse"), Err(NoAnswer::Missing));
    }

    #[test]
    fn set_up() {
        let done = ("SetupDone", Value::from(true));
        for (name, values, want) in [
            ("done", vec![done.clone()], Ok(Setup::Done)),
            (
                "not done",
                vec![("SetupDone", Value::from(false))],
                Ok(Setup::InProgress),
            ),
            (
                "restoring in the background",
                vec![
                    done.clone(),
                    (
                        "RestoreState",
                        Value::from("BackgroundRestoringFromiCloudBackup"),
                    ),
                ],
                Ok(Setup::Restoring),
            ),
            (
                "restored long ago",
                vec![
                    done,
                    ("RestoreState", Value::from("RestoredFromiTunesBackup")),
                ],
                Ok(Setup::Done),
            ),
            ("nothing", vec![], Err(NoAnswer::Missing)),
        ] {
            assert_eq!(setup(&domain(&values)), want, "{name}");
        }
    }

    #[test]
    fn names_are_fit_for_a_terminal() {
        let long = "é".repeat(1000);
        let domain = domain(&[
            ("DeviceName", Value::from("Ann\u{1b}[2Ja’s 📱\n")),
            ("Long", Value::from(long.as_str())),
        ]);
        assert_eq!(text(&domain, "DeviceName"), Ok("Ann[2Ja’s 📱".into()));
        assert_eq!(text(&domain, "Long").unwrap().chars().count(), LONGEST_TEXT);
    }
}
