//! Lists of devices, and the handle of one.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::{CDevice, CInfo};
use super::{DESCRIPTOR_LIMIT, free};
use crate::device::{Listed, Lookup, Via};
use crate::error::IdeviceError;
use crate::{Error, Library};

/// Devices on one list; a hundred times what any household has.
const MOST_LISTED: usize = 65_536;

pub(crate) fn list(library: &'static Library) -> Result<Vec<Listed>, Error> {
    room_for_a_descriptor()?;
    let mut array: *mut *mut CInfo = ptr::null_mut();
    let mut count: c_int = 0;
    // SAFETY: both are written: a list of its own that ends with null, or nothing.
    let code = unsafe {
        (library.table().idevice_get_device_list_extended)(&raw mut array, &raw mut count)
    };
    let mut listed = Vec::new();
    if !array.is_null() {
        for index in 0..usize::try_from(count).unwrap_or(0).min(MOST_LISTED) {
            // SAFETY: the library wrote `count` entries.
            let entry = unsafe { *array.add(index) };
            if entry.is_null() {
                break;
            }
            // SAFETY: the entry is valid until the list is freed.
            let CInfo {
                udid, conn_type, ..
            } = unsafe { ptr::read(entry) };
            if !udid.is_null()
                && let Some(via) = Via::of(conn_type)
            {
                // SAFETY: as above, and the library ends it with NUL.
                let udid = unsafe { CStr::from_ptr(udid) };
                listed.push(Listed {
                    udid: udid.to_string_lossy().into_owned(),
                    via,
                });
            }
        }
        // SAFETY: the list is ours and is not used again.
        unsafe { (library.table().idevice_device_list_extended_free)(array) };
    }
    IdeviceError::check(code)?;
    Ok(listed)
}

/// The pair record that usbmuxd has of a device, as it stores it.
pub(crate) fn pair_record(
    library: &'static Library,
    udid: &CStr,
) -> Result<Option<Vec<u8>>, Error> {
    room_for_a_descriptor()?;
    let mut data: *mut c_char = ptr::null_mut();
    let mut length = 0_u32;
    // SAFETY: the name is only read; what is written is a new buffer and its length, or nothing.
    let code = unsafe {
        (library.table().usbmuxd_read_pair_record)(udid.as_ptr(), &raw mut data, &raw mut length)
    };
    if data.is_null() {
        return match code {
            // Both of usbmuxd's words for "there is none": EINVAL of Apple's and ENOENT of Linux's. Below zero is errno.
            -2 | -22 | 0.. => Ok(None),
            _ => Err(IdeviceError::NoDevice.into()),
        };
    }
    // SAFETY: the library wrote this many bytes there.
    let record = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) }.to_vec();
    // SAFETY: the buffer came from malloc, is ours, and is not used again.
    unsafe { free(data.cast()) };
    Ok((!record.is_empty()).then_some(record))
}

/// Refuses where the next descriptor would be one that the library must not wait for.
pub(super) fn room_for_a_descriptor() -> Result<(), Error> {
    use std::os::fd::AsRawFd as _;
    let next = std::fs::File::open("/")?;
    if next.as_raw_fd() >= DESCRIPTOR_LIMIT {
        return Err(Error::TooManyFiles {
            limit: DESCRIPTOR_LIMIT,
        });
    }
    Ok(())
}

/// An `idevice_t`.
pub(crate) struct DeviceHandle {
    pub(super) library: &'static Library,
    pub(super) pointer: *mut CDevice,
    /// Held while the library may read or write what it keeps of the device, its iOS version.
    using: Mutex<()>,
    version_known: AtomicBool,
}

// SAFETY: the handle is plain memory that the library binds to no thread.
unsafe impl Send for DeviceHandle {}
// SAFETY: after it is made only its version changes, and whoever calls what reads or writes that holds `using`.
unsafe impl Sync for DeviceHandle {}

impl DeviceHandle {
    pub(crate) fn open(
        library: &'static Library,
        udid: &CStr,
        lookup: Lookup,
    ) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let mut pointer = ptr::null_mut();
        // SAFETY: the name is only read; what is written is a new handle, or nothing.
        let code = unsafe {
            (library.table().idevice_new_with_options)(
                &raw mut pointer,
                udid.as_ptr(),
                lookup.options(),
            )
        };
        IdeviceError::check(code)?;
        if pointer.is_null() {
            return Err(IdeviceError::Unknown.into());
        }
        let version_known = AtomicBool::new(library.table().idevice_get_device_version.is_some());
        Ok(Self {
            library,
            pointer,
            using: Mutex::new(()),
            version_known,
        })
    }

    pub(crate) fn library(&self) -> &'static Library {
        self.library
    }

    /// Waits until nobody else lets the library touch the device's version.
    pub(super) fn using(&self) -> MutexGuard<'_, ()> {
        self.using.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the library knows the version by now, by which it chooses the versions of TLS that it offers.
    pub(super) fn version_known(&self) -> bool {
        self.version_known.load(Ordering::Acquire)
    }

    pub(super) fn version_is_known(&self) {
        self.version_known.store(true, Ordering::Release);
    }
}

impl Drop for DeviceHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, whoever points to it within the library holds an `Arc` of it, and it is not used again.
        unsafe { (self.library.table().idevice_free)(self.pointer) };
    }
}
