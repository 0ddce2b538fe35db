//! AFC, the device's file service: as much of it as the sync lock and small reads need, for both ends.
//!
//! A packet is a header of 40 bytes, little-endian: magic, whole length, length of header and arguments, number, operation.
//! Arguments follow, then data. Replies carry the number of their request.
//!
//! Not here: when the lock is asked for again, and where on the phone the files are.

mod packet;

pub use packet::{MAX_PACKET, Packet, PacketDecoder, PacketError};

/// The service.
pub const SERVICE: &str = "com.apple.afc";

/// The file whose lock keeps two syncing programs apart.
pub const SYNC_LOCK: &str = "/com.apple.itunes.lock_sync";

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// 1: read; the file exists.
    Read,
    /// 2: read and write; made if it does not exist.
    ReadWrite,
    /// 3: write; made or emptied.
    Write,
    /// 4: read and write; made or emptied.
    WriteRead,
    /// 5: write at the end.
    Append,
    /// 6: read, and write at the end.
    ReadAppend,
}

impl OpenMode {
    const fn number(self) -> u64 {
        match self {
            Self::Read => 1,
            Self::ReadWrite => 2,
            Self::Write => 3,
            Self::WriteRead => 4,
            Self::Append => 5,
            Self::ReadAppend => 6,
        }
    }

    const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Read,
            2 => Self::ReadWrite,
            3 => Self::Write,
            4 => Self::WriteRead,
            5 => Self::Append,
            6 => Self::ReadAppend,
            _ => return None,
        })
    }
}

/// What is asked of a lock: the numbers of `flock`, never the waiting forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// 5
    Shared,
    /// 6
    Exclusive,
    /// 12
    Unlock,
}

impl Lock {
    const fn number(self) -> u64 {
        match self {
            Self::Shared => 5,
            Self::Exclusive => 6,
            Self::Unlock => 12,
        }
    }

    /// Reads the number without the bit that says "do not wait", which some hosts leave out.
    const fn from_number(number: u64) -> Option<Self> {
        Some(match number & !4 {
            1 => Self::Shared,
            2 => Self::Exclusive,
            8 => Self::Unlock,
            _ => return None,
        })
    }
}

/// How the device judges a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 0
    Success,
    /// 1
    UnknownError,
    /// 7
    InvalidArgument,
    /// 8
    NotFound,
    /// 9
    IsDirectory,
    /// 10
    PermissionDenied,
    /// 15
    NotSupported,
    /// 16
    Exists,
    /// 17
    Busy,
    /// 18
    NoSpace,
    /// 19: somebody else has the lock.
    WouldBlock,
    /// 20
    Io,
    /// 33
    DirectoryNotEmpty,
    /// A number without a use here.
    Other(u64),
}

impl Status {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Success => 0,
            Self::UnknownError => 1,
            Self::InvalidArgument => 7,
            Self::NotFound => 8,
            Self::IsDirectory => 9,
            Self::PermissionDenied => 10,
            Self::NotSupported => 15,
            Self::Exists => 16,
            Self::Busy => 17,
            Self::NoSpace => 18,
            Self::WouldBlock => 19,
            Self::Io => 20,
            Self::DirectoryNotEmpty => 33,
            Self::Other(number) => number,
        }
    }

    /// The status of a number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Success,
            1 => Self::UnknownError,
            7 => Self::InvalidArgument,
            8 => Self::NotFound,
            9 => Self::IsDirectory,
            10 => Self::PermissionDenied,
            15 => Self::NotSupported,
            16 => Self::Exists,
            17 => Self::Busy,
            18 => Self::NoSpace,
            19 => Self::WouldBlock,
            20 => Self::Io,
            33 => Self::DirectoryNotEmpty,
            other => Self::Other(other),
        }
    }
}

/// What a host asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    ReadDirectory {
        path: String,
    },
    FileInfo {
        path: String,
    },
    MakeDirectory {
        path: String,
    },
    Remove {
        path: String,
    },
    Open {
        path: String,
        mode: OpenMode,
    },
    Read {
        handle: u64,
        length: u64,
    },
    Write {
        handle: u64,
        data: Vec<u8>,
    },
    Close {
        handle: u64,
    },
    Lock {
        handle: u64,
        lock: Lock,
    },
    /// An operation that is not modelled: the device answers [`Status::NotSupported`].
    Other {
        operation: u64,
    },
}

/// What the device answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(Status),
    /// The handle of an opened file.
    Opened {
        handle: u64,
    },
    /// File data, or the strings of [`strings`].
    Data(Vec<u8>),
}

/// Why a packet is no request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    #[error("a packet of AFC operation {operation} is cut short")]
    Short { operation: u64 },
    #[error("a path in a packet of AFC is not UTF-8")]
    Path,
    #[error("a packet of AFC operation {operation} has an unknown argument")]
    Argument { operation: u64 },
    #[error("AFC operation {operation} is no reply")]
    NoReply { operation: u64 },
}

const OP_STATUS: u64 = 0x01;
const OP_DATA: u64 = 0x02;
const OP_READ_DIRECTORY: u64 = 0x03;
const OP_REMOVE: u64 = 0x08;
const OP_MAKE_DIRECTORY: u64 = 0x09;
const OP_FILE_INFO: u64 = 0x0A;
const OP_OPEN: u64 = 0x0D;
const OP_OPENED: u64 = 0x0E;
const OP_READ: u64 = 0x0F;
const OP_WRITE: u64 = 0x10;
const OP_CLOSE: u64 = 0x14;
const OP_LOCK: u64 = 0x1B;

