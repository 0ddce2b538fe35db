//! Reading the elements of a message, with the errors that name what is missing.

use plist::{Dictionary, Value};

use super::{MAX_WORDS, MessageError};
use crate::devicelink::{status, stream::clip};

/// An array taken apart. Positions count the name as 0, as the protocol's descriptions do.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) values: Vec<Value>,
}

impl Parts {
    pub(super) fn new(value: Value) -> Result<Self, MessageError> {
        let Value::Array(mut values) = value else {
            return Err(MessageError::NotAMessage);
        };
        if values.is_empty() {
            return Err(MessageError::NotAMessage);
        }
        let Value::String(name) = values.remove(0) else {
            return Err(MessageError::NotAMessage);
        };
        Ok(Self { name, values })
    }

    pub(super) fn get(&self, at: usize) -> Option<&Value> {
        self.values.get(at.checked_sub(1)?)
    }

    fn take(&mut self, at: usize) -> Option<Value> {
        let slot = self.values.get_mut(at.checked_sub(1)?)?;
        Some(std::mem::replace(slot, Value::Boolean(false)))
    }

    pub(super) fn number(&self, at: usize) -> Option<u64> {
        let value = self.get(at)?;
        value.as_unsigned_integer().or_else(|| {
            let real = value.as_real()?;
            // Saturates; what is negative or no number at all says nothing.
            (real >= 0.0).then_some(real as u64)
        })
    }

    /// A percentage, if it is one.
    pub(super) fn progress(&self, at: usize) -> Option<f64> {
        let value = self.get(at)?;
        let percent = match value.as_real() {
            Some(real) => real,
            None => f64::from(i32::try_from(value.as_signed_integer()?).ok()?),
        };
        (percent.is_finite() && percent >= 0.0).then(|| percent.min(100.0))
    }

    pub(super) fn words(&self, at: usize) -> String {
        match self.get(at).and_then(Value::as_string) {
            None | Some(status::EMPTY) => String::new(),
            Some(text) => clip(text, MAX_WORDS).to_owned(),
        }
    }

    pub(super) fn need_number(
        &self,
        name: &'static str,
        at: usize,
        missing: &'static str,
    ) -> Result<u64, MessageError> {
        self.number(at)
            .ok_or(MessageError::Malformed { name, missing })
    }

    pub(super) fn need_string(
        &mut self,
        name: &'static str,
        at: usize,
    ) -> Result<String, MessageError> {
        self.take(at)
            .and_then(Value::into_string)
            .ok_or(MessageError::Malformed {
                name,
                missing: "a path",
            })
    }

    pub(super) fn need_strings(
        &mut self,
        name: &'static str,
        at: usize,
    ) -> Result<Vec<String>, MessageError> {
        let malformed = MessageError::Malformed {
            name,
            missing: "a list of paths",
        };
        let array = self.take(at).and_then(Value::into_array);
        let strings: Option<Vec<String>> =
            array.and_then(|array| array.into_iter().map(Value::into_string).collect());
        strings.ok_or(malformed)
    }

    pub(super) fn need_pairs(
        &mut self,
        name: &'static str,
        at: usize,
    ) -> Result<Vec<(String, String)>, MessageError> {
        let malformed = MessageError::Malformed {
            name,
            missing: "pairs of paths",
        };
        let pairs = self.take(at).and_then(Value::into_dictionary);
        let pairs: Option<Vec<(String, String)>> = pairs.and_then(|pairs| {
            pairs
                .into_iter()
                .map(|(from, to)| Some((from, to.into_string()?)))
                .collect()
        });
        pairs.ok_or(malformed)
    }

    pub(super) fn need_dictionary(
        &mut self,
        name: &'static str,
        at: usize,
    ) -> Result<Dictionary, MessageError> {
        self.take(at)
            .and_then(Value::into_dictionary)
            .ok_or(MessageError::Malformed {
                name,
                missing: "a dictionary",
            })
    }
}
