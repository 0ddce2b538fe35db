//! Tells one check of a service like healthchecks.io how things are: by its protocol, to its address, its `/start`, `/fail` and `/log`.
//!
//! Nothing waits on disk here: what a ping says is true only now, and the next beat says it anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{self, HeaderValue};
use tokio::sync::{Notify, mpsc};

use super::courier::{Network, dice};
use super::http::Url;
use super::pause::pause;
use super::{Fate, Tiding};
use crate::medium::in_full;

/// Pings that wait. A check has few runs at once.
const WAITING: usize = 32;
/// How often one is tried; the next beat comes anyway.
const TRIES: u32 = 4;

/// What a check is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// A backup begins.
    Start,
    /// All is looked after.
    Success,
    /// It is not.
    Fail,
    /// Neither: for the log of the check. It grows due all the same.
    Log,
}

impl Signal {
    fn path(self) -> &'static str {
        match self {
            Self::Start => "/start",
            Self::Success => "",
            Self::Fail => "/fail",
            Self::Log => "/log",
        }
    }
}

/// One ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ping {
    pub(super) signal: Signal,
    /// Which run it is about; none is a beat.
    pub(super) run: Option<String>,
    /// Goes with it, for a person who looks at the check. No name in it.
    pub(super) words: String,
}

/// What waits for one check.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    pings: Mutex<VecDeque<(Ping, bool)>>,
    more: Notify,
}

impl Mailbox {
    /// Takes one more. A beat takes the place of one before it: what that said is not true any more.
    pub(super) fn push(&self, ping: Ping, beat: bool) {
        let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        if beat {
            pings.retain(|(_, beat)| !beat);
        }
        pings.push_back((ping, beat));
        if pings.len() > WAITING {
            pings.pop_front();
        }
        drop(pings);
        self.more.notify_one();
    }

    fn pop(&self) -> Option<Ping> {
        let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        pings.pop_front().map(|(ping, _)| ping)
    }
}

/// Who pings.
pub(super) struct Pinger<N> {
    pub(super) key: String,
    pub(super) url: Url,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) network: Arc<N>,
    pub(super) tell: mpsc::Sender<Tiding>,
}

impl<N: Network> Pinger<N> {
    /// Pings until it is dropped.
    pub(super) async fn run(self) {
        loop {
            let Some(ping) = self.mailbox.pop() else {
                self.mailbox.more.notified().await;
                continue;
            };
            let tiding = Tiding {
                key: self.key.clone(),
                event: None,
                fate: self.send(ping).await,
            };
            // The loop is gone only when this is about to be.
            let _gone = self.tell.send(tiding).await;
        }
    }

    async fn send(&self, ping: Ping) -> Fate {
        let pair = ping.run.map(|run| format!("rid={run}"));
        let url = self.url.with(ping.signal.path(), pair.as_deref());
        let headers = [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        )];
        let mut failed = 0;
        loop {
            let body = ping.words.clone().into();
            let (why, asked) = match self.network.post(&url, &headers, body).await {
                // So answers healthchecks.io where a check was deleted: nobody listens there any more.
                Ok(answer)
                    if answer.is_success()
                        && answer.body.trim_ascii().ends_with(b"(not found)") =>
                {
                    return Fate::Refused("the service does not know this check".to_owned());
                }
                Ok(answer) if answer.is_success() => return Fate::Taken,
                Ok(answer) => {
                    let why = format!("it answered with HTTP status {}", answer.status);
                    if answer.is_refusal() {
                        return Fate::Refused(why);
                    }
                    (why, answer.retry_after)
                }
                Err(error) => (format!("failed to {}", in_full(&error)), None),
            };
            failed += 1;
            if failed >= TRIES || asked.is_some_and(|asked| asked > LONG) {
                return Fate::Waits(why);
            }
            tokio::time::sleep(pause(failed, asked, dice())).await;
        }
    }
}

/// Who wants to be left alone for longer is asked again by the next beat.
const LONG: Duration = Duration::from_secs(60);
