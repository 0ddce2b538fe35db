//! Which devices there are, and one of them.

use std::ffi::CString;
use std::sync::Arc;

use crate::sys::{self, DeviceHandle};
use crate::{Error, Library};

/// By what a device is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Via {
    /// The cable.
    Usb,
    /// Wi-Fi.
    Network,
}

impl Via {
    /// `enum idevice_connection_type`
    pub(crate) fn of(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Usb),
            2 => Some(Self::Network),
            _ => None,
        }
    }
}

/// A device on usbmuxd's list. One that is reached both ways is on it twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listed {
    /// The device's identifier, as usbmuxd tells it. Nothing has looked at what is in it.
    pub udid: String,
    /// By what it is reached.
    pub via: Via,
}

/// By what a device is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lookup {
    /// The cable only.
    #[default]
    Usb,
    /// Wi-Fi only.
    Network,
    /// Both; the cable where there is one.
    PreferUsb,
    /// Both; Wi-Fi where there is one.
    PreferNetwork,
}

impl Lookup {
    /// `enum idevice_options`
    pub(crate) fn options(self) -> i32 {
        match self {
            Self::Usb => 1 << 1,
            Self::Network => 1 << 2,
            Self::PreferUsb => 1 << 1 | 1 << 2,
            Self::PreferNetwork => 1 << 1 | 1 << 2 | 1 << 3,
        }
    }
}

impl From<Via> for Lookup {
    fn from(via: Via) -> Self {
        match via {
            Via::Usb => Self::Usb,
            Via::Network => Self::Network,
        }
    }
}

/// All devices that usbmuxd has now.
///
/// # Errors
/// When usbmuxd cannot be asked; [`IdeviceError::NoDevice`](crate::IdeviceError::NoDevice) where it is not running.
pub fn devices(library: &'static Library) -> Result<Vec<Listed>, Error> {
    sys::list(library)
}

/// The pair record that usbmuxd has of a device: a property list with this computer's keys. `None` where there is none.
///
/// # Errors
/// When usbmuxd cannot be asked.
pub fn pair_record(library: &'static Library, udid: &str) -> Result<Option<Vec<u8>>, Error> {
    sys::pair_record(library, &CString::new(udid)?)
}

/// One device. Opening it asks usbmuxd, and the device nothing.
///
/// May be shared: threads that connect over it at the same time wait for each other, because the library keeps the device's
/// version in it. A program that must not wait opens one for each thread, which is cheap.
#[derive(Clone)]
pub struct Device {
    handle: Arc<DeviceHandle>,
    udid: CString,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

impl Device {
    /// Finds an attached device.
    ///
    /// # Errors
    /// [`IdeviceError::NoDevice`](crate::IdeviceError::NoDevice) where it is not attached in this way, or usbmuxd is not running.
    pub fn open(library: &'static Library, udid: &str, lookup: Lookup) -> Result<Self, Error> {
        let udid = CString::new(udid)?;
        let handle = Arc::new(DeviceHandle::open(library, &udid, lookup)?);
        Ok(Self { handle, udid })
    }

    pub(crate) fn handle(&self) -> &Arc<DeviceHandle> {
        &self.handle
    }

    pub(crate) fn pair_record(&self) -> Result<Option<Vec<u8>>, Error> {
        sys::pair_record(self.handle.library(), &self.udid)
    }
}
