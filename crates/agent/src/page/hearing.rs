//! What is heard of a phone's log for the page: the loop listens as long as somebody takes what is heard, and here it is taken, so
//! that it goes on while a page is reloaded. A few phones, a few lines each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backupwatch_core::Udid;
use tokio::sync::mpsc;

use crate::diagnosis::ListenEvent;

/// Phones whose last listening is kept.
const PHONES: usize = 8;
/// Lines that are kept of one.
const LINES: usize = 30;

/// One listening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hearing {
    /// Sentences, oldest first.
    pub(super) lines: Vec<String>,
    /// It goes on.
    pub(super) listening: bool,
}

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Hearings(Arc<Mutex<BTreeMap<Udid, Hearing>>>);

impl Hearings {
    pub(super) fn of(&self, udid: &Udid) -> Option<Hearing> {
        self.all().get(udid).cloned()
    }

    /// Takes what is heard, until it ends.
    pub(super) async fn take(self, udid: Udid, mut events: mpsc::Receiver<ListenEvent>) {
        self.begin(&udid);
        while let Some(event) = events.recv().await {
            self.hear(&udid, &event);
        }
        if let Some(hearing) = self.all().get_mut(&udid) {
            hearing.listening = false;
        }
    }

    fn begin(&self, udid: &Udid) {
        let mut all = self.all();
        if all.len() >= PHONES && !all.contains_key(udid) {
            all.retain(|_, hearing| hearing.listening);
        }
        let begun = Hearing {
            lines: Vec::new(),
            listening: true,
        };
        all.insert(udid.clone(), begun);
    }

    fn hear(&self, udid: &Udid, event: &ListenEvent) {
        let line = match event {
            ListenEvent::Listening => {
                "Listening. Now tap Back Up Now on its iCloud Backup page.".to_owned()
            }
            ListenEvent::Sign(sign) => match &sign.error {
                Some(error) => format!("{} ({error})", sign.words),
                None => sign.words.clone(),
            },
            ListenEvent::Ended(end) => end.words.clone(),
        };
        if let Some(hearing) = self.all().get_mut(udid) {
            if hearing.lines.len() >= LINES {
                hearing.lines.remove(0);
            }
            hearing.lines.push(line);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Udid, Hearing>> {
        // Every change behind this lock is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::ListenEnd;

    fn ended(words: &str) -> ListenEvent {
        ListenEvent::Ended(ListenEnd {
            why: "stopped".to_owned(),
            words: words.to_owned(),
            causes: Vec::new(),
        })
    }

    #[tokio::test]
    async fn the_last_words_of_a_chatty_phone_are_kept() {
        let hearings = Hearings::default();
        let udid = Udid::parse("00008110-0000000000000001").unwrap();
        assert_eq!(hearings.of(&udid), None);
        let (words, events) = mpsc::channel(1);
        let task = tokio::spawn(hearings.clone().take(udid.clone(), events));
        words.send(ListenEvent::Listening).await.unwrap();
        for n in 0..100 {
            words.send(ended(&n.to_string())).await.unwrap();
        }
        drop(words);
        task.await.unwrap();
        let heard = hearings.of(&udid).unwrap();
        assert!(!heard.listening);
        assert_eq!(heard.lines.len(), LINES);
        assert_eq!(heard.lines.last().map(String::as_str), Some("99"));
    }

    #[tokio::test]
    async fn no_more_than_a_few_phones_are_kept() {
        let hearings = Hearings::default();
        for n in 0..50 {
            let udid = Udid::parse(&format!("00008110-00000000000000{n:02}")).unwrap();
            let (_, events) = mpsc::channel(1);
            hearings.clone().take(udid, events).await;
        }
        assert!(hearings.all().len() <= PHONES);
    }
}
