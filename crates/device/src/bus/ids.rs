//! Which product ids are phones, and what each says of the phone's state.
//!
//! Facts from the headers of usbmuxd (`src/usb.h`: which ids it takes for phones, and which for the chips of Macs),
//! libirecovery (`include/libirecovery.h`: recovery, WTF and DFU mode) and from the list at linux-usb.org.

use super::OnBus;

const APPLE: u16 = 0x05ac;

/// What a phone in the normal mode is; iPhones are whatever is not listed here.
const IPADS: &[u16] = &[
    0x129a, 0x129f, 0x12a2, 0x12a3, 0x12a4, 0x12a5, 0x12a6, 0x12a9, 0x12ab,
];
const IPODS: &[u16] = &[0x1291, 0x1293, 0x1296, 0x1299, 0x129e, 0x12aa];

impl OnBus {
    /// The word for people, as far as the product id tells.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self.mode {
            Mode::Normal if IPADS.contains(&self.product_id) => "iPad",
            Mode::Normal if IPODS.contains(&self.product_id) => "iPod touch",
            Mode::Normal => "iPhone",
            Mode::Recovery | Mode::Dfu | Mode::Wtf => "iPhone or iPad",
        }
    }
}

/// In what state a phone is on the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It runs iOS or iPadOS, or what installs them.
    Normal,
    /// Its boot loader waits for a computer: *recovery mode*, a cable and a computer on its screen.
    Recovery,
    /// Its first boot loader waits, and its screen is black: *DFU mode*, device firmware update.
    Dfu,
    /// The same of the oldest models, which take one more step: *WTF mode*.
    Wtf,
}

impl Mode {
    /// `None` for whatever is not a phone: of other vendors, keyboards and hubs, and the chips inside of Macs (0x8600 the
    /// T2, 0x1901 to 0x1905 Apple silicon that is being restored), which usbmuxd lists, too.
    ///
    /// A Mac, an Apple TV or a watch in recovery or DFU mode has the same ids as a phone there.
    pub(super) fn of(vendor: u16, product: u16) -> Option<Self> {
        if vendor != APPLE {
            return None;
        }
        match product {
            0x1280..=0x1283 => Some(Self::Recovery),
            0x1222 => Some(Self::Wtf),
            0x1227 => Some(Self::Dfu),
            // An Apple TV and a watch, within usbmuxd's range.
            0x12a7 | 0x12af => None,
            0x1290..=0x12af => Some(Self::Normal),
            _ => None,
        }
    }
}
