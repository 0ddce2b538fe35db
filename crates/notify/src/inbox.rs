//! What the desktop tells before anybody listens: AppKit speaks on the main thread from its first moment on, and the agent's loop
//! begins a little later. A click that started the program is told then.

use crate::FromDesktop;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// How much is kept for whoever will listen; the oldest goes first.
const KEPT: usize = 16;

#[derive(Debug)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Debug)]
enum State {
    NobodyListens(VecDeque<FromDesktop>),
    Listens(mpsc::Sender<FromDesktop>),
}

impl Inbox {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State::NobodyListens(VecDeque::new())))
    }

    /// Tells it, now or as soon as somebody listens. Never waits.
    pub(crate) fn put(&self, said: FromDesktop) {
        match &mut *self.state() {
            State::NobodyListens(kept) => {
                if kept.len() >= KEPT {
                    kept.pop_front();
                }
                kept.push_back(said);
            }
            State::Listens(desk) => tell(desk, said),
        }
    }

    /// From now on everything goes to `desk`, what was kept first.
    pub(crate) fn listen(&self, desk: mpsc::Sender<FromDesktop>) {
        let mut state = self.state();
        if let State::NobodyListens(kept) = &mut *state {
            for said in kept.drain(..) {
                tell(&desk, said);
            }
        }
        *state = State::Listens(desk);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // It is replaced whole, so it is sound whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A full channel means that nobody is taking; waiting here would stop the main thread and not change that.
fn tell(desk: &mpsc::Sender<FromDesktop>, said: FromDesktop) {
    if desk.try_send(said).is_err() {
        tracing::warn!("what the desktop told was lost: the agent is not taking any");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::menu::Choice;

    #[test]
    fn what_came_before_anybody_listened_comes_first() {
        let inbox = Inbox::new();
        inbox.put(FromDesktop::Menu(Choice::Open));
        inbox.put(FromDesktop::Woke);
        let (desk, mut told) = mpsc::channel(8);
        inbox.listen(desk);
        inbox.put(FromDesktop::Menu(Choice::Quit));
        let mut next = || told.try_recv().ok();
        assert_eq!(next(), Some(FromDesktop::Menu(Choice::Open)));
        assert_eq!(next(), Some(FromDesktop::Woke));
        assert_eq!(next(), Some(FromDesktop::Menu(Choice::Quit)));
        assert_eq!(next(), None);
    }

    #[test]
    fn nothing_piles_up_and_nobody_waits() {
        let inbox = Inbox::new();
        for _ in 0..KEPT {
            inbox.put(FromDesktop::Woke);
        }
        inbox.put(FromDesktop::Menu(Choice::Open));
        let (desk, mut told) = mpsc::channel(KEPT);
        inbox.listen(desk);
        inbox.put(FromDesktop::Woke);
        let all: Vec<FromDesktop> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(all.len(), KEPT);
        assert_eq!(all.last(), Some(&FromDesktop::Menu(Choice::Open)));
        drop(told);
        inbox.put(FromDesktop::Woke);
    }
}
