//! Waiting without being deaf: while something is awaited, the person's cancel, the phone's notifications and the clock are
//! heard too. Progress is told from here.

use std::future::Future;
use std::io;
use std::time::Duration;

use backupwatch_core::run::{Phase, Progress};
use backupwatch_wire::notification_proxy as np;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::stop::Stop;
use crate::services::notifications::Notifications;

/// How long the phone may be silent after it was asked for a backup: it waits 30 minutes for its passcode (protocol.md 9.3).
pub(super) const FIRST: Duration = Duration::from_secs(31 * 60);

/// How long it may be silent later: scans of a big library take minutes (9.4).
pub(super) const BETWEEN: Duration = Duration::from_secs(10 * 60);

pub(super) struct Attendant<S> {
    pub(super) notifications: Option<Notifications<S>>,
    pub(super) cancel: CancellationToken,
    pub(super) prompt_seen: bool,
    progress: Progress,
    watchers: watch::Sender<Progress>,
    /// Bytes and files that the watchers know of.
    told: (u64, u64),
}

/// Progress is told when this much is new.
const TELL_BYTES: u64 = 512 << 10;
const TELL_FILES: u64 = 64;

impl<S: AsyncRead + AsyncWrite + Unpin> Attendant<S> {
    pub(super) fn new(
        cancel: CancellationToken,
        progress: Progress,
        watchers: watch::Sender<Progress>,
    ) -> Self {
        Self {
            notifications: None,
            cancel,
            prompt_seen: false,
            progress,
            watchers,
            told: (0, 0),
        }
    }

