//! The one listening connection to usbmuxd: who is attached, from now until cancelled.
//!
//! A daemon that is absent, restarted or speaking rubbish is a state that is reported ([`MuxEvent::Down`]), never an end.
//! When the connection is lost every attachment is reported as detached: the daemon gives other numbers afterwards.
//!
//! Not here: which phones are worth a question (`core` decides), and any other request (each has its own connection,
//! protocol.md 3.2).

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use backupwatch_core::watcher::Attachment;
use backupwatch_core::{LinkKind, Udid};
use backupwatch_wire::usbmux::{self, Event, Link, MuxDeviceId};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::address::MuxAddress;
use crate::error::MuxError;
use crate::mux::Mux;
use crate::timeouts::Timeouts;

/// More attachments than this are not announced: a daemon that invents them must not fill our memory.
const MOST_ATTACHMENTS: usize = 4096;

/// What the listening connection has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MuxEvent {
    /// usbmuxd answers. An [`MuxEvent::Attached`] for each present phone follows.
    Up,
    /// usbmuxd does not answer. Said once, and again only when the reason changes.
    Down { why: MuxDown },
    /// A phone is there, by cable or Wi-Fi. One on both is there twice, with one UDID.
    Attached(Attached),
    /// This attachment is gone.
    Detached { attachment: Attachment },
    /// Somebody saved a pair record for this attachment's phone.
    Paired { attachment: Attachment },
}

/// One attachment of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    pub udid: Udid,
    pub link: LinkKind,
    pub attachment: Attachment,
}

impl Attached {
    /// `None` where the daemon's string is no UDID.
    pub(crate) fn from_wire(attachment: &usbmux::Attachment) -> Option<Self> {
        let udid = Udid::parse(&attachment.udid).ok()?;
        let link = match attachment.link {
            Link::Usb { .. } => LinkKind::Usb,
            Link::Network { .. } => LinkKind::Network,
        };
        Some(Self {
            udid,
            link,
            attachment: Attachment(attachment.device_id.0),
        })
    }

    pub(crate) fn device_id(&self) -> MuxDeviceId {
        MuxDeviceId(self.attachment.0)
    }
}

/// Why usbmuxd does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MuxDown {
    #[error("usbmuxd is not running")]
    NotRunning,
    #[error("usbmuxd may not be reached by this user")]
    NotAllowed,
    #[error("usbmuxd closed the connection")]
    Closed,
    #[error("usbmuxd does not answer")]
    Silent,
    #[error("what answers at usbmuxd's address is not usbmuxd")]
    Rubbish,
    #[error("usbmuxd cannot be reached: {0}")]
    Other(String),
}

impl MuxDown {
    fn of(error: &MuxError) -> Self {
        match error {
            MuxError::Unreachable { source, .. } => Self::unreachable(source),
            MuxError::Silent { .. } => Self::Silent,
            MuxError::Lost { .. } => Self::Closed,
            MuxError::Frame(_) | MuxError::Message(_) | MuxError::Refused { .. } => Self::Rubbish,
        }
    }

    fn unreachable(source: &io::Error) -> Self {
        let kind = source.kind();
        if kind == io::ErrorKind::PermissionDenied {
            Self::NotAllowed
        } else if matches!(
            kind,
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        ) {
            Self::NotRunning
        } else {
            Self::Other(source.to_string())
        }
    }
}

/// Listens until `cancel` fires or nobody takes the events any more.
///
/// `jitter` gives a number between 0 and 1 for each wait before a new attempt: chance is an argument.
pub async fn listen(
    address: &MuxAddress,
    timeouts: &Timeouts,
    events: mpsc::Sender<MuxEvent>,
    jitter: impl FnMut() -> f64,
    cancel: CancellationToken,
) {
    let work = attend_forever(address, timeouts, &events, jitter);
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = events.closed() => {}
        _nobody_listens = work => {}
    }
}

/// Nobody takes the events any more.
struct NobodyListens;

impl<T> From<mpsc::error::SendError<T>> for NobodyListens {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self
    }
}

async fn attend_forever(
    address: &MuxAddress,
    timeouts: &Timeouts,
    events: &mpsc::Sender<MuxEvent>,
    mut jitter: impl FnMut() -> f64,
) -> NobodyListens {
    let mut pause = BackOff::default();
    let mut said = None;
    loop {
        let mut daemon = Daemon::new(events);
        let error = match daemon.attend(address, timeouts).await {
            Ok(never) => match never {},
            Err(Ended::Lost(error)) => error,
            Err(Ended::NobodyListens) => return NobodyListens,
        };
        let came_up = daemon.up_since.is_some();
        if daemon
            .up_since
            .is_some_and(|since| since.elapsed() >= BackOff::PROVEN)
        {
            pause = BackOff::default();
        }
        let why = MuxDown::of(&error);
        tracing::debug!(%error, "the listening connection ended");
        if daemon.detach_all().await.is_err() {
            return NobodyListens;
        }
        if came_up || said.as_ref() != Some(&why) {
            if events
                .send(MuxEvent::Down { why: why.clone() })
                .await
                .is_err()
            {
                return NobodyListens;
            }
            said = Some(why);
        }
        tokio::time::sleep(pause.next(jitter())).await;
    }
}

