//! Who is attached right now: one question, for when no agent listens.

use std::cmp::Ordering;

use backupwatch_core::{LinkKind, Udid};

use crate::address::MuxAddress;
use crate::error::DeviceError;
use crate::listen::Attached;
use crate::mux::Mux;
use crate::timeouts::Timeouts;

/// Every attachment that usbmuxd knows, the cable first.
///
/// # Errors
/// When usbmuxd does not answer.
pub async fn list(address: &MuxAddress, timeouts: &Timeouts) -> Result<Vec<Attached>, DeviceError> {
    let mut all: Vec<_> = Mux::open(address, timeouts.mux)
        .await?
        .list()
        .await?
        .iter()
        .filter_map(Attached::from_wire)
        .collect();
    all.sort_by(preference);
    Ok(all)
}

/// The attachments of one phone, the cable first.
pub(crate) async fn attachments_of(
    address: &MuxAddress,
    udid: &Udid,
    timeouts: &Timeouts,
) -> Result<Vec<Attached>, DeviceError> {
    let mut all = list(address, timeouts).await?;
    all.retain(|attached| attached.udid.as_str().eq_ignore_ascii_case(udid.as_str()));
    Ok(all)
}

fn preference(one: &Attached, other: &Attached) -> Ordering {
    let wireless = |attached: &Attached| attached.link == LinkKind::Network;
    wireless(one)
        .cmp(&wireless(other))
        // The younger attachment: a daemon may still list one that is gone.
        .then(other.attachment.cmp(&one.attachment))
}
