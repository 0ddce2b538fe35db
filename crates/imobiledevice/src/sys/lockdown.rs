//! A client of lockdownd.

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Arc;

use super::CText;
use super::device::{DeviceHandle, room_for_a_descriptor};
use super::node::Node;
use super::table::{CDescriptor, CLockdown, CPairRecord};
use crate::error::LockdownError;
use crate::lockdown::{Descriptor, PairRecord};
use crate::{Error, Library};

/// A `lockdownd_client_t`.
pub(crate) struct LockdownHandle {
    device: Arc<DeviceHandle>,
    pointer: *mut CLockdown,
    label: CString,
}

// SAFETY: the library binds a client to no thread; all calls take `&mut self`, so there is one at a time.
unsafe impl Send for LockdownHandle {}

impl LockdownHandle {
    pub(crate) fn connect(device: &Arc<DeviceHandle>, label: &CStr) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let using = device.using();
        let mut pointer = ptr::null_mut();
        // SAFETY: the device lives and nobody else uses it; the label is copied; what is written is a new client, or nothing.
        let code = unsafe {
            (device.library.table().lockdownd_client_new)(
                device.pointer,
                &raw mut pointer,
                label.as_ptr(),
            )
        };
        drop(using);
        Self::own(device, pointer, code, label)
    }

    fn own(
        device: &Arc<DeviceHandle>,
        pointer: *mut CLockdown,
        code: i32,
        label: &CStr,
    ) -> Result<Self, Error> {
        LockdownError::check(code)?;
        if pointer.is_null() {
            return Err(LockdownError::Unknown.into());
        }
        Ok(Self {
            device: Arc::clone(device),
            pointer,
            label: label.to_owned(),
        })
    }

    fn library(&self) -> &'static Library {
        self.device.library
    }

    /// Whether a session can be started on this very connection.
    pub(crate) fn version_known(&self) -> bool {
        self.device.version_known()
    }

    pub(crate) fn query_type(&mut self) -> Result<Option<String>, Error> {
        let mut name = CText(ptr::null_mut());
        // SAFETY: the client lives; what is written is a new string, or nothing.
        let code =
            unsafe { (self.library().table().lockdownd_query_type)(self.pointer, &raw mut name.0) };
        LockdownError::check(code)?;
        Ok(name.text())
    }

    pub(crate) fn value(
        &mut self,
        domain: Option<&CStr>,
        key: Option<&CStr>,
    ) -> Result<Option<plist::Value>, Error> {
        let mut node = ptr::null_mut();
        let text = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the client lives; both names may be null and are only read; what is written is a new root node, or nothing.
        let code = unsafe {
            (self.library().table().lockdownd_get_value)(
                self.pointer,
                text(domain),
                text(key),
                &raw mut node,
            )
        };
        // SAFETY: as above.
        let node = unsafe { Node::own(self.library(), node) };
        LockdownError::check(code)?;
        node.map(|node| node.value()).transpose()
    }

    /// Starts a session on this connection.
    pub(crate) fn start_session(&mut self, host_id: &CStr) -> Result<(), Error> {
        let _using = self.device.using();
        // SAFETY: the client lives, nobody else uses its device, the name is only read, and null asks for nothing back.
        let code = unsafe {
            (self.library().table().lockdownd_start_session)(
                self.pointer,
                host_id.as_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        Ok(LockdownError::check(code)?)
    }

    /// A client on a connection of its own, with a session of the pair record that usbmuxd has.
    ///
    /// Where usbmuxd has none, or the device is older than iOS 7, this asks the person for trust: the caller makes sure of both.
    pub(crate) fn with_handshake(&self) -> Result<Self, Error> {
        room_for_a_descriptor()?;
        let using = self.device.using();
        let mut pointer = ptr::null_mut();
        // SAFETY: as in `connect`.
        let code = unsafe {
            (self.library().table().lockdownd_client_new_with_handshake)(
                self.device.pointer,
                &raw mut pointer,
                self.label.as_ptr(),
            )
        };
        drop(using);
        let handle = Self::own(&self.device, pointer, code, &self.label)?;
        self.device.version_is_known();
        Ok(handle)
    }

    pub(crate) fn pair(
        &mut self,
        record: Option<&PairRecord>,
        options: &plist::Value,
    ) -> Result<Option<plist::Value>, Error> {
        let options = Node::new(self.library(), options)?;
        let texts = record.map(CTexts::of).transpose()?;
        let mut c_record = texts.as_ref().map(CTexts::record);
        let record = c_record.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let using = self.device.using();
        let mut response = ptr::null_mut();
        // SAFETY: the client lives and nobody else uses its device; the record is null, or its texts live beyond the call and
        // are only read; the options are copied; what is written is a new root node, or nothing.
        let code = unsafe {
            (self.library().table().lockdownd_pair_with_options)(
                self.pointer,
                record,
                options.pointer,
                &raw mut response,
            )
        };
        drop(using);
        // SAFETY: as above.
        let response = unsafe { Node::own(self.library(), response) };
        LockdownError::check(code)?;
        response.map(|node| node.value()).transpose()
    }

    pub(crate) fn start_service(&mut self, name: &CStr, escrow: bool) -> Result<Descriptor, Error> {
        let table = self.library().table();
        let start = if escrow {
            table.lockdownd_start_service_with_escrow_bag
        } else {
            table.lockdownd_start_service
        };
        let mut pointer: *mut CDescriptor = ptr::null_mut();
        // SAFETY: the client lives, the name is only read; what is written is a new descriptor, or nothing.
        let code = unsafe { start(self.pointer, name.as_ptr(), &raw mut pointer) };
        let descriptor = (!pointer.is_null()).then(|| {
            // SAFETY: a descriptor of either version has a port.
            let port = unsafe { (&raw const (*pointer).port).read() };
            // SAFETY: and it has this.
            let tls = unsafe { (&raw const (*pointer).ssl_enabled).read() } != 0;
            // SAFETY: it is ours and is not used again.
            unsafe { (table.lockdownd_service_descriptor_free)(pointer) };
            Descriptor { port, tls }
        });
        LockdownError::check(code)?;
        descriptor
            .filter(|descriptor| descriptor.port != 0)
            .ok_or_else(|| LockdownError::Dict.into())
    }

    pub(crate) fn goodbye(&mut self) -> Result<(), Error> {
        // SAFETY: the client lives.
        Ok(LockdownError::check(unsafe {
            (self.library().table().lockdownd_goodbye)(self.pointer)
        })?)
    }
}

impl Drop for LockdownHandle {
    fn drop(&mut self) {
        // SAFETY: the client is ours and is not used again. It ends its session and frees what belongs to that.
        unsafe { (self.library().table().lockdownd_client_free)(self.pointer) };
    }
}

/// The texts of a pair record as C takes them.
struct CTexts([CString; 5]);

impl CTexts {
    fn of(record: &PairRecord) -> Result<Self, Error> {
        Ok(Self([
            CString::new(record.device_certificate.as_str())?,
            CString::new(record.host_certificate.as_str())?,
            CString::new(record.root_certificate.as_str())?,
            CString::new(record.host_id.as_str())?,
            CString::new(record.system_buid.as_str())?,
        ]))
    }

    /// Points into `self`; the library only reads it.
    fn record(&self) -> CPairRecord {
        let [device, host, root, host_id, system_buid] = &self.0;
        CPairRecord {
            device_certificate: device.as_ptr().cast_mut(),
            host_certificate: host.as_ptr().cast_mut(),
            root_certificate: root.as_ptr().cast_mut(),
            host_id: host_id.as_ptr().cast_mut(),
            system_buid: system_buid.as_ptr().cast_mut(),
        }
    }
}
