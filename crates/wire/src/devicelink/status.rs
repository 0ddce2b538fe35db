//! The host's answers: a status, and what some messages ask for with it.
//!
//! Not here: which answer is right, which the engine knows, and the codes ([`super::code`]).

use plist::{Dictionary, Value};

pub use super::code::StatusCode;
use super::{frame, listing, stream::clip};

/// What stands for an empty string, which DeviceLink cannot carry.
pub const EMPTY: &str = "___EmptyParameterString___";

/// Most of a status text that is kept.
pub const MAX_TEXT: usize = 1024;

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
        self.clone().into_value()
    }

    fn into_value(self) -> Value {
        let text = if self.text.is_empty() {
            EMPTY.to_owned()
        } else {
            self.text
        };
        Value::Array(vec![
            NAME.into(),
            i64::from(self.code.number()).into(),
            text.into(),
            self.value,
        ])
    }

    /// The framed message.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        frame::encode(&self.into_value())
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
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Directory => "DLFileTypeDirectory",
            Self::Regular => "DLFileTypeRegular",
            Self::Unknown => "DLFileTypeUnknown",
        }
    }
}

pub(super) const TYPE: &str = "DLFileType";
pub(super) const SIZE: &str = "DLFileSize";
pub(super) const MODIFIED: &str = "DLFileModificationDate";

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

    /// The framed message of success with this list: what [`StatusResponse::ok_with`] gives for its value, in a fraction of the
    /// time and memory. No two names may be the same.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        listing::encode(self)
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
