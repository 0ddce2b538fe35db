//! A notifier that only remembers: for tests, for `demo`, and where there is no desktop.

use crate::{Notifier, Posted};
use backupwatch_core::notice::Notice;
use std::sync::{Mutex, PoisonError};

/// How many notices are kept; the oldest go first.
const KEPT: usize = 1000;

/// Remembers the notices that were posted, oldest first.
#[derive(Debug, Default)]
pub struct Recorder {
    posted: Mutex<Vec<Notice>>,
}

impl Recorder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was posted so far.
    #[must_use]
    pub fn posted(&self) -> Vec<Notice> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Notice>> {
        // A list of notices is whole after every push, whoever panicked.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifier for Recorder {
    fn post(&self, notice: &Notice) -> Posted {
        let mut posted = self.lock();
        if posted.len() >= KEPT {
            posted.remove(0);
        }
        posted.push(notice.clone());
        crate::posted(Ok(()))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use backupwatch_core::{
        HostTime, Udid,
        notice::{Action, NoticeKind, Urgency},
    };

    pub(crate) fn notice(id: &str, replaces: &str) -> Notice {
        Notice {
            id: id.into(),
            replaces: replaces.into(),
            kind: NoticeKind::CloudStale,
            udid: "00008110-000A1B2C3D4E001E".parse::<Udid>().ok(),
            at: HostTime("2026-11-22T10:00:00Z".parse().unwrap()),
            level: Urgency::Normal,
            title: "Anna's iPhone is not backing up".into(),
            body: "The last iCloud backup is 58 days old.".into(),
            actions: vec![Action::BackUpNow, Action::ShowSteps],
        }
    }

    #[test]
    fn the_newest_notices_are_kept_and_memory_is_bounded() {
        let recorder = Recorder::new();
        for n in 0..=KEPT {
            recorder.post(&notice(&format!("n{n}"), "a"));
        }
        let posted = recorder.posted();
        assert_eq!(posted.len(), KEPT);
        assert_eq!(posted.first().map(|notice| notice.id.as_str()), Some("n1"));
    }
}
