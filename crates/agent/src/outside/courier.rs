//! Carries the messages of one webhook to its end, in order: the first one until it is taken, refused or too old. What waits is on disk
//! too (`state`), so a restart loses none; a message may come twice, and then it has the same id.
//!
//! The loop is never kept waiting: it puts a message into the queue, and hears what became of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backupwatch_core::Period;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use tokio::sync::{Notify, mpsc};

use super::event::Event;
use super::http::{self, Answer, HttpError, Url};
use super::pause::pause;
use super::settings::Webhook;
use super::sign::Secret;
use super::{Fate, Tiding};
use crate::alias::Aliases;
use crate::clock::Clock;
use crate::medium::in_full;

/// Messages that wait for one webhook. The oldest goes when there is one more.
pub(super) const WAITING: usize = 1_000;
/// What is older tells nobody anything.
const TOO_OLD: Period = Period::days(7);

/// The way to a server. The second implementer is a script of answers, for tests of what takes hours.
pub(crate) trait Network: Send + Sync + 'static {
    /// Sends a body with these headers.
    fn post(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> impl Future<Output = Result<Answer, HttpError>> + Send;
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Internet;

impl Network for Internet {
    async fn post(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        http::post(url, headers, body).await
    }
}

/// What waits for one webhook.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: Mutex<VecDeque<Arc<Event>>>,
    more: Notify,
    again: Notify,
}

impl Queue {
    /// Takes one more; gives back the one that goes for it, if there is no room.
    pub(super) fn push(&self, event: Arc<Event>) -> Option<Arc<Event>> {
        let mut events = self.events();
        events.push_back(event);
        let gone = (events.len() > WAITING)
            .then(|| events.pop_front())
            .flatten();
        drop(events);
        self.more.notify_one();
        gone
    }

    /// The network may be another one: who is in a pause tries at once.
    pub(super) fn again(&self) {
        // Nobody is remembered who comes later: a courier that is not in a pause is trying already.
        self.again.notify_waiters();
    }

    /// What waits, the oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Event>> {
        self.events().iter().cloned().collect()
    }

    fn first(&self) -> Option<Arc<Event>> {
        self.events().front().cloned()
    }

    /// Unless it has gone meanwhile for want of room.
    fn done(&self, event: &Event) {
        self.events().retain(|waiting| waiting.id != event.id);
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who carries.
pub(super) struct Courier<N> {
    pub(super) key: String,
    pub(super) webhook: Webhook,
    pub(super) aliases: Aliases,
    pub(super) queue: Arc<Queue>,
    pub(super) network: Arc<N>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tell: mpsc::Sender<Tiding>,
}

/// Why a message was not taken.
enum Failure {
    /// It would not be the next time either.
    Refused(String),
    /// It may be the next time.
    Passing(String, Option<Duration>),
}

impl<N: Network> Courier<N> {
    /// Carries until it is dropped.
    pub(super) async fn run(self) {
        let mut failed = 0_u32;
        loop {
            let Some(event) = self.queue.first() else {
                self.queue.more.notified().await;
                continue;
            };
            let fate = if self.clock.now().since(event.at) > TOO_OLD {
                Fate::TooOld
            } else {
                match self.carry(&event).await {
                    Ok(()) => Fate::Taken,
                    Err(Failure::Refused(why)) => Fate::Refused(why),
                    Err(Failure::Passing(why, asked)) => {
                        failed = failed.saturating_add(1);
                        let wait = pause(failed, asked, dice());
                        tracing::debug!(
                            host = self.webhook.url.host(),
                            why,
                            ?wait,
                            "a message waits"
                        );
                        self.tell(None, Fate::Waits(why)).await;
                        tokio::select! {
                            () = tokio::time::sleep(wait) => {}
                            () = self.queue.again.notified() => {}
                        }
                        continue;
                    }
                }
            };
            failed = 0;
            self.queue.done(&event);
            self.tell(Some(event), fate).await;
        }
    }

    async fn tell(&self, event: Option<Arc<Event>>, fate: Fate) {
        let tiding = Tiding {
            key: self.key.clone(),
            event,
            fate,
        };
        // The loop is gone only when this is about to be.
        let _gone = self.tell.send(tiding).await;
    }

    async fn carry(&self, event: &Event) -> Result<(), Failure> {
        let file = self.webhook.secret_file.clone();
        // Read each time: it may be on a disk that is not there yet, and be another one tomorrow.
        let secret = tokio::task::spawn_blocking(move || Secret::read(&file)).await;
        let secret = match secret {
            Ok(secret) => secret.map_err(|error| Failure::Passing(in_full(&error), None))?,
            Err(error) => return Err(Failure::Passing(error.to_string(), None)),
        };
        let body = event
            .message(self.webhook.names, &self.aliases)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let second = self.clock.now().0.as_second();
        let headers = headers(&event.id, second, &secret.sign(&event.id, second, &body))
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let answered = self
            .network
            .post(&self.webhook.url, &headers, body.into())
            .await;
        match answered {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => {
                let why = format!("it answered with HTTP status {}", answer.status);
                Err(if answer.is_refusal() {
                    Failure::Refused(why)
                } else {
                    Failure::Passing(why, answer.retry_after)
                })
            }
            Err(error) => Err(Failure::Passing(
                format!("failed to {}", in_full(&error)),
                None,
            )),
        }
    }
}

fn headers(
    id: &str,
    second: i64,
    signature: &str,
) -> Result<[(HeaderName, HeaderValue); 4], header::InvalidHeaderValue> {
    Ok([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (
            HeaderName::from_static("webhook-id"),
            HeaderValue::from_str(id)?,
        ),
        (
            HeaderName::from_static("webhook-timestamp"),
            HeaderValue::from(second),
        ),
        (
            HeaderName::from_static("webhook-signature"),
            HeaderValue::from_str(signature)?,
        ),
    ])
}

/// Without chance all that is lost is that everybody comes at the same moment.
pub(super) fn dice() -> u16 {
    let mut bytes = [0; 2];
    let _none = getrandom::fill(&mut bytes);
    u16::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
