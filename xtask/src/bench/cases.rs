//! What is measured: a table of cases, with the budgets of each.

use super::clients::Client::{
    self, Backupwatch, Copy, Drain, Idevice, Idevicebackup2, Libimobiledevice, Pymobiledevice3,
};

/// How the backup service is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    Tls,
    Plain,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    /// A first backup, into an empty folder.
    Full,
    /// A backup after a hundredth of the files changed, on top of each client's own.
    Incremental,
    /// No backup: ours is checked against its manifest.
    Verify,
}

/// What design and documentation promise of a case; what is promised of memory holds in every case.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Budget {
    /// Not more than so many times what the client takes that writes nothing.
    TimesDrain(f64),
    /// At least so many times as fast as the fastest peer.
    TimesBestPeer(f64),
    Seconds(f64),
    /// Numbers for information.
    None,
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// Of `fixtures/phones/bench`.
    pub(super) phone: &'static str,
    pub(super) link: Link,
    pub(super) work: Work,
    pub(super) clients: &'static [Client],
    pub(super) budget: Budget,
    /// Thousands of them, so that files that are gone weigh on those that come.
    pub(super) small_files: bool,
    /// Room on the disk that it needs, in bytes.
    pub(super) room: u64,
}

const GB: u64 = 1_000_000_000;
const ALL: &[Client] = &[
    Backupwatch,
    Copy,
    Drain,
    Idevice,
    Idevicebackup2,
    Pymobiledevice3,
    Libimobiledevice,
];
/// A client that keeps nothing has nothing to build on.
const KEEPING: &[Client] = &[
    Backupwatch,
    Copy,
    Idevice,
    Idevicebackup2,
    Pymobiledevice3,
    Libimobiledevice,
];
/// pymobiledevice3 would take longer than all others together.
const FAST: &[Client] = &[
    Backupwatch,
    Copy,
    Drain,
    Idevice,
    Idevicebackup2,
    Libimobiledevice,
];
/// What TLS costs can be seen on a few.
const FEW: &[Client] = &[Backupwatch, Drain, Idevice, Libimobiledevice];

pub(super) const CASES: &[Case] = &[
    Case {
        name: "small",
        what: "50 000 files of 4 KB",
        phone: "small",
        link: Link::Tls,
        work: Work::Full,
        clients: ALL,
        budget: Budget::TimesBestPeer(2.0),
        small_files: true,
        room: 6 * GB,
    },
    Case {
        name: "incremental",
        what: "50 000 files of 4 KB, 1 % of them changed",
        phone: "small",
        link: Link::Tls,
        work: Work::Incremental,
        clients: KEEPING,
        budget: Budget::TimesBestPeer(2.0),
        small_files: true,
        room: 6 * GB,
    },
    Case {
        name: "large",
        what: "one file of 8 GB and 200 of 10 MB",
        phone: "large",
        link: Link::Tls,
        work: Work::Full,
        clients: ALL,
        budget: Budget::TimesDrain(1.15),
        small_files: false,
        room: 25 * GB,
    },
    Case {
        name: "many",
        what: "200 000 files of 4 KB with a Manifest.db of 400 MB",
        phone: "many",
        link: Link::Tls,
        work: Work::Full,
        clients: FAST,
        budget: Budget::TimesBestPeer(2.0),
        small_files: true,
        room: 20 * GB,
    },
    Case {
        name: "verify",
        what: "verification at L2 of 150 000 files, warm",
        phone: "verify",
        link: Link::Plain,
        work: Work::Verify,
        clients: &[Backupwatch],
        budget: Budget::Seconds(10.0),
        small_files: true,
        room: 2 * GB,
    },
    Case {
        name: "small",
        what: "50 000 files of 4 KB",
        phone: "small",
        link: Link::Plain,
        work: Work::Full,
        clients: FEW,
        budget: Budget::None,
        small_files: true,
        room: 6 * GB,
    },
    Case {
        name: "large",
        what: "one file of 8 GB and 200 of 10 MB",
        phone: "large",
        link: Link::Plain,
        work: Work::Full,
        clients: FEW,
        budget: Budget::None,
        small_files: false,
        room: 12 * GB,
    },
];

impl Case {
    pub(super) fn title(&self) -> String {
        let link = match (self.work, self.link) {
            (Work::Verify, _) => "",
            (Work::Full | Work::Incremental, Link::Tls) => ", over TLS",
            (Work::Full | Work::Incremental, Link::Plain) => ", without TLS",
        };
        format!("{}: {}{link}", self.name, self.what)
    }
}
