//! DeviceLink, the protocol under mobilebackup2, for both ends: property-list messages, status answers, and the two binary
//! streams that carry files.
//!
//! One connection alternates between the two forms. Messages are [`frame`]d; after a [`DeviceMessage::UploadFiles`] the
//! device sends an [`upload`] stream, after a [`DeviceMessage::DownloadFiles`] the host sends a [`download`] stream, and
//! both end with a [`StatusResponse`]. Which form comes next is the caller's knowledge; every decoder here says exactly how
//! many bytes it took, so that the rest of a buffer can be handed to the next one.
//!
//! Not here: what the messages mean for a backup ([`crate::mobilebackup2`]) and which paths are safe ([`crate::path`]).

pub mod code;
pub mod download;
pub mod frame;
mod listing;
pub mod message;
pub mod status;
pub mod stream;
pub mod upload;

pub use code::StatusCode;
pub use frame::{FrameDecoder, FrameError};
pub use message::{DeviceMessage, HostMessage, MessageError};
pub use status::{FileInfo, FileKind, ItemError, Listing, StatusResponse};
pub use stream::{StreamError, WirePath};
pub use upload::{UploadDecoder, UploadEvent};
