//! Builds one value from a reader's events, and keeps the accounts: depth, values, bytes.
//!
//! Its stack is on the heap, so that no input decides how deep the thread's goes.

use plist::{Dictionary, Value};

use super::{DecodeError, Limits, malformed};

/// How many bytes of strings and data may come out for each byte that went in. Binary lists share equal strings; an honest
/// list of files, whose entries share their keys, unfolds to about twice its length.
const UNFOLD: usize = 4;

/// What even the smallest list may unfold to: values, and bytes.
const FLOOR: usize = 4096;

/// Most values that an array sets memory aside for before they come. More would count once for every level of nesting.
const FIRST_RESERVE: usize = 64;

pub struct Builder {
    open: Vec<Open>,
    root: Option<Value>,
    depth: usize,
    values_left: usize,
    bytes_left: usize,
}

enum Open {
    Array(Vec<Value>),
    Dictionary {
        dict: Dictionary,
        key: Option<String>,
    },
}

impl Builder {
    /// `len` is the length of the encoded list.
    pub fn new(len: usize, limits: Limits) -> Self {
        Self {
            open: Vec::new(),
            root: None,
            depth: limits.depth.min(Limits::MAX_DEPTH),
            // Even a binary list has at least one byte for every value that comes out, unless it shares whole branches.
            values_left: limits.values.min(len.saturating_add(FLOOR)),
            bytes_left: len.saturating_mul(UNFOLD).saturating_add(FLOOR),
        }
    }

    /// Whether the root value is complete.
    pub fn is_complete(&self) -> bool {
        self.root.is_some()
    }

    /// To be called before `len` bytes of a string or data are allocated.
    pub fn spend_bytes(&mut self, len: usize) -> Result<(), DecodeError> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(len)
            .ok_or(DecodeError::TooMany)?;
        Ok(())
    }

    /// Opens an array of `len` values; 0 when the list does not say.
    pub fn open_array(&mut self, len: usize) -> Result<(), DecodeError> {
        self.may_open()?;
        self.open
            .push(Open::Array(Vec::with_capacity(len.min(FIRST_RESERVE))));
        Ok(())
    }

    pub fn open_dictionary(&mut self) -> Result<(), DecodeError> {
        self.may_open()?;
        self.open.push(Open::Dictionary {
            dict: Dictionary::new(),
            key: None,
        });
        Ok(())
    }

    pub fn close_array(&mut self) -> Result<(), DecodeError> {
        match self.open.pop() {
            Some(Open::Array(values)) => self.place(Value::Array(values)),
            Some(Open::Dictionary { .. }) | None => {
                Err(malformed("an array ends that did not begin"))
            }
        }
    }

    pub fn close_dictionary(&mut self) -> Result<(), DecodeError> {
        match self.open.pop() {
            Some(Open::Dictionary { dict, key: None }) => self.place(Value::Dictionary(dict)),
            Some(Open::Dictionary { key: Some(_), .. }) => Err(malformed("a key without a value")),
            Some(Open::Array(_)) | None => Err(malformed("a dictionary ends that did not begin")),
        }
    }

    /// Sets the key of the next pair.
    pub fn key(&mut self, text: String) -> Result<(), DecodeError> {
        self.spend_value()?;
        match self.open.last_mut() {
            Some(Open::Dictionary {
                key: key @ None, ..
            }) => {
                *key = Some(text);
                Ok(())
            }
            Some(Open::Dictionary { .. } | Open::Array(_)) | None => {
                Err(malformed("a key out of place"))
            }
        }
    }

    /// Adds a value that is neither array nor dictionary.
    pub fn leaf(&mut self, value: Value) -> Result<(), DecodeError> {
        self.spend_value()?;
        self.place(value)
    }

    pub fn finish(self) -> Result<Value, DecodeError> {
        match self.root {
            Some(value) if self.open.is_empty() => Ok(value),
            Some(_) | None => Err(malformed("it ends too early")),
        }
    }

    fn may_open(&mut self) -> Result<(), DecodeError> {
        if self.open.len() >= self.depth {
            return Err(DecodeError::TooDeep { limit: self.depth });
        }
        self.spend_value()
    }

    fn spend_value(&mut self) -> Result<(), DecodeError> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or(DecodeError::TooMany)?;
        Ok(())
    }

    fn place(&mut self, value: Value) -> Result<(), DecodeError> {
        match self.open.last_mut() {
            Some(Open::Array(values)) => values.push(value),
            Some(Open::Dictionary { dict, key }) => {
                let key = key.take().ok_or(malformed("a value without a key"))?;
                dict.insert(key, value);
            }
            None if self.root.is_none() => self.root = Some(value),
            None => return Err(malformed("more than one value")),
        }
        Ok(())
    }
}
