//! How we reach phones: usbmuxd's news, a short visit, pairing, hints, the phone's log, the USB bus, and the authenticated
//! streams of a backup.
//!
//! The only crate that names `idevice`, `rusb` and `nusb`; what is rented from the former and what is our own is in `docs/adr/0003`,
//! and what libimobiledevice may do in its place in `docs/adr/0014`.
//! Not here: when to do any of it (`core`), and what is said on a backup's streams (`backup`).

mod address;
pub mod bus;
mod certificates;
mod error;
mod library;
mod list;
mod listen;
mod live;
mod lockdown;
mod mux;
mod observe;
mod pair;
mod pair_record;
mod phone;
mod probe;
mod reading;
mod service;
mod stream;
mod timeouts;
mod tls;
mod transport;

pub use address::MuxAddress;
pub use certificates::CertificateError;
pub use error::{DeviceError, MuxError};
pub use library::{LibraryError, leave};
pub use list::list;
pub use listen::{Attached, MuxDown, MuxEvent, listen};
pub use live::{LogEvent, LogLine, live};
pub use observe::{Hint, observe};
pub use pair::{PairOptions, pair};
pub use pair_record::PairRecordError;
pub use phone::IdevicePhone;
pub use probe::probe;
pub use stream::DeviceStream;
pub use timeouts::Timeouts;
pub use transport::{Backend, Transport, UnknownBackend};
