//! Lines of programs that have nothing to do with backups, the same ones round and round.

use jiff::Timestamp;

use crate::phone::log::{
    CLOUDD, KERNEL, LAUNCHD, LOCATIOND, Level, LogLine, Program, SPRINGBOARD, WIFID,
};

/// So many come at once.
pub(super) const FIRST: usize = LINES.len();

type Words = (Program, Level, &'static str, &'static str, &'static str);

const LINES: [Words; 7] = [
    (
        SPRINGBOARD,
        Level::Notice,
        "com.apple.SpringBoard",
        "Common",
        "Front display did change: <private>",
    ),
    (
        LOCATIOND,
        Level::Info,
        "com.apple.locationd.Position",
        "General",
        "{\"msg\":\"onClientMessage\", \"client\":<private>}",
    ),
    (
        WIFID,
        Level::Debug,
        "com.apple.WiFiManager",
        "",
        "__WiFiDeviceProcessRSSIEvent: rssi -52, “<private>”",
    ),
    (
        KERNEL,
        Level::Notice,
        "",
        "",
        "wlan0: roam scan done\nno candidate",
    ),
    (
        CLOUDD,
        Level::Error,
        "com.apple.cloudkit",
        "Network",
        "Request <private> failed: <private> (CKErrorDomain:25)",
    ),
    (
        LAUNCHD,
        Level::Notice,
        "",
        "",
        "xpcproxy spawned with pid <private>",
    ),
    (
        SPRINGBOARD,
        Level::Fault,
        "com.apple.UserNotifications",
        "Alerts",
        "Backup failed, says a note of somebody: =cloud-backup= Backup failed: MBErrorDomain(209)",
    ),
];

#[derive(Debug, Default)]
pub(super) struct Noise {
    sent: usize,
}

impl Noise {
    pub fn next(&mut self, at: Timestamp) -> LogLine {
        let [first, ..] = LINES;
        let place = self.sent % LINES.len();
        self.sent = self.sent.wrapping_add(1);
        let (program, level, subsystem, category, message) =
            LINES.get(place).copied().unwrap_or(first);
        LogLine {
            at,
            program,
            level,
            subsystem,
            category,
            message: message.to_owned(),
        }
    }
}
