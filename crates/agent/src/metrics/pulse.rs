//! The loop's pulse: how often it woke up, that something has changed, and what it should tell the person about the metrics. The
//! loop is never kept waiting by it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct Pulse {
    turns: AtomicU64,
    news: Notify,
    troubles: Mutex<Vec<(Outlet, String)>>,
}

/// A place where the numbers leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlet {
    /// Where a Prometheus fetches them.
    Listener,
    /// node_exporter's folder.
    Textfile,
    /// An OpenTelemetry receiver.
    Otlp,
}

impl Pulse {
    /// The loop woke up; with news, if something happened that numbers may show.
    pub(crate) fn turn(&self, is_news: bool) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if is_news {
            self.news.notify_one();
        }
    }

    /// How often it has woken up.
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Until there are news since the last call. May be dropped and called again.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// What a person should know, in sentences.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.iter().map(|(_, words)| words.clone()).collect()
    }

    /// Other outlets are used from now on, and this is what is wrong with them at their begin.
    pub(super) fn anew(&self, now: Vec<(Outlet, String)>) {
        *self.troubles.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// How it went at an outlet: a sentence about what is wrong, or nothing. True if that is new.
    pub(super) fn went(&self, outlet: Outlet, trouble: Option<String>) -> bool {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let before = troubles.iter().position(|(other, _)| *other == outlet);
        let before = before.map(|at| troubles.swap_remove(at).1);
        let changed = before != trouble;
        troubles.extend(trouble.map(|words| (outlet, words)));
        changed
    }
}
