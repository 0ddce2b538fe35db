//! Hints from an attached phone: its backup domain changed, it was locked or unlocked. They only make a visit come
//! earlier; polling goes on without them.
//!
//! One connection to notification_proxy, and no lockdown session beside it: that would not live for 10 s (protocol.md
//! 4.1). Not here: the notifications of a running backup (`backup` listens to those itself).

use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::lockdown::{MAX_FRAME, encode_frame};
use backupwatch_wire::notification_proxy::{BACKUP_DOMAIN_CHANGED, Event, Request, SERVICE};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::DeviceError;
use crate::listen::Attached;
use crate::lockdown::read_frame;
use crate::service;
use crate::timeouts::Timeouts;
use crate::transport::Transport;

/// SpringBoard posts it at every lock and unlock. Which phones still relay it is not known; one that does not is silent.
const LOCK_STATE: &str = "com.apple.springboard.lockstate";
const DOING: &str = "waiting for notifications";

/// Something that a phone lets us know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A value of `com.apple.mobile.backup` is another than before.
    DomainChanged,
    /// The phone was locked or unlocked.
    LockChanged,
}

/// Listens to a phone until `cancel` fires, nobody takes the hints any more, or the phone goes away.
///
/// # Errors
/// When the phone could not be asked to tell, or has stopped telling.
pub async fn observe(
    transport: &Transport,
    attached: &Attached,
    timeouts: &Timeouts,
    hints: mpsc::Sender<Hint>,
    cancel: CancellationToken,
) -> Result<(), DeviceError> {
    let work = listen(transport, attached, timeouts, &hints);
    tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(()),
        () = hints.closed() => Ok(()),
        ended = work => ended,
    }
}

async fn listen(
    transport: &Transport,
    attached: &Attached,
    timeouts: &Timeouts,
    hints: &mpsc::Sender<Hint>,
) -> Result<(), DeviceError> {
    // Boxed: the room that a handshake takes is not kept for as long as the phone is attached.
    let mut stream = Box::pin(service::open(transport, attached, SERVICE, timeouts)).await?;

    for name in [BACKUP_DOMAIN_CHANGED, LOCK_STATE] {
        let request = Request::Observe {
            name: name.to_owned(),
        };
        let frame = encode_frame(&codec::to_xml(&request.to_value()));
        let sent = async {
            stream.write_all(&frame).await?;
            stream.flush().await
        };
        tokio::time::timeout(timeouts.request, sent)
            .await
            .map_err(|_| DeviceError::Silent {
                doing: DOING,
                after: timeouts.request,
            })?
            .map_err(|source| DeviceError::link(DOING, source))?;
    }
    loop {
        let body = read_frame(&mut stream, DOING).await?;
        let hint = match read(&body) {
            Some(Event::Relay { name }) if name == BACKUP_DOMAIN_CHANGED => Hint::DomainChanged,
            Some(Event::Relay { name }) if name == LOCK_STATE => Hint::LockChanged,
            Some(Event::ProxyDeath) => {
                return Err(DeviceError::Link {
                    doing: DOING,
                    source: std::io::ErrorKind::ConnectionReset.into(),
                });
            }
            Some(Event::Relay { .. } | Event::Other { .. }) | None => continue,
        };
        if hints.send(hint).await.is_err() {
            return Ok(());
        }
    }
}

/// A message that cannot be read is passed over: it is only a hint.
fn read(body: &[u8]) -> Option<Event> {
    let value = codec::decode(body, Limits::of_bytes(MAX_FRAME)).ok()?;
    Event::from_value(&value).ok()
}
