//! The lock on the phone that keeps two programs from synchronising with it at once (protocol.md section 7). Finder takes it
//! too; where it is taken we say "busy" and force nothing.

use std::io;
use std::time::Duration;

use backupwatch_wire::afc::{Lock, OpenMode, Request, SYNC_LOCK, Status};
use backupwatch_wire::notification_proxy as np;
use tokio::io::{AsyncRead, AsyncWrite};

use super::afc::{Afc, AfcError};
use super::notifications::Notifications;

/// How often the lock is asked for, and the pause between: what libimobiledevice and pymobiledevice3 do.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another program is synchronising with the phone")]
    Busy,
    #[error("the phone refused its sync lock ({0:?})")]
    Refused(Status),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct SyncLock {
    handle: u64,
}

impl SyncLock {
    pub(crate) async fn take<S: AsyncRead + AsyncWrite + Unpin>(
        notifications: &mut Notifications<S>,
        afc: &mut Afc<S>,
    ) -> Result<Self, LockError> {
        notifications.post(np::SYNC_WILL_START).await?;
        let handle = afc
            .open(SYNC_LOCK, OpenMode::ReadWrite)
            .await
            .map_err(refused)?;
        notifications.post(np::SYNC_LOCK_REQUEST).await?;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            match afc
                .command(&Request::Lock {
                    handle,
                    lock: Lock::Exclusive,
                })
                .await
            {
                Ok(()) => {
                    notifications.post(np::SYNC_DID_START).await?;
                    return Ok(Self { handle });
                }
                Err(AfcError::Refused(Status::WouldBlock)) => {}
                Err(e) => return Err(refused(e)),
            }
        }
        let _ = afc.command(&Request::Close { handle }).await;
        notifications.post(np::SYNC_DID_FINISH).await?;
        Err(LockError::Busy)
    }

    /// Gives it back and says that the sync is over.
    pub(crate) async fn release<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        notifications: &mut Notifications<S>,
        afc: &mut Afc<S>,
    ) -> Result<(), LockError> {
        let handle = self.handle;
        let unlocked = afc
            .command(&Request::Lock {
                handle,
                lock: Lock::Unlock,
            })
            .await;
        let closed = afc.command(&Request::Close { handle }).await;
        notifications.post(np::SYNC_DID_FINISH).await?;
        unlocked.and(closed).map_err(refused)
    }
}

fn refused(error: AfcError) -> LockError {
    match error {
        AfcError::Refused(status) => LockError::Refused(status),
        AfcError::Io(e) => LockError::Io(e),
    }
}
