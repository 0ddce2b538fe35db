//! The phone's log: whatever its programs write, for whoever listens just then. Nothing is kept for later.

use jiff::Timestamp;
use tokio::sync::broadcast;

pub use backupwatch_wire::os_trace::Level;

/// How many lines a slow listener may lag behind before it loses some.
const BACKLOG: usize = 1024;

/// A program that writes lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    pub pid: u32,
    pub path: &'static str,
}

pub const KERNEL: Program = program(0, "/kernel");
pub const LAUNCHD: Program = program(1, "/sbin/launchd");
pub const LOCATIOND: Program = program(67, "/usr/libexec/locationd");
pub const WIFID: Program = program(52, "/usr/sbin/wifid");
pub const SPRINGBOARD: Program = program(
    34,
    "/System/Library/CoreServices/SpringBoard.app/SpringBoard",
);
pub const CLOUDD: Program = program(
    171,
    "/System/Library/PrivateFrameworks/CloudKitDaemon.framework/Support/cloudd",
);
/// What backs up to iCloud.
pub const BACKUPD: Program = program(
    214,
    "/System/Library/PrivateFrameworks/MobileBackup.framework/backupd",
);

pub const PROGRAMS: [Program; 7] = [
    KERNEL,
    LAUNCHD,
    SPRINGBOARD,
    WIFID,
    LOCATIOND,
    CLOUDD,
    BACKUPD,
];

const fn program(pid: u32, path: &'static str) -> Program {
    Program { pid, path }
}

impl Program {
    #[must_use]
    pub fn name(self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// One line.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub at: Timestamp,
    pub program: Program,
    pub level: Level,
    pub subsystem: &'static str,
    pub category: &'static str,
    pub message: String,
}

#[derive(Debug)]
pub(crate) struct Log(broadcast::Sender<LogLine>);

impl Default for Log {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Log {
    pub fn write(&self, line: LogLine) {
        // Nobody listening is no error.
        drop(self.0.send(line));
    }

    pub fn listen(&self) -> broadcast::Receiver<LogLine> {
        self.0.subscribe()
    }
}
