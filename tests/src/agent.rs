//! The agent as launchd and systemd start it: a process of its own on a [`Table`], asked through its socket.
//!
//! Nothing here judges: a test says what it waits for.

use crate::table::{PATIENCE, Said, Table};
use backupwatch_agent::{
    api::words::HistoryEntry,
    client::Client,
    status::{DeviceStatus, Status},
};
use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A configuration under which nothing depends on the hour of the day, and no desktop is troubled.
pub const BY_DAY: &str = "notify.desktop = false\nnotify.quiet = \"off\"\nbackup.quiet = \"off\"\n";

/// The same, and no backup begins by itself.
pub const WATCH_ONLY: &str = "notify.desktop = false\nnotify.quiet = \"off\"\nbackup.quiet = \"off\"\nbackup.mode = \"off\"\n";

/// A running agent. It is killed when it is dropped before its end.
#[derive(Debug)]
pub struct Agent<'t> {
    table: &'t Table,
    child: Option<Child>,
    client: Client,
}

impl<'t> Agent<'t> {
    /// Starts it and waits until it answers.
    #[must_use]
    pub fn start(table: &'t Table) -> Self {
        let agent = Self::launch(table, &mut table.ours(&["agent"]));
        agent.wait_until_up();
        agent
    }

    /// Starts it with this command; it may never answer.
    #[must_use]
    pub fn launch(table: &'t Table, command: &mut Command) -> Self {
        let words = |name: &str| {
            File::options()
                .create(true)
                .append(true)
                .open(table.home().join(name))
                .expect("a file can be made")
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(words("agent.out"))
            .stderr(words("agent.err"))
            .spawn()
            .expect("our binary starts");
        Self {
            table,
            child: Some(child),
            client: Client::new(&table.state().join("agent.sock")),
        }
    }

    /// Waits until it answers.
    pub fn wait_until_up(&self) {
        self.wait_for("the agent answers", || {
            self.table
                .wait("the agent answers or is away", self.client.version())
                .is_ok()
        });
    }

    /// For what has no verb here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    #[must_use]
    pub fn status(&self) -> Status {
        self.table
            .wait("the agent tells its status", self.client.status())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.words()))
    }

    /// The status, once it is as it should be.
    #[track_caller]
    pub fn when(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let begin = Instant::now();
        loop {
            let status = self.status();
            if is(&status) {
                return status;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} it is still not so that {what}: {status:#?}\n{}",
                self.words()
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// One device, once it is as it should be.
    #[track_caller]
    pub fn when_device(
        &self,
        udid: &str,
        what: &str,
        is: impl Fn(&DeviceStatus) -> bool,
    ) -> DeviceStatus {
        let status = self.when(what, |status| device(status, udid).is_some_and(&is));
        device(&status, udid)
            .expect("it was there a moment ago")
            .clone()
    }

    /// Titles of the notices that were posted, oldest first.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let history = self
            .table
            .wait(
                "the agent tells its history",
                self.client.history(None, 1000),
            )
            .unwrap_or_else(|error| panic!("{error}\n{}", self.words()));
        let mut titles: Vec<String> = history
            .entries
            .into_iter()
            .filter_map(|entry| match entry {
                HistoryEntry::Notice(notice) => Some(notice.title),
                HistoryEntry::Run(_) | HistoryEntry::Verification(_) | HistoryEntry::Program(_) => {
                    None
                }
            })
            .collect();
        titles.reverse();
        titles
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// A signal by its name, `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "it has ended already"
        );
    }

    /// kill -9.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        assert!(
            child.try_wait().expect("it can be asked").is_none(),
            "it has ended already\n{}",
            self.words()
        );
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    /// Waits for its end, with everything that it said.
    #[must_use]
    pub fn ended(mut self, limit: Duration) -> Said {
        let begin = Instant::now();
        let mut child = self.child.take().expect("it ran");
        let status = loop {
            if let Some(status) = child.try_wait().expect("it can be asked") {
                break status;
            }
            if begin.elapsed() > limit {
                // The message tells more than the failure of this would.
                let _ = child.kill();
                panic!("after {limit:?} it has not ended\n{}", self.words());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let read =
            |name: &str| std::fs::read_to_string(self.table.home().join(name)).unwrap_or_default();
        Said {
            code: status.code(),
            out: read("agent.out"),
            err: read("agent.err"),
        }
    }

    /// SIGTERM, and its end, which has to be a good one.
    pub fn end(self) {
        self.signal("TERM");
        let table = self.table;
        let said = self.ended(Duration::from_secs(25));
        assert_eq!(said.code, Some(0), "{said:?}\n{}", log(table));
    }

    /// Everything that it said and logged, for a failing assertion.
    #[must_use]
    pub fn words(&self) -> String {
        let home = self.table.home();
        let said = ["agent.out", "agent.err"]
            .map(|name| std::fs::read_to_string(home.join(name)).unwrap_or_default())
            .concat();
        format!("{said}{}", log(self.table))
    }

    fn wait_for(&self, what: &str, is: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is() {
            assert!(
                begin.elapsed() < PATIENCE,
                "after {PATIENCE:?} it is still not so that {what}\n{}",
                self.words()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // A process that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The entry of a device.
#[must_use]
pub fn device<'s>(status: &'s Status, udid: &str) -> Option<&'s DeviceStatus> {
    status.devices.iter().find(|device| device.udid == udid)
}

/// What agents on this table logged.
#[must_use]
pub fn log(table: &Table) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(table.state().join("logs"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap_or_default())
        .collect()
}

/// Writes the configuration of this table.
pub fn configure(table: &Table, text: &str) {
    // The usual port of the page is not for tests, which run beside each other.
    let text = format!("page.port = 0\n{text}");
    // Most tests have no desktop, and none but those of the menu bar look at it.
    let text = if text.contains("menu_bar") {
        text
    } else {
        format!("menu_bar = false\n{text}")
    };
    std::fs::write(table.config(), text).expect("the configuration can be written");
}
