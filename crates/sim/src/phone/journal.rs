//! What the host was seen to send, in order, bounded. Tests ask it; nothing is decided by it.

use std::collections::VecDeque;
use std::sync::Mutex;

use plist::Value;
use tokio::sync::watch;

use super::lock;

/// Entries beyond this push the oldest out; the count goes on.
const KEPT: usize = 16_384;

#[derive(Debug)]
pub struct Journal {
    entries: Mutex<VecDeque<Seen>>,
    count: watch::Sender<u64>,
}

/// One thing that the host sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub channel: Channel,
    /// The request's own name: `GetValue`, `StartSession`, `DLMessageStatusResponse`, an AFC operation, ….
    pub name: String,
    /// The request as it came, where it is a plist.
    pub body: Option<Value>,
}

/// Where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// usbmuxd, as far as the request names this phone.
    Mux,
    Lockdown,
    /// A service was connected to (the name is the service's).
    Service,
    NotificationProxy,
    Afc,
    Heartbeat,
    InstallationProxy,
    SpringBoard,
    Backup,
    /// The two services that send the log.
    Log,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }
}

impl Journal {
    pub fn note(&self, channel: Channel, name: impl Into<String>, body: Option<Value>) {
        let mut entries = lock(&self.entries);
        while entries.len() >= KEPT {
            entries.pop_front();
        }
        entries.push_back(Seen {
            channel,
            name: name.into(),
            body,
        });
        self.count
            .send_modify(|count| *count = count.saturating_add(1));
    }

    /// Everything seen so far.
    #[must_use]
    pub fn all(&self) -> Vec<Seen> {
        lock(&self.entries).iter().cloned().collect()
    }

    /// The names seen on one channel.
    #[must_use]
    pub fn names(&self, channel: Channel) -> Vec<String> {
        lock(&self.entries)
            .iter()
            .filter(|seen| seen.channel == channel)
            .map(|seen| seen.name.clone())
            .collect()
    }

    /// Waits until something like this has been seen, be it before the call or after.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Seen) -> bool) -> Seen {
        let mut count = self.count.subscribe();
        loop {
            count.mark_unchanged();
            if let Some(seen) = lock(&self.entries).iter().find(|seen| wanted(seen)) {
                return seen.clone();
            }
            // The sender lives in `self`.
            if count.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
