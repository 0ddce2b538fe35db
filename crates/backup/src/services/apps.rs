//! installation_proxy: the apps that Info.plist names.

use std::io;

use backupwatch_wire::installation_proxy::{Options, Reply, Request};
use plist::Dictionary;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Frames, invalid};

/// Longest page of apps; each has a receipt and a few kilobytes of metadata.
const MAX: usize = 2 << 20;

/// All apps together; what is beyond is left out, because Info.plist has to stay readable.
const MAX_APPS: usize = 2000;

/// Asks for the apps of the person. Each is a dictionary with the attributes that a backup wants.
pub(crate) async fn browse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
) -> io::Result<Vec<Dictionary>> {
    let mut frames = Frames::new(stream, MAX);
    frames
        .send(&Request::Browse(Options::for_backup()).to_value())
        .await?;
    let mut all = Vec::new();
    loop {
        match Reply::from_value(&frames.next().await?).map_err(|e| invalid(&e))? {
            Reply::Page { apps } => {
                all.extend(apps.into_iter().take(MAX_APPS.saturating_sub(all.len())))
            }
            Reply::Complete => return Ok(all),
            Reply::Failed { error } => return Err(io::Error::other(error)),
            Reply::Found { .. } => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
