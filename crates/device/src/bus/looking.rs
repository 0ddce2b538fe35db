//! What is on the cable beside what usbmuxd lists.

use backupwatch_core::Udid;
use backupwatch_wire::usbmux::{Attachment, Link};

use super::{BusError, Mode, OnBus, scan};
use crate::address::MuxAddress;
use crate::mux::Mux;
use crate::timeouts::Timeouts;

/// A phone on the cable, and what usbmuxd makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub phone: OnBus,
    pub listed: Listed,
}

/// What usbmuxd makes of a phone on the cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It lists the phone by this UDID.
    As(Udid),
    /// It does not list it. It never does in another mode than the normal one.
    Not,
    /// It could not be asked.
    Unknown,
}

/// One phone that usbmuxd has by cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) udid: Udid,
    pub(super) location: Option<u32>,
}

impl Listing {
    /// `None` for what is reached by Wi-Fi, or has no UDID.
    fn of(attachment: &Attachment) -> Option<Self> {
        let Link::Usb { location_id, .. } = &attachment.link else {
            return None;
        };
        Some(Self {
            udid: Udid::parse(&attachment.udid).ok()?,
            location: *location_id,
        })
    }
}

/// What is on the cable now, and what this computer's usbmuxd makes of it.
///
/// # Errors
/// When the bus cannot be looked at.
pub async fn look(address: &MuxAddress, timeouts: &Timeouts) -> Result<Vec<Found>, BusError> {
    let phones = scan_beside().await?;
    if phones.is_empty() {
        return Ok(Vec::new());
    }
    let listed = listings(address, timeouts).await;
    let mut found = compare(phones, listed.as_deref());
    // Between the two looks a phone may have been unplugged, or have gone to another mode.
    if found.iter().any(|one| one.listed == Listed::Not) {
        let still = scan_beside().await?;
        found.retain(|one| still.contains(&one.phone));
    }
    Ok(found)
}

async fn scan_beside() -> Result<Vec<OnBus>, BusError> {
    let scanned = tokio::task::spawn_blocking(scan).await;
    scanned.map_err(BusError::Broken)?
}

async fn listings(address: &MuxAddress, timeouts: &Timeouts) -> Option<Vec<Listing>> {
    let asked = async {
        let mut mux = Mux::open(address, timeouts.mux).await?;
        mux.list().await
    };
    match asked.await {
        Ok(attachments) => Some(attachments.iter().filter_map(Listing::of).collect()),
        Err(error) => {
            let source = &error as &dyn std::error::Error;
            tracing::debug!(error = source, "usbmuxd does not say whom it lists");
            None
        }
    }
}

/// `listed` is absent where usbmuxd could not be asked.
pub(super) fn compare(phones: Vec<OnBus>, listed: Option<&[Listing]>) -> Vec<Found> {
    let found = |phone: OnBus| {
        let listed = match (phone.mode, listed) {
            (Mode::Recovery | Mode::Dfu | Mode::Wtf, _) => Listed::Not,
            (Mode::Normal, None) => Listed::Unknown,
            (Mode::Normal, Some(listed)) => listed
                .iter()
                .find(|listing| is_same(&phone, listing))
                .map_or(Listed::Not, |listing| Listed::As(listing.udid.clone())),
        };
        Found { phone, listed }
    };
    phones.into_iter().map(found).collect()
}

/// By the UDID; the place on the bus only counts for a phone whose UDID cannot be read, because daemons differ in how they number it.
fn is_same(phone: &OnBus, listing: &Listing) -> bool {
    match &phone.serial {
        Some(serial) => serial.eq_ignore_ascii_case(listing.udid.as_str()),
        None => listing.location == Some(phone.location),
    }
}
