//! Status codes of DeviceLink, from and to what the operating system calls its errors.
//!
//! The codes come from errno on both ends. Witness for the numbers: libimobiledevice and pymobiledevice3 agree on them. What
//! a device makes of each is in [`crate::mobilebackup2::MbError::of_status`].

use std::io;

/// A DeviceLink status. Zero is success, the rest is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// 0
    Ok,
    /// -1: what has no code of its own.
    Generic,
    /// -2: this computer does not know the message.
    Unimplemented,
    /// -3
    BadParameter,
    /// -4: a message that only the other end may send.
    WrongSide,
    /// -6
    NotFound,
    /// -7
    Exists,
    /// -8
    NotADirectory,
    /// -9
    IsADirectory,
    /// -10
    SymlinkLoop,
    /// -11
    Io,
    /// -13: see the errors of the items.
    Multi,
    /// -14
    Disconnected,
    /// -15
    NoSpace,
    /// A number without a name.
    Other(i32),
}

impl StatusCode {
    /// Every code that has a name.
    pub const NAMED: [Self; 14] = [
        Self::Ok,
        Self::Generic,
        Self::Unimplemented,
        Self::BadParameter,
        Self::WrongSide,
        Self::NotFound,
        Self::Exists,
        Self::NotADirectory,
        Self::IsADirectory,
        Self::SymlinkLoop,
        Self::Io,
        Self::Multi,
        Self::Disconnected,
        Self::NoSpace,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Ok => 0,
            Self::Generic => -1,
            Self::Unimplemented => -2,
            Self::BadParameter => -3,
            Self::WrongSide => -4,
            Self::NotFound => -6,
            Self::Exists => -7,
            Self::NotADirectory => -8,
            Self::IsADirectory => -9,
            Self::SymlinkLoop => -10,
            Self::Io => -11,
            Self::Multi => -13,
            Self::Disconnected => -14,
            Self::NoSpace => -15,
            Self::Other(number) => number,
        }
    }

    /// The code of a number.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Ok,
            -1 => Self::Generic,
            -2 => Self::Unimplemented,
            -3 => Self::BadParameter,
            -4 => Self::WrongSide,
            -6 => Self::NotFound,
            -7 => Self::Exists,
            -8 => Self::NotADirectory,
            -9 => Self::IsADirectory,
            -10 => Self::SymlinkLoop,
            -11 => Self::Io,
            -13 => Self::Multi,
            -14 => Self::Disconnected,
            -15 => Self::NoSpace,
            other => Self::Other(other),
        }
    }

    /// The code of the byte that ends a file in a stream: the status without its sign.
    #[must_use]
    pub fn from_final_byte(byte: u8) -> Self {
        Self::from_number(-i32::from(byte))
    }

    /// The byte that ends a file with this status; 1, "generic", where the number has none (0x0C is data).
    #[must_use]
    pub fn to_final_byte(self) -> u8 {
        match u8::try_from(self.number().unsigned_abs()) {
            Ok(super::stream::DATA) | Err(_) => 1,
            Ok(byte) if self.number() <= 0 => byte,
            Ok(_) => 1,
        }
    }

    /// The code of an error of the host's file system; never [`StatusCode::Ok`].
    #[must_use]
    pub fn from_io(error: &io::Error) -> Self {
        match error.raw_os_error().and_then(Self::from_errno) {
            Some(code) => code,
            None => Self::from_kind(error.kind()),
        }
    }

    /// The code of an errno of this system, if it has one.
    #[must_use]
    pub const fn from_errno(errno: i32) -> Option<Self> {
        match errno {
            errno::ENOENT => Some(Self::NotFound),
            errno::EEXIST => Some(Self::Exists),
            errno::ENOTDIR => Some(Self::NotADirectory),
            errno::EISDIR => Some(Self::IsADirectory),
            errno::ELOOP => Some(Self::SymlinkLoop),
            errno::EIO => Some(Self::Io),
            errno::ENOSPC | errno::EDQUOT => Some(Self::NoSpace),
            _ => None,
        }
    }

    /// The errno of this system that means the same.
    #[must_use]
    pub const fn to_errno(self) -> Option<i32> {
        match self {
            Self::NotFound => Some(errno::ENOENT),
            Self::Exists => Some(errno::EEXIST),
            Self::NotADirectory => Some(errno::ENOTDIR),
            Self::IsADirectory => Some(errno::EISDIR),
            Self::SymlinkLoop => Some(errno::ELOOP),
            Self::Io => Some(errno::EIO),
            Self::NoSpace => Some(errno::ENOSPC),
            Self::Ok
            | Self::Generic
            | Self::Unimplemented
            | Self::BadParameter
            | Self::WrongSide
            | Self::Multi
            | Self::Disconnected
            | Self::Other(_) => None,
        }
    }

    /// The code of a kind of error, for errors that no system call made; never [`StatusCode::Ok`].
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "ErrorKind is not ours and not exhaustive"
    )]
    pub const fn from_kind(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::AlreadyExists => Self::Exists,
            io::ErrorKind::NotADirectory => Self::NotADirectory,
            io::ErrorKind::IsADirectory => Self::IsADirectory,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => Self::Io,
            _ => Self::Generic,
        }
    }

    /// The kind of error that means the same.
    #[must_use]
    pub const fn to_kind(self) -> io::ErrorKind {
        match self {
            Self::NotFound => io::ErrorKind::NotFound,
            Self::Exists => io::ErrorKind::AlreadyExists,
            Self::NotADirectory => io::ErrorKind::NotADirectory,
            Self::IsADirectory => io::ErrorKind::IsADirectory,
            Self::NoSpace => io::ErrorKind::StorageFull,
            Self::Unimplemented => io::ErrorKind::Unsupported,
            Self::BadParameter => io::ErrorKind::InvalidInput,
            Self::Disconnected => io::ErrorKind::NotConnected,
            Self::Ok
            | Self::Generic
            | Self::WrongSide
            | Self::SymlinkLoop
            | Self::Io
            | Self::Multi
            | Self::Other(_) => io::ErrorKind::Other,
        }
    }

    /// What it means, for people; also the text that goes to the device where there is none better.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "no error",
            Self::Generic => "error",
            Self::Unimplemented => "not known to this computer",
            Self::BadParameter => "bad parameter",
            Self::WrongSide => "a message for the other side",
            Self::NotFound => "no such file or directory",
            Self::Exists => "file exists",
            Self::NotADirectory => "not a directory",
            Self::IsADirectory => "is a directory",
            Self::SymlinkLoop => "too many symbolic links",
            Self::Io => "input or output error",
            Self::Multi => "Multi status",
            Self::Disconnected => "disconnected",
            Self::NoSpace => "no space left on the computer",
            Self::Other(_) => "unknown error",
        }
    }
}

impl std::fmt::Display for StatusCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.words(), self.number())
    }
}

/// The errno of this system. Only three differ between Linux and Apple's systems.
mod errno {
    pub(super) const ENOENT: i32 = 2;
    pub(super) const EIO: i32 = 5;
    pub(super) const EEXIST: i32 = 17;
    pub(super) const ENOTDIR: i32 = 20;
    pub(super) const EISDIR: i32 = 21;
    pub(super) const ENOSPC: i32 = 28;
    pub(super) const ELOOP: i32 = if cfg!(target_vendor = "apple") {
        62
    } else {
        40
    };
    pub(super) const EDQUOT: i32 = if cfg!(target_vendor = "apple") {
        69
    } else {
        122
    };
}

#[cfg(test)]
mod tests;
