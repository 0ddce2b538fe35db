//! What the tests of this crate share: a phone that answers everything, and moments to say it at.

use crate::evidence::{Attempt, Books, ErrorCode};
use crate::facts::{Battery, Disk, Facts, LinkKind, NoAnswer, Setup, Trust};
use crate::run::{RunEnd, RunFailure, RunKind, RunReport};
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::udid::Udid;
use crate::verdict::{Level, LocalCopy};

/// Anna's phone.
pub(crate) const ANNA: &str = "00008110-000A1B2C3D4E5F60";

/// Ben's tablet.
pub(crate) const BEN: &str = "00008112-000B2C3D4E5F6071";

pub(crate) fn udid(text: &str) -> Udid {
    Udid::parse(text).unwrap()
}

/// A moment, in UTC; the tests live at UTC+2.
pub(crate) fn at(text: &str) -> Now {
    Now::new(text.parse().unwrap(), 7_200)
}

pub(crate) fn later(now: &Now, period: Period) -> Now {
    Now {
        host: now.host.plus(period),
        utc_offset_s: now.utc_offset_s,
    }
}

pub(crate) fn earlier(now: &Now, period: Period) -> HostTime {
    now.host.plus(Period::seconds(-period.as_seconds()))
}

/// A phone in good order whose last iCloud backup is `age` old.
pub(crate) fn facts(now: &Now, age: Period) -> Facts {
    let unanswered = Facts::unanswered(
        udid(ANNA),
        now.host,
        vec![LinkKind::Usb],
        Trust::Trusted,
        &NoAnswer::Missing,
    );
    Facts {
        name: Ok("Anna’s iPhone".to_owned()),
        model: Ok("iPhone15,3".to_owned()),
        device_class: Ok("iPhone".to_owned()),
        os_version: Ok("26.1".to_owned()),
        build: Ok("23B85".to_owned()),
        device_clock: Ok(DeviceTime(now.host.0)),
        locked: Ok(true),
        cloud_enabled: Ok(true),
        cloud_last: Ok(DeviceTime(earlier(now, age).0)),
        will_encrypt: Ok(false),
        battery: Ok(Battery {
            percent: 80,
            on_power: true,
        }),
        disk: Ok(Disk {
            total: 128_000_000_000,
            free: 40_000_000_000,
        }),
        setup: Ok(Setup::Done),
        find_my: Ok(true),
        ..unanswered
    }
}

pub(crate) fn copy(made: HostTime) -> LocalCopy {
    LocalCopy {
        level: Level::L2,
        at: made,
        encrypted: false,
        bytes: 41_700_000_000,
        files: 61_234,
    }
}

pub(crate) fn report(now: &Now, end: RunEnd) -> Box<RunReport> {
    Box::new(RunReport {
        udid: udid(ANNA),
        started: earlier(now, Period::minutes(40)),
        ended: now.host,
        end,
        kind: RunKind::Incremental,
        bytes: 1_200_000_000,
        files: 812,
        refused: Vec::new(),
        warnings: Vec::new(),
    })
}

pub(crate) fn verified(now: &Now) -> Box<RunReport> {
    report(now, RunEnd::Verified(copy(now.host)))
}

pub(crate) fn failed(now: &Now, failure: RunFailure) -> Box<RunReport> {
    report(now, RunEnd::Failed(failure))
}

/// An attempt of the phone that ended then, with this error of its own; zero is a success.
pub(crate) fn attempt(at: DeviceTime, code: i64) -> Attempt {
    let error = ErrorCode {
        domain: "MBErrorDomain".to_owned(),
        code,
    };
    Attempt {
        at,
        chain: Some(error).filter(|_| code != 0).into_iter().collect(),
        app: None,
        text: None,
    }
}

/// Books that hold nothing but attempts, read now.
pub(crate) fn books(now: &Now, attempts: Vec<Attempt>) -> Books {
    Books {
        attempts,
        ..Books::blank(now.host)
    }
}
