//! What each number is called, and what it says. A contract with whoever has written alerts: names are added, not changed.
//! `docs/metrics.md` has the same list, and a test holds it to that.

use super::sheet::{Family, Sort, Unit};

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        help,
        unit: None,
        sort: Sort::Gauge,
    }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family {
        sort: Sort::Counter,
        ..gauge(name, help)
    }
}

const fn time(name: &'static str, help: &'static str) -> Family {
    Family {
        unit: Some(Unit::Seconds),
        ..gauge(name, help)
    }
}

const fn bytes(family: Family) -> Family {
    Family {
        unit: Some(Unit::Bytes),
        ..family
    }
}

// The agent.
pub(super) const AGENT_UP: Family = gauge(
    "backupwatch_agent_up",
    "1 while the agent runs; 0 once it has ended politely.",
);
pub(super) const BUILD_INFO: Family = gauge(
    "backupwatch_build_info",
    "Always 1; the release is in its label.",
);
pub(super) const AS_OF: Family = time(
    "backupwatch_as_of_timestamp",
    "When these numbers were computed. One that stays behind the clock means that nobody watches any more.",
);
pub(super) const AGENT_START: Family = time(
    "backupwatch_agent_start_timestamp",
    "When the agent started.",
);
pub(super) const LAST_POLL: Family = time(
    "backupwatch_agent_last_poll_timestamp",
    "When the agent last looked at everything that is attached.",
);
pub(super) const TURNS: Family = counter(
    "backupwatch_agent_wakeups",
    "How often the agent's loop woke up since the agent started.",
);
pub(super) const REMARKS: Family = gauge(
    "backupwatch_agent_remarks",
    "How many sentences of the agent about itself a person should read: `backupwatch status` has them.",
);
pub(super) const USBMUXD_UP: Family = gauge(
    "backupwatch_usbmuxd_up",
    "Whether usbmuxd answers; without it no device can be seen.",
);
pub(super) const STORE_USABLE: Family = gauge(
    "backupwatch_store_usable",
    "Whether a local backup could be made where backups go.",
);
pub(super) const STORE_FREE: Family = bytes(gauge(
    "backupwatch_store_free",
    "How much room there is for backups.",
));
pub(super) const DEVICES: Family = gauge(
    "backupwatch_devices",
    "How many devices are known, by how well they are protected.",
);
pub(super) const LEFT_OUT: Family = gauge(
    "backupwatch_devices_left_out",
    "How many known devices have no numbers of their own here, because there are too many.",
);

// One device.
pub(super) const PROTECTION: Family = gauge(
    "backupwatch_protection",
    "1 at how well the device is protected now, 0 at everything else.",
);
pub(super) const ICLOUD_STATE: Family = gauge(
    "backupwatch_icloud_state",
    "1 at the state of the device's iCloud backup, 0 at everything else.",
);
pub(super) const ICLOUD_ENABLED: Family = gauge(
    "backupwatch_icloud_enabled",
    "Whether iCloud Backup is switched on; absent where the device does not say.",
);
pub(super) const ICLOUD_LAST: Family = time(
    "backupwatch_icloud_last_backup_timestamp",
    "When the last iCloud backup that is known of ended, by the device's clock; absent where that is not known.",
);
pub(super) const LOCAL_STATE: Family = gauge(
    "backupwatch_local_state",
    "1 at the state of the safety net, 0 at everything else.",
);
pub(super) const LOCAL_LAST: Family = time(
    "backupwatch_local_last_backup_timestamp",
    "When the newest local backup on this computer was made.",
);
pub(super) const LOCAL_LEVEL: Family = gauge(
    "backupwatch_local_verified_level",
    "How deep the newest local backup was checked, 0 to 4; absent unless it is verified.",
);
pub(super) const LOCAL_VERIFIED: Family = time(
    "backupwatch_local_verified_timestamp",
    "When it was checked as deep as that.",
);
pub(super) const LOCAL_DAMAGED: Family = gauge(
    "backupwatch_local_damaged_files",
    "How many files of the newest local backup are not what they were; absent unless it is damaged.",
);
pub(super) const LAST_CONTACT: Family = time(
    "backupwatch_last_contact_timestamp",
    "When the device last answered.",
);
pub(super) const MUTED: Family = gauge(
    "backupwatch_muted",
    "Whether a person wants to hear nothing about the device.",
);
pub(super) const RUNNING: Family = gauge(
    "backupwatch_backup_running",
    "Whether a local backup runs now.",
);
pub(super) const DUE: Family = gauge(
    "backupwatch_backup_due",
    "Whether a local backup is needed and has not begun.",
);
pub(super) const RUNS: Family = counter(
    "backupwatch_backup_runs",
    "How many local backups have ended since the agent started, by how; `verified` is the good end.",
);
pub(super) const RECEIVED: Family = bytes(counter(
    "backupwatch_backup_received",
    "How much they have received.",
));
pub(super) const FAILURES_IN_A_ROW: Family = gauge(
    "backupwatch_backup_failures_in_a_row",
    "How many local backups have failed since the last good one, up to 100. What a person stopped does not count.",
);
pub(super) const LAST_RUN_END: Family = time(
    "backupwatch_backup_last_end_timestamp",
    "When the last local backup ended, however it did.",
);
pub(super) const LAST_RUN_GOOD: Family = gauge(
    "backupwatch_backup_last_verified",
    "Whether the last local backup ended well.",
);
pub(super) const LAST_RUN_DURATION: Family = time(
    "backupwatch_backup_last_duration",
    "How long the last local backup took.",
);
pub(super) const LAST_RUN_SIZE: Family = bytes(gauge(
    "backupwatch_backup_last_received",
    "How much the last local backup received.",
));

/// All of them.
#[cfg(test)]
pub(super) const ALL: [Family; 32] = [
    AGENT_UP,
    BUILD_INFO,
    AS_OF,
    AGENT_START,
    LAST_POLL,
    TURNS,
    REMARKS,
    USBMUXD_UP,
    STORE_USABLE,
    STORE_FREE,
    DEVICES,
    LEFT_OUT,
    PROTECTION,
    ICLOUD_STATE,
    ICLOUD_ENABLED,
    ICLOUD_LAST,
    LOCAL_STATE,
    LOCAL_LAST,
    LOCAL_LEVEL,
    LOCAL_VERIFIED,
    LOCAL_DAMAGED,
    LAST_CONTACT,
    MUTED,
    RUNNING,
    DUE,
    RUNS,
    RECEIVED,
    FAILURES_IN_A_ROW,
    LAST_RUN_END,
    LAST_RUN_GOOD,
    LAST_RUN_DURATION,
    LAST_RUN_SIZE,
];
