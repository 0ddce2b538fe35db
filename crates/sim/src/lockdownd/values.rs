//! GetValue, SetValue and RemoveValue: what is readable in a session, what without, and what is made when asked for
//! (protocol.md 5.3, 5.4).

use backupwatch_wire::lockdown::LockdownError;
use jiff::Timestamp;
use plist::{Dictionary, Value};

use crate::phone::{Phone, ROOT_DOMAIN};

/// Root keys that anybody may read: those of protocol.md 5.4, and what clients show of a phone before it is paired.
const PUBLIC: &[&str] = &[
    "BuildVersion",
    "CPUArchitecture",
    "ChipID",
    "DeviceClass",
    "DeviceColor",
    "DeviceName",
    "DevicePublicKey",
    "HardwareModel",
    "HasSiDP",
    "PartitionType",
    "ProductName",
    "ProductType",
    "ProductVersion",
    "ProductionSOC",
    "ProtocolVersion",
    "SupportedDeviceFamilies",
    "TelephonyCapability",
    "UniqueChipID",
    "UniqueDeviceID",
    "WiFiAddress",
];

/// Root keys that a host may change.
const CHANGEABLE: &[&str] = &["DeviceName", "TimeIntervalSince1970", "TimeZone"];

pub(super) fn get(
    phone: &Phone,
    domain: Option<&str>,
    key: Option<&str>,
    paired: bool,
) -> Result<Value, LockdownError> {
    // Some hosts spell the root domain as an empty string.
    let domain = domain
        .filter(|domain| !domain.is_empty())
        .unwrap_or(ROOT_DOMAIN);
    let root = domain == ROOT_DOMAIN;
    let readable = |key: &str| {
        let public = root
            && (PUBLIC.contains(&key)
                || phone
                    .persona()
                    .lockdown
                    .unpaired_readable
                    .iter()
                    .any(|one| one == key));
        (paired || public) && !prohibited(phone, domain, Some(key))
    };
    if prohibited(phone, domain, None) || (!paired && !root) {
        return Err(LockdownError::GetProhibited);
    }
    let values = whole(phone, domain).ok_or(LockdownError::MissingValue)?;
    match key {
        Some(key) if !readable(key) => Err(LockdownError::GetProhibited),
        Some(key) => values.get(key).cloned().ok_or(LockdownError::MissingValue),
        None => {
            let visible = values
                .into_iter()
                .filter(|(key, _)| readable(key))
                .collect();
            Ok(Value::Dictionary(visible))
        }
    }
}

/// A domain with the values of this moment.
fn whole(phone: &Phone, domain: &str) -> Option<Dictionary> {
    let mut values = phone.domain(domain)?;
    if domain == ROOT_DOMAIN {
        for (key, value) in momentary(phone) {
            let overridden = values.contains_key(key) || missing(phone, key);
            if !overridden {
                values.insert(key.to_owned(), value);
            }
        }
    }
    Some(values)
}

fn momentary(phone: &Phone) -> [(&'static str, Value); 2] {
    let now = phone.clock().now();
    [
        ("PasswordProtected", Value::Boolean(phone.state().locked)),
        (
            "TimeIntervalSince1970",
            Value::Real(now.as_duration().as_secs_f64()),
        ),
    ]
}

fn prohibited(phone: &Phone, domain: &str, key: Option<&str>) -> bool {
    phone
        .persona()
        .lockdown
        .prohibited
        .iter()
        .any(|path| match (path.split_once('/'), key) {
            (None, _) => path == domain,
            (Some((in_domain, this)), Some(key)) => in_domain == domain && this == key,
            (Some(_), None) => false,
        })
}

fn missing(phone: &Phone, key: &str) -> bool {
    let gone = |path: &String| path.split_once('/') == Some((ROOT_DOMAIN, key));
    phone.persona().lockdown.missing.iter().any(gone)
}

/// Sets a value, or removes it when there is none.
pub(super) fn set(
    phone: &Phone,
    domain: Option<&str>,
    key: Option<&str>,
    value: Option<&Value>,
    paired: bool,
) -> Result<(), LockdownError> {
    let domain = domain
        .filter(|domain| !domain.is_empty())
        .unwrap_or(ROOT_DOMAIN);
    let no = if value.is_some() {
        LockdownError::SetProhibited
    } else {
        LockdownError::RemoveProhibited
    };
    let key = key.ok_or(LockdownError::MissingKey)?;
    if !paired || prohibited(phone, domain, Some(key)) {
        return Err(no);
    }
    if domain == ROOT_DOMAIN {
        if !CHANGEABLE.contains(&key) || value.is_none() {
            return Err(no);
        }
        if key == "TimeIntervalSince1970" {
            let at = value.and_then(moment).ok_or(no)?;
            phone.clock().set(at);
            return Ok(());
        }
    } else if phone.domain(domain).is_none() {
        return Err(no);
    }
    phone.set_value(domain, key, value.cloned());
    Ok(())
}

fn moment(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_real().or_else(|| {
        // Whole seconds of any date fit a real exactly.
        value
            .as_signed_integer()
            .and_then(|whole| i32::try_from(whole).ok())
            .map(f64::from)
    })?;
    let since = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(since).ok()
}
