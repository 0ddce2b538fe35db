//! The functions of the C library that are called, by their names there, and what they are called with.
//!
//! The types are those of the headers of 1.3.0 and 1.4.0; what both versions export has the same signature in both. All of
//! the library's error types are C enums, which are an `int` on every platform that it builds on.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// A type of which only the C library knows what is in it.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(crate) struct $name {
            _nothing: [u8; 0],
            _not_send: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}

opaque! {
    /// `idevice_private`
    CDevice;
    /// `idevice_connection_private`
    CConnection;
    /// `idevice_subscription_context`
    CSubscription;
    /// `lockdownd_client_private`
    CLockdown;
    /// `service_client_private`
    CService;
    /// `afc_client_private`
    CAfc;
    /// `np_client_private`
    CNotifications;
    /// What a `plist_t` points to.
    CNode;
}

/// `struct idevice_info`
#[repr(C)]
pub(crate) struct CInfo {
    pub(crate) udid: *mut c_char,
    pub(crate) conn_type: c_int,
    pub(crate) conn_data: *mut c_void,
}

/// `idevice_event_t`
#[repr(C)]
pub(crate) struct CEvent {
    pub(crate) event: c_int,
    pub(crate) udid: *const c_char,
    pub(crate) conn_type: c_int,
}

/// `struct lockdownd_service_descriptor`, of which both versions have these fields; the first has no `identifier`.
#[repr(C)]
pub(crate) struct CDescriptor {
    pub(crate) port: u16,
    pub(crate) ssl_enabled: u8,
    pub(crate) identifier: *mut c_char,
}

/// `struct lockdownd_pair_record`
#[repr(C)]
pub(crate) struct CPairRecord {
    pub(crate) device_certificate: *mut c_char,
    pub(crate) host_certificate: *mut c_char,
    pub(crate) root_certificate: *mut c_char,
    pub(crate) host_id: *mut c_char,
    pub(crate) system_buid: *mut c_char,
}

pub(crate) type EventCallback = unsafe extern "C" fn(*const CEvent, *mut c_void);
pub(crate) type NotifyCallback = unsafe extern "C" fn(*const c_char, *mut c_void);

/// Declares [`Table`]: a field for each function, and how they are all found.
macro_rules! table {
    (
        needed { $(fn $name:ident($($arg:ty),* $(,)?) $(-> $ret:ty)?;)* }
        newer { $(fn $new:ident($($new_arg:ty),* $(,)?) $(-> $new_ret:ty)?;)* }
    ) => {
        /// Where each function is. The newer ones are not in 1.3.0 and in the libplist that it was made for.
        pub(crate) struct Table {
            $(pub(crate) $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
            $(pub(crate) $new: Option<unsafe extern "C" fn($($new_arg),*) $(-> $new_ret)?>,)*
        }

        impl Table {
            /// Looks all functions up, also in the libraries that this one was linked to: those are the libplist and the
            /// libusbmuxd that it uses itself. The error is the name that is not there.
            ///
            /// # Safety
            /// `library` is a libimobiledevice, so what has the names has the signatures, and it is never unloaded.
            pub(crate) unsafe fn look_up(library: &libloading::os::unix::Library) -> Result<Self, &'static str> {
                Ok(Self {
                    // SAFETY: by the caller's promise the symbol has this type and outlives the table.
                    $($name: *unsafe { library.get(concat!(stringify!($name), "\0")) }
                        .map_err(|_| stringify!($name))?,)*
                    // SAFETY: as above.
                    $($new: unsafe { library.get(concat!(stringify!($new), "\0")) }.ok().map(|symbol| *symbol),)*
                })
            }
        }
    };
}

