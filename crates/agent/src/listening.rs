//! One listening to a phone's log: from the moment when the phone lets us, until an attempt to back up has ended, the time is
//! up, nobody listens any more, or the phone has gone. What is heard means what `core::diagnosis::log` says.

use std::sync::Arc;
use std::time::Duration;

use backupwatch_core::diagnosis::log::{Listening, SignKind};
use backupwatch_core::evidence::Heard;
use backupwatch_device::LogEvent;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::diagnosis::{ListenEvent, SignEntry};
use crate::phones::{Attached, Phones};

/// No longer than that: whoever wants more begins again.
pub const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Lines that may wait to be looked at.
const LINES: usize = 256;

/// How long a follower that does not read is waited for at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// An attempt to back up has ended.
    AttemptEnded,
    /// Ten minutes have passed.
    TimeUp,
    /// Somebody wanted it to end, or nobody listens.
    Stopped,
    /// The phone did not let us listen.
    Refused(String),
    /// The phone has gone, or stopped telling.
    LinkLost(String),
}

impl End {
    /// The stable code for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AttemptEnded => "attempt_ended",
            Self::TimeUp => "time_up",
            Self::Stopped => "stopped",
            Self::Refused(_) => "refused",
            Self::LinkLost(_) => "link_lost",
        }
    }

    /// The same for people.
    pub fn words(&self) -> String {
        match self {
            Self::AttemptEnded => "The attempt has ended.".to_owned(),
            Self::TimeUp => "Ten minutes have passed, and no attempt has ended.".to_owned(),
            Self::Stopped => "Listening was stopped.".to_owned(),
            Self::Refused(why) => format!("The phone does not let this computer listen: {why}."),
            Self::LinkLost(why) => format!("Nothing more can be heard: {why}."),
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What stays of what was heard; nothing where nobody could listen.
    pub heard: Option<Heard>,
    /// Why it ended.
    pub end: End,
    /// Room for the last line, for a follower that still reads.
    pub last_line: Option<mpsc::OwnedPermit<ListenEvent>>,
}

/// Listens, and tells `follower` what it means.
pub async fn listen<P: Phones>(
    phones: &P,
    attached: &Attached,
    clock: Arc<dyn Clock>,
    follower: mpsc::Sender<ListenEvent>,
    cancel: CancellationToken,
) -> Outcome {
    let (lines, log) = mpsc::channel(LINES);
    let enough = CancellationToken::new();
    let listening = phones.log(attached, Arc::clone(&clock), lines, enough.clone());
    let ear = async {
        let heard = hear(log, &follower, &cancel).await;
        enough.cancel();
        heard
    };
    let (ended, (listening, stopped)) = tokio::join!(listening, ear);
    let end = match (stopped, ended) {
        (Some(end), _) => end,
        (None, Ok(())) => End::Stopped,
        (None, Err(why)) if listening.is_some() => End::LinkLost(why),
        (None, Err(why)) => End::Refused(why),
    };
    let last_line = tokio::time::timeout(FAREWELL, follower.reserve_owned()).await;
    Outcome {
        heard: listening.map(|listening| listening.heard(clock.now())),
        end,
        last_line: last_line.ok().and_then(Result::ok),
    }
}

/// Takes lines until there was enough of them. What was heard, from the moment on when the phone let us; and why it was enough,
/// unless the log itself ended.
async fn hear(
    mut log: mpsc::Receiver<LogEvent>,
    follower: &mpsc::Sender<ListenEvent>,
    cancel: &CancellationToken,
) -> (Option<Listening>, Option<End>) {
    let deadline = Instant::now() + LONGEST;
    let mut heard: Option<Listening> = None;
    loop {
        let event = tokio::select! {
            biased;
            () = cancel.cancelled() => return (heard, Some(End::Stopped)),
            () = follower.closed() => return (heard, Some(End::Stopped)),
            () = tokio::time::sleep_until(deadline) => return (heard, Some(End::TimeUp)),
            event = log.recv() => event,
        };
        let (told, is_over) = match event {
            None => return (heard, None),
            Some(LogEvent::Listening) if heard.is_some() => continue,
            Some(LogEvent::Listening) => {
                heard = Some(Listening::default());
                (ListenEvent::Listening, false)
            }
            Some(LogEvent::Line(line)) => {
                let listening = heard.get_or_insert_default();
                let Some(sign) = listening.take(&line.as_line()) else {
                    continue;
                };
                let is_over = matches!(sign.kind, SignKind::Succeeded | SignKind::Failed);
                (ListenEvent::Sign(SignEntry::of(&sign)), is_over)
            }
        };
        // A follower who does not read keeps nobody listening.
        tokio::select! {
            biased;
            () = cancel.cancelled() => return (heard, Some(End::Stopped)),
            () = tokio::time::sleep_until(deadline) => return (heard, Some(End::TimeUp)),
            _sent = follower.send(told) => {}
        }
        if is_over {
            return (heard, Some(End::AttemptEnded));
        }
    }
}
