//! Notices on the desktop of Linux, by notify-rust over D-Bus. Those of macOS are in `mac`.
//!
//! Each notice has one task that shows it and waits for its answer. A newer notice about the same matter takes the
//! older one's place on the screen and ends its task; there are never more than [`WAITING`] of them.

use crate::{
    FromDesktop, Notifier, Posted,
    click::{DEFAULT, Ticket},
};
use backupwatch_core::notice::{Notice, Urgency};
use notify_rust::{Hint, NotificationHandle, NotificationResponse, Timeout};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Notices that can be answered at one time. The answer to an older one is lost; the notice itself is in the history.
const WAITING: usize = 64;

/// The desktop's notification service.
#[derive(Debug)]
pub struct Desktop {
    runtime: Handle,
    shared: Arc<Shared>,
    answers: mpsc::Sender<FromDesktop>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Vec<Waiting>>,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Waiting {
    replaces: String,
    /// The service's own number, so that the successor takes its place.
    shown: Arc<Mutex<Option<u32>>>,
    task: JoinHandle<()>,
}

impl Desktop {
    /// Tasks run on `runtime`; what people choose arrives on `answers`.
    #[must_use]
    pub fn new(runtime: Handle, answers: mpsc::Sender<FromDesktop>) -> Self {
        Self {
            runtime,
            shared: Arc::default(),
            answers,
        }
    }
}

impl Notifier for Desktop {
    fn post(&self, notice: &Notice) -> Posted {
        let (tell, posted) = oneshot::channel();
        let mut waiting = lock(&self.shared.waiting);
        waiting.retain(|older| !older.task.is_finished() || older.replaces == notice.replaces);
        let mut place = None;
        if let Some(index) = waiting
            .iter()
            .position(|older| older.replaces == notice.replaces)
        {
            let older = waiting.remove(index);
            older.task.abort();
            place = *lock(&older.shown);
        } else if waiting.len() >= WAITING {
            waiting.remove(0).task.abort();
        }
        let shown = Arc::new(Mutex::new(place));
        let task = self.runtime.spawn(show(
            notice.clone(),
            Arc::clone(&shown),
            Arc::clone(&self.shared),
            self.answers.clone(),
            tell,
        ));
        waiting.push(Waiting {
            replaces: notice.replaces.clone(),
            shown,
            task,
        });
        posted
    }

    fn trouble(&self) -> Option<String> {
        lock(&self.shared.trouble).clone()
    }
}

async fn show(
    notice: Notice,
    place: Arc<Mutex<Option<u32>>>,
    shared: Arc<Shared>,
    answers: mpsc::Sender<FromDesktop>,
    tell: oneshot::Sender<Result<(), String>>,
) {
    let shown = match display(&notice, &place).await {
        Ok(shown) => {
            *lock(&shared.trouble) = None;
            let _nobody_asked = tell.send(Ok(()));
            shown
        }
        Err(why) => {
            tracing::warn!("failed to show a notice: {why}");
            *lock(&shared.trouble) = Some(why.clone());
            let _nobody_asked = tell.send(Err(why));
            return;
        }
    };
    let Some(answer) = answer(shown)
        .await
        .and_then(|code| Ticket::of(&notice).answer(&code))
    else {
        return;
    };
    // A full channel means that nobody is taking answers; waiting here would not change that.
    if answers.try_send(FromDesktop::Answer(answer)).is_err() {
        tracing::warn!("an answer to a notice was lost: the agent is not taking any");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every value behind these locks is replaced whole, so it is sound whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn display(
    notice: &Notice,
    place: &Mutex<Option<u32>>,
) -> Result<NotificationHandle, String> {
    // A name such as "<b>" comes from the phone; services that read markup must see it as text.
    let markup = tokio::task::spawn_blocking(notify_rust::get_capabilities)
        .await
        .is_ok_and(|answer| answer.is_ok_and(|can| can.iter().any(|one| one == "body-markup")));
    let body = if markup {
        escaped(&notice.body)
    } else {
        notice.body.clone()
    };
    let mut shown = notify_rust::Notification::new();
    shown
        .appname("backupwatch")
        .summary(&notice.title)
        .body(&body)
        .action(DEFAULT, "Open")
        .urgency(match notice.level {
            Urgency::Quiet => notify_rust::Urgency::Low,
            Urgency::Normal => notify_rust::Urgency::Normal,
            Urgency::TimeSensitive => notify_rust::Urgency::Critical,
        })
        .hint(Hint::DesktopEntry("backupwatch".into()));
    for action in &notice.actions {
        shown.action(action.code(), action.label());
    }
    if notice.level != Urgency::Quiet {
        // A notice that asks for something waits until somebody is at the computer.
        shown.timeout(Timeout::Never);
    }
    if let Some(id) = *lock(place) {
        shown.id(id);
    }
    let handle = shown
        .show_async()
        .await
        .map_err(|error| format!("the desktop's notification service does not answer ({error})"))?;
    *lock(place) = Some(handle.id());
    Ok(handle)
}

/// The code of what was chosen; `None` when the notice was closed.
async fn answer(shown: NotificationHandle) -> Option<String> {
    let mut code = None;
    shown
        .wait_for_action_async(|response| match response {
            NotificationResponse::Default => code = Some(DEFAULT.to_owned()),
            NotificationResponse::Action(chosen) => code = Some(chosen.clone()),
            NotificationResponse::Reply(_) | NotificationResponse::Closed(_) => {}
        })
        .await;
    code
}

/// `&`, `<` and `>` as the Desktop Notifications Specification's markup wants them.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_phones_name_cannot_smuggle_markup() {
        assert_eq!(
            super::escaped("<a href=\"x\">Tom & Anna</a>"),
            "&lt;a href=\"x\"&gt;Tom &amp; Anna&lt;/a&gt;"
        );
    }
}