table! {
    needed {
        fn idevice_get_device_list_extended(*mut *mut *mut CInfo, *mut c_int) -> c_int;
        fn idevice_device_list_extended_free(*mut *mut CInfo) -> c_int;
        fn idevice_event_subscribe(EventCallback, *mut c_void) -> c_int;
        fn idevice_event_unsubscribe() -> c_int;
        fn idevice_new_with_options(*mut *mut CDevice, *const c_char, c_int) -> c_int;
        fn idevice_free(*mut CDevice) -> c_int;
        fn idevice_connect(*mut CDevice, u16, *mut *mut CConnection) -> c_int;
        fn idevice_disconnect(*mut CConnection) -> c_int;
        fn idevice_connection_send(*mut CConnection, *const c_char, u32, *mut u32) -> c_int;
        fn idevice_connection_receive(*mut CConnection, *mut c_char, u32, *mut u32) -> c_int;
        fn idevice_connection_receive_timeout(*mut CConnection, *mut c_char, u32, *mut u32, c_uint) -> c_int;
        fn idevice_connection_enable_ssl(*mut CConnection) -> c_int;
        fn idevice_connection_get_fd(*mut CConnection, *mut c_int) -> c_int;

        fn lockdownd_client_new(*mut CDevice, *mut *mut CLockdown, *const c_char) -> c_int;
        fn lockdownd_client_new_with_handshake(*mut CDevice, *mut *mut CLockdown, *const c_char) -> c_int;
        fn lockdownd_client_free(*mut CLockdown) -> c_int;
        fn lockdownd_query_type(*mut CLockdown, *mut *mut c_char) -> c_int;
        fn lockdownd_get_value(*mut CLockdown, *const c_char, *const c_char, *mut *mut CNode) -> c_int;
        fn lockdownd_start_session(*mut CLockdown, *const c_char, *mut *mut c_char, *mut c_int) -> c_int;
        fn lockdownd_pair_with_options(*mut CLockdown, *mut CPairRecord, *mut CNode, *mut *mut CNode) -> c_int;
        fn lockdownd_start_service(*mut CLockdown, *const c_char, *mut *mut CDescriptor) -> c_int;
        fn lockdownd_start_service_with_escrow_bag(*mut CLockdown, *const c_char, *mut *mut CDescriptor) -> c_int;
        fn lockdownd_service_descriptor_free(*mut CDescriptor) -> c_int;
        fn lockdownd_goodbye(*mut CLockdown) -> c_int;

        fn service_client_new(*mut CDevice, *mut CDescriptor, *mut *mut CService) -> c_int;
        fn service_client_free(*mut CService) -> c_int;
        fn service_send(*mut CService, *const c_char, u32, *mut u32) -> c_int;
        fn service_receive_with_timeout(*mut CService, *mut c_char, u32, *mut u32, c_uint) -> c_int;
        fn service_enable_ssl(*mut CService) -> c_int;

        fn afc_client_new(*mut CDevice, *mut CDescriptor, *mut *mut CAfc) -> c_int;
        fn afc_client_free(*mut CAfc) -> c_int;
        fn afc_file_open(*mut CAfc, *const c_char, c_int, *mut u64) -> c_int;
        fn afc_file_lock(*mut CAfc, u64, c_int) -> c_int;
        fn afc_file_close(*mut CAfc, u64) -> c_int;

        fn np_client_new(*mut CDevice, *mut CDescriptor, *mut *mut CNotifications) -> c_int;
        fn np_client_free(*mut CNotifications) -> c_int;
        fn np_observe_notification(*mut CNotifications, *const c_char) -> c_int;
        fn np_post_notification(*mut CNotifications, *const c_char) -> c_int;
        fn np_set_notify_callback(*mut CNotifications, Option<NotifyCallback>, *mut c_void) -> c_int;

        fn plist_from_bin(*const c_char, u32, *mut *mut CNode);
        fn plist_to_bin(*mut CNode, *mut *mut c_char, *mut u32);
        fn plist_free(*mut CNode);

        fn usbmuxd_read_pair_record(*const c_char, *mut *mut c_char, *mut u32) -> c_int;
    }
    newer {
        fn idevice_events_subscribe(*mut *mut CSubscription, EventCallback, *mut c_void) -> c_int;
        fn idevice_events_unsubscribe(*mut CSubscription) -> c_int;
        fn idevice_get_device_version(*mut CDevice) -> c_uint;
        fn libimobiledevice_version() -> *const c_char;
        fn plist_mem_free(*mut c_void);
    }
}