    /// Awaits `what` of the phone for at most `limit`, or [`FIRST`] while it shows its passcode prompt.
    pub(super) async fn during<T>(
        &mut self,
        limit: Duration,
        what: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Stop> {
        // The prompt may have come up while something else was awaited.
        let waits = self.progress.phase == Phase::WaitingForPasscode;
        let limit = if waits { FIRST.max(limit) } else { limit };
        let mut what = std::pin::pin!(what);
        let mut clock = std::pin::pin!(tokio::time::sleep(limit));
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Stop::Cancelled),
                done = &mut what => return done.map_err(Stop::from_link),
                // Before the notifications, of which there could be one at any moment.
                () = &mut clock => {
                    return Err(if self.progress.phase == Phase::WaitingForPasscode {
                        Stop::NoPasscode
                    } else {
                        Stop::Silent(limit)
                    });
                }
                heard = hear(&mut self.notifications) => match heard {
                    Ok(name) => {
                        let was_waiting = self.progress.phase == Phase::WaitingForPasscode;
                        self.heard(&name)?;
                        let waits = self.progress.phase == Phase::WaitingForPasscode;
                        if waits != was_waiting {
                            let limit = if waits { FIRST.max(limit) } else { limit };
                            clock.as_mut().reset(tokio::time::Instant::now() + limit);
                        }
                    }
                    // The backup does not need them; that the phone is gone will show on its own stream.
                    Err(_) => self.notifications = None,
                },
            }
            // Whoever talks without a pause must not keep the clock from being looked at.
            tokio::task::yield_now().await;
        }
    }

    fn heard(&mut self, name: &str) -> Result<(), Stop> {
        match name {
            np::SYNC_CANCEL_REQUEST => return Err(Stop::CancelledOnPhone),
            np::PASSCODE_PRESENTED => {
                self.prompt_seen = true;
                self.phase(Phase::WaitingForPasscode);
            }
            np::PASSCODE_DISMISSED if self.progress.phase == Phase::WaitingForPasscode => {
                self.phase(Phase::Preparing);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn phase(&mut self, phase: Phase) {
        if self.progress.phase != phase {
            self.progress.phase = phase;
            self.tell();
        }
    }

    /// The phone's own figure. It goes back and forth, and it says 100 before the end: only a finished run does (8.2).
    pub(super) fn percent(&mut self, percent: Option<f64>) {
        let Some(percent) = percent.filter(|percent| percent.is_finite()) else {
            return;
        };
        #[expect(clippy::cast_possible_truncation, reason = "a percentage")]
        let percent = percent.clamp(0.0, 99.9) as f32;
        if self.progress.percent.is_none_or(|before| before < percent) {
            self.progress.percent = Some(percent);
            self.tell();
        }
    }

    pub(super) fn received(&mut self, bytes: u64) {
        self.progress.bytes = self.progress.bytes.saturating_add(bytes);
        self.tell_now_and_then();
    }

    pub(super) fn file_whole(&mut self) {
        self.progress.files = self.progress.files.saturating_add(1);
        self.tell_now_and_then();
    }

    /// Who watches is woken each time: for each of 50 000 small files that would cost more than to write them.
    fn tell_now_and_then(&mut self) {
        let (bytes, files) = self.told;
        if self.progress.bytes - bytes >= TELL_BYTES || self.progress.files - files >= TELL_FILES {
            self.tell();
        }
    }

    pub(super) fn done(&mut self) {
        self.progress.percent = Some(100.0);
        self.tell();
    }

    /// Tells how far it is, whatever was told before.
    pub(super) fn tell(&mut self) {
        self.told = (self.progress.bytes, self.progress.files);
        self.watchers.send_replace(self.progress.clone());
    }
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    notifications: &mut Option<Notifications<S>>,
) -> io::Result<String> {
    match notifications {
        Some(notifications) => notifications.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Instant;

    use backupwatch_core::HostTime;
    use backupwatch_wire::notification_proxy::Event;
    use backupwatch_wire::{codec, lockdown};
    use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadBuf};

    use super::*;

    fn frame(name: &str) -> Vec<u8> {
        let event = Event::Relay {
            name: name.to_owned(),
        };
        lockdown::encode_frame(&codec::to_xml(&event.to_value()))
    }

    async fn attendant<S: AsyncRead + AsyncWrite + Unpin>(notifications: S) -> Attendant<S> {
        let progress = Progress {
            phase: Phase::Preparing,
            percent: None,
            bytes: 0,
            files: 0,
            started: HostTime(jiff::Timestamp::UNIX_EPOCH),
        };
        let (watchers, _) = watch::channel(progress.clone());
        let mut attendant = Attendant::new(CancellationToken::new(), progress, watchers);
        attendant.notifications = Some(Notifications::observe(notifications).await.unwrap());
        attendant
    }

    async fn nothing() -> io::Result<()> {
        std::future::pending().await
    }

    /// A phone that relays a notification whenever it is asked, until a moment.
    struct Flood {
        frame: Vec<u8>,
        until: Instant,
    }

    impl AsyncRead for Flood {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if Instant::now() < self.until {
                buffer.put_slice(&self.frame);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn notifications_without_end_do_not_stop_the_clock() {
        let begun = Instant::now();
        let mut attendant = attendant(Flood {
            frame: frame("com.example.noise"),
            until: begun + Duration::from_secs(5),
        })
        .await;
        let ended = attendant.during(Duration::from_millis(50), nothing()).await;
        assert!(matches!(ended, Err(Stop::Silent(_))), "{ended:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_has_half_an_hour_whenever_the_prompt_came_up() {
        let (ours, mut phones): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 16);
        let mut attendant = attendant(ours).await;
        phones
            .write_all(&frame(np::PASSCODE_PRESENTED))
            .await
            .unwrap();
        let short = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        };
        attendant.during(BETWEEN, short).await.unwrap();
        assert_eq!(attendant.progress().phase, Phase::WaitingForPasscode);
        let begun = tokio::time::Instant::now();
        let ended = attendant.during(BETWEEN, nothing()).await;
        assert!(matches!(ended, Err(Stop::NoPasscode)), "{ended:?}");
        assert_eq!(begun.elapsed().as_secs(), FIRST.as_secs());
    }
}
