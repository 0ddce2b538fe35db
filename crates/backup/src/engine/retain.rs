//! After a backup: which versions before it are kept. Whatever goes wrong here, the backup is made.

use backupwatch_core::Udid;
use backupwatch_core::retention::RetentionPolicy;

use super::blocking;
use crate::store::Store;

/// Which versions are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub policy: RetentionPolicy,
    /// Seconds east of Greenwich, for days, weeks and months.
    pub utc_offset_s: i32,
}

/// Deletes the versions that are not kept. What cannot be deleted is tried again after the next backup.
pub(super) async fn retain(store: &Store, udid: &Udid, retention: Retention) {
    let Retention {
        policy,
        utc_offset_s,
    } = retention;
    let done = blocking({
        let (store, udid) = (store.clone(), udid.clone());
        move || store.retain(&udid, &policy, utc_offset_s)
    });
    match done.await {
        Ok(Ok(pruning)) => {
            if let Some(short) = pruning.plan.short {
                tracing::warn!(
                    free = short.free,
                    keep_free = short.keep_free,
                    "the disk with the backups has less room than it should, and no version may go for it"
                );
            }
        }
        Ok(Err(error)) => {
            tracing::warn!(udid = udid.short(), %error, "old versions could not be deleted");
        }
        Err(_) => tracing::error!(udid = udid.short(), "deleting old versions broke"),
    }
}
