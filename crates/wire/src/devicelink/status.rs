//! Status codes of DeviceLink, and the answer that carries one.
//!
//! The codes come from errno on both ends; what the device makes of each is in [`crate::mobilebackup2`]. Witness for the
//! numbers: libimobiledevice and pymobiledevice3 agree on them.

use std::io;

use plist::{Dictionary, Value};

use super::{frame, stream::clip};

/// What stands for an empty string, which DeviceLink cannot carry.
pub const EMPTY: &str = "___EmptyParameterString___";

/// Most of a status text that is kept.
pub const MAX_TEXT: usize = 1024;

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

/// `DLMessageStatusResponse`: the host's answer to each message that asks for something.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusResponse {
    pub code: StatusCode,
    /// Empty where there is nothing to say; the wire then has [`EMPTY`].
    pub text: String,
    /// An empty dictionary unless the message asks for a value.
    pub value: Value,
}

/// What became of one item of a message that names several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The path as the device wrote it: for uploads the device-side one, for moves the source. The device looks the error up
    /// by it.
    pub path: String,
    pub code: StatusCode,
    pub text: String,
}

impl ItemError {
    /// An error with the words of its code.
    #[must_use]
    pub fn new(path: impl Into<String>, code: StatusCode) -> Self {
        Self {
            path: path.into(),
            code,
            text: code.words().to_owned(),
        }
    }
}

pub(super) const NAME: &str = "DLMessageStatusResponse";
const ITEM_CODE: &str = "DLFileErrorCode";
const ITEM_TEXT: &str = "DLFileErrorString";

impl StatusResponse {
    /// Success, with nothing to tell.
    #[must_use]
    pub fn ok() -> Self {
        Self::ok_with(Value::Dictionary(Dictionary::new()))
    }

    /// Success, with the value that was asked for.
    #[must_use]
    pub const fn ok_with(value: Value) -> Self {
        Self {
            code: StatusCode::Ok,
            text: String::new(),
            value,
        }
    }

    /// Success for `DLMessageGetFreeDiskSpace`.
    #[must_use]
    pub fn free_space(bytes: u64) -> Self {
        Self::ok_with(Value::Integer(bytes.into()))
    }

    /// Failure of the message as a whole, with the words of the code.
    #[must_use]
    pub fn error(code: StatusCode) -> Self {
        Self::error_with(code, code.words())
    }

    /// Failure of the message as a whole.
    #[must_use]
    pub fn error_with(code: StatusCode, text: &str) -> Self {
        Self {
            code,
            text: clip(text, MAX_TEXT).to_owned(),
            value: Value::Dictionary(Dictionary::new()),
        }
    }

    /// Success if there are no errors, else "Multi status" with each of them.
    #[must_use]
    pub fn of_items(errors: &[ItemError]) -> Self {
        if errors.is_empty() {
            return Self::ok();
        }
        let mut value = Dictionary::new();
        for error in errors {
            let mut item = Dictionary::new();
            item.insert(ITEM_CODE.to_owned(), i64::from(error.code.number()).into());
            item.insert(ITEM_TEXT.to_owned(), clip(&error.text, MAX_TEXT).into());
            value.insert(error.path.clone(), Value::Dictionary(item));
        }
        Self {
            code: StatusCode::Multi,
            text: StatusCode::Multi.words().to_owned(),
            value: Value::Dictionary(value),
        }
    }

    /// The errors of the items, in the order of the answer. What is not an item error is left out.
    #[must_use]
    pub fn item_errors(&self) -> Vec<ItemError> {
        if self.code != StatusCode::Multi {
            return Vec::new();
        }
        let items = self.value.as_dictionary().into_iter().flatten();
        items
            .filter_map(|(path, item)| {
                let item = item.as_dictionary()?;
                Some(ItemError {
                    path: path.clone(),
                    code: code_of(item.get(ITEM_CODE)?)?,
                    text: text_of(item.get(ITEM_TEXT)),
                })
            })
            .collect()
    }

    /// The message: always four elements, because with fewer the device takes any answer for a failure.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let text = if self.text.is_empty() {
            EMPTY
        } else {
            &self.text
        };
        Value::Array(vec![
            NAME.into(),
            i64::from(self.code.number()).into(),
            text.into(),
            self.value.clone(),
        ])
    }

    /// The framed message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        frame::encode(&self.to_value())
    }

    /// Reads the elements after the name; `None` if they are not exactly a code, a text and a value.
    pub(super) fn from_elements(elements: Vec<Value>) -> Option<Self> {
        let [code, text, value] = <[Value; 3]>::try_from(elements).ok()?;
        text.as_string()?;
        Some(Self {
            code: code_of(&code)?,
            text: text_of(Some(&text)),
            value,
        })
    }
}

/// A status number, in the two forms that hosts send: a signed integer, or the same 64 (or 32) bits read as unsigned. The
/// device reads 32 bits.
fn code_of(value: &Value) -> Option<StatusCode> {
    let integer = value.as_signed_integer().map_or_else(
        || value.as_unsigned_integer(),
        |signed| Some(signed.cast_unsigned()),
    )?;
    let low = u32::try_from(integer & u64::from(u32::MAX)).ok()?;
    Some(StatusCode::from_number(low.cast_signed()))
}

fn text_of(value: Option<&Value>) -> String {
    match value.and_then(Value::as_string) {
        None | Some(EMPTY) => String::new(),
        Some(text) => clip(text, MAX_TEXT).to_owned(),
    }
}

/// What a directory holds: the value that answers `DLContentsOfDirectory`. A missing directory is answered with an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing(pub Vec<(String, FileInfo)>);

/// One entry of a [`Listing`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileInfo {
    pub kind: FileKind,
    pub size: u64,
    pub modified: Option<plist::Date>,
}

/// What an entry is, as far as DeviceLink can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Directory,
    Regular,
    Unknown,
}

impl FileKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Directory => "DLFileTypeDirectory",
            Self::Regular => "DLFileTypeRegular",
            Self::Unknown => "DLFileTypeUnknown",
        }
    }
}

const TYPE: &str = "DLFileType";
const SIZE: &str = "DLFileSize";
const MODIFIED: &str = "DLFileModificationDate";

impl Listing {
    /// The dictionary on the wire.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut out = Dictionary::new();
        for (name, info) in &self.0 {
            let mut entry = Dictionary::new();
            entry.insert(TYPE.to_owned(), info.kind.name().into());
            entry.insert(SIZE.to_owned(), info.size.into());
            if let Some(modified) = info.modified {
                entry.insert(MODIFIED.to_owned(), modified.into());
            }
            out.insert(name.clone(), Value::Dictionary(entry));
        }
        Value::Dictionary(out)
    }

    /// Reads the dictionary; `None` if it is none. An entry of unknown shape is [`FileKind::Unknown`].
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let entries = value.as_dictionary()?.iter().map(|(name, entry)| {
            let entry = entry.as_dictionary();
            let get = |key| entry.and_then(|entry| entry.get(key));
            let kind = match get(TYPE).and_then(Value::as_string) {
                Some("DLFileTypeDirectory") => FileKind::Directory,
                Some("DLFileTypeRegular") => FileKind::Regular,
                Some(_) | None => FileKind::Unknown,
            };
            let info = FileInfo {
                kind,
                size: get(SIZE).and_then(Value::as_unsigned_integer).unwrap_or(0),
                modified: get(MODIFIED).and_then(Value::as_date),
            };
            (name.clone(), info)
        });
        Some(Self(entries.collect()))
    }
}

#[cfg(test)]
mod tests;