/// One life of the listening connection.
struct Daemon<'a> {
    events: &'a mpsc::Sender<MuxEvent>,
    present: BTreeMap<Attachment, Attached>,
    up_since: Option<Instant>,
}

enum Ended {
    Lost(MuxError),
    NobodyListens,
}

impl From<NobodyListens> for Ended {
    fn from(_: NobodyListens) -> Self {
        Self::NobodyListens
    }
}

impl From<MuxError> for Ended {
    fn from(error: MuxError) -> Self {
        Self::Lost(error)
    }
}

impl<'a> Daemon<'a> {
    fn new(events: &'a mpsc::Sender<MuxEvent>) -> Self {
        Self {
            events,
            present: BTreeMap::new(),
            up_since: None,
        }
    }

    async fn attend(
        &mut self,
        address: &MuxAddress,
        timeouts: &Timeouts,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut mux = Mux::open(address, timeouts.mux).await?;
        mux.listen().await?;
        self.up_since = Some(Instant::now());
        self.say(MuxEvent::Up).await?;
        loop {
            match mux.event().await? {
                Event::Attached(attachment) => self.attached(&attachment).await?,
                Event::Detached(device) => self.detached(Attachment(device.0)).await?,
                Event::Paired(device) => {
                    let attachment = Attachment(device.0);
                    if self.present.contains_key(&attachment) {
                        self.say(MuxEvent::Paired { attachment }).await?;
                    }
                }
            }
        }
    }

    async fn attached(&mut self, attachment: &usbmux::Attachment) -> Result<(), NobodyListens> {
        let Some(attached) = Attached::from_wire(attachment) else {
            tracing::debug!("a device without a usable UDID is attached");
            return Ok(());
        };
        match self.present.get(&attached.attachment) {
            // Some daemons announce again what they have announced.
            Some(known) if *known == attached => return Ok(()),
            Some(_) => self.detached(attached.attachment).await?,
            None => {}
        }
        if self.present.len() >= MOST_ATTACHMENTS {
            tracing::warn!(MOST_ATTACHMENTS, "usbmuxd announces too many devices");
            return Ok(());
        }
        self.present.insert(attached.attachment, attached.clone());
        self.say(MuxEvent::Attached(attached)).await
    }

    async fn detached(&mut self, attachment: Attachment) -> Result<(), NobodyListens> {
        if self.present.remove(&attachment).is_some() {
            self.say(MuxEvent::Detached { attachment }).await?;
        }
        Ok(())
    }

    async fn detach_all(&mut self) -> Result<(), NobodyListens> {
        while let Some((attachment, _)) = self.present.pop_first() {
            self.say(MuxEvent::Detached { attachment }).await?;
        }
        Ok(())
    }

    async fn say(&self, event: MuxEvent) -> Result<(), NobodyListens> {
        Ok(self.events.send(event).await?)
    }
}

/// How long to wait before the next attempt: doubling from 0.2 s to 30 s, each cut by up to a half by chance.
#[derive(Debug)]
struct BackOff {
    next: Duration,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);
    /// A connection that held this long was a good one: begin again with the shortest wait. A daemon that answers Listen
    /// and then speaks rubbish never gets there.
    const PROVEN: Duration = Duration::from_secs(10);

    fn next(&mut self, chance: f64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(Self::LONGEST);
        let chance = if chance.is_finite() {
            chance.clamp(0.0, 1.0)
        } else {
            0.0
        };
        full.mul_f64(1.0 - chance / 2.0).max(Self::FIRST)
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let mut pause = BackOff::default();
        let waits: Vec<_> = (0..9).map(|_| pause.next(0.0).as_millis()).collect();
        assert_eq!(
            waits,
            [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]
        );
    }

    #[test]
    fn chance_cuts_at_most_half_and_never_below_the_first_wait() {
        for (chance, want) in [(0.0, 30_000), (0.5, 22_500), (1.0, 15_000), (7.0, 15_000)] {
            let mut pause = BackOff {
                next: BackOff::LONGEST,
            };
            assert_eq!(pause.next(chance).as_millis(), want, "{chance}");
        }
        assert_eq!(BackOff::default().next(f64::NAN), BackOff::FIRST);
        assert_eq!(BackOff::default().next(1.0), BackOff::FIRST);
    }
}