impl Request {
    /// Reads a packet from a host.
    ///
    /// # Errors
    /// When a known operation lacks its arguments.
    pub fn from_packet(packet: &Packet) -> Result<Self, MessageError> {
        let operation = packet.operation;
        let number = |at| number_at(packet, at);
        let path = |at| path_at(packet, at);
        Ok(match operation {
            OP_READ_DIRECTORY => Self::ReadDirectory { path: path(0)? },
            OP_FILE_INFO => Self::FileInfo { path: path(0)? },
            OP_MAKE_DIRECTORY => Self::MakeDirectory { path: path(0)? },
            OP_REMOVE => Self::Remove { path: path(0)? },
            OP_OPEN => Self::Open {
                mode: OpenMode::from_number(number(0)?)
                    .ok_or(MessageError::Argument { operation })?,
                path: path(8)?,
            },
            OP_READ => Self::Read {
                handle: number(0)?,
                length: number(8)?,
            },
            OP_WRITE => Self::Write {
                handle: number(0)?,
                data: packet.data.clone(),
            },
            OP_CLOSE => Self::Close { handle: number(0)? },
            OP_LOCK => Self::Lock {
                handle: number(0)?,
                lock: Lock::from_number(number(8)?).ok_or(MessageError::Argument { operation })?,
            },
            operation => Self::Other { operation },
        })
    }

    /// The packet with this number.
    #[must_use]
    pub fn to_packet(&self, number: u64) -> Packet {
        let (operation, arguments, data) = match self {
            Self::ReadDirectory { path } => (OP_READ_DIRECTORY, path_bytes(path), Vec::new()),
            Self::FileInfo { path } => (OP_FILE_INFO, path_bytes(path), Vec::new()),
            Self::MakeDirectory { path } => (OP_MAKE_DIRECTORY, path_bytes(path), Vec::new()),
            Self::Remove { path } => (OP_REMOVE, path_bytes(path), Vec::new()),
            Self::Open { path, mode } => {
                let mut arguments = mode.number().to_le_bytes().to_vec();
                arguments.extend(path_bytes(path));
                (OP_OPEN, arguments, Vec::new())
            }
            Self::Read { handle, length } => (OP_READ, two(*handle, *length), Vec::new()),
            Self::Write { handle, data } => (OP_WRITE, handle.to_le_bytes().to_vec(), data.clone()),
            Self::Close { handle } => (OP_CLOSE, handle.to_le_bytes().to_vec(), Vec::new()),
            Self::Lock { handle, lock } => (OP_LOCK, two(*handle, lock.number()), Vec::new()),
            Self::Other { operation } => (*operation, Vec::new(), Vec::new()),
        };
        Packet {
            number,
            operation,
            arguments,
            data,
        }
    }
}

impl Reply {
    /// Reads a packet from the device.
    ///
    /// # Errors
    /// When it is no reply.
    pub fn from_packet(packet: Packet) -> Result<Self, MessageError> {
        Ok(match packet.operation {
            OP_STATUS => Self::Status(Status::from_number(number_at(&packet, 0)?)),
            OP_OPENED => Self::Opened {
                handle: number_at(&packet, 0)?,
            },
            OP_DATA => {
                // Devices have been seen to count the data among the arguments.
                let mut all = packet.arguments;
                all.extend(packet.data);
                Self::Data(all)
            }
            operation => return Err(MessageError::NoReply { operation }),
        })
    }

    /// The packet that answers the request of this number.
    #[must_use]
    pub fn to_packet(&self, number: u64) -> Packet {
        let (operation, arguments, data) = match self {
            Self::Status(status) => (
                OP_STATUS,
                status.number().to_le_bytes().to_vec(),
                Vec::new(),
            ),
            Self::Opened { handle } => (OP_OPENED, handle.to_le_bytes().to_vec(), Vec::new()),
            Self::Data(data) => (OP_DATA, Vec::new(), data.clone()),
        };
        Packet {
            number,
            operation,
            arguments,
            data,
        }
    }
}

/// The strings in a reply to [`Request::ReadDirectory`] (names) or [`Request::FileInfo`] (keys and values in turn).
#[must_use]
pub fn strings(data: &[u8]) -> Vec<String> {
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    if data.is_empty() {
        return Vec::new();
    }
    data.split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// The data of such a reply.
#[must_use]
pub fn strings_data<S: AsRef<str>>(texts: &[S]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|text| text.as_ref().bytes().chain(std::iter::once(0)))
        .collect()
}

fn path_bytes(path: &str) -> Vec<u8> {
    path.bytes().chain(std::iter::once(0)).collect()
}

fn two(first: u64, second: u64) -> Vec<u8> {
    [first.to_le_bytes(), second.to_le_bytes()].concat()
}

fn number_at(packet: &Packet, at: usize) -> Result<u64, MessageError> {
    let bytes = packet
        .arguments
        .get(at..)
        .and_then(<[u8]>::first_chunk::<8>);
    bytes
        .map(|bytes| u64::from_le_bytes(*bytes))
        .ok_or(MessageError::Short {
            operation: packet.operation,
        })
}

/// A path ends at its zero byte, or where the arguments do.
fn path_at(packet: &Packet, at: usize) -> Result<String, MessageError> {
    let bytes = packet.arguments.get(at..).ok_or(MessageError::Short {
        operation: packet.operation,
    })?;
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8(bytes.to_vec()).map_err(|_| MessageError::Path)
}

#[cfg(test)]
mod tests;
