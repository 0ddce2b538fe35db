//! Typed reading of a message's dictionary.
//!
//! Senders disagree about widths and signs of integers, so an integer is read whole and then fitted into what the field
//! is. Errors name the key and never quote the value, which may be personal.

use plist::{Dictionary, Value};

/// A field that is not as the protocol has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The key is not there.
    #[error("{key} is missing")]
    Missing { key: &'static str },
    /// The key holds something else, or a number that does not fit.
    #[error("{key} is not {want}")]
    Wrong {
        key: &'static str,
        want: &'static str,
    },
}

/// Turns "not there" into an error.
///
/// # Errors
/// [`FieldError::Missing`] when `value` is `None`.
pub fn required<T>(key: &'static str, value: Option<T>) -> Result<T, FieldError> {
    value.ok_or(FieldError::Missing { key })
}

/// The string under `key`, if the key is there.
///
/// # Errors
/// When the key holds something else.
pub fn string<'a>(dict: &'a Dictionary, key: &'static str) -> Result<Option<&'a str>, FieldError> {
    typed(dict, key, "a string", Value::as_string)
}

/// The data under `key`, if the key is there.
///
/// # Errors
/// When the key holds something else.
pub fn data<'a>(dict: &'a Dictionary, key: &'static str) -> Result<Option<&'a [u8]>, FieldError> {
    typed(dict, key, "data", Value::as_data)
}

/// The array under `key`, if the key is there.
///
/// # Errors
/// When the key holds something else.
pub fn array<'a>(
    dict: &'a Dictionary,
    key: &'static str,
) -> Result<Option<&'a [Value]>, FieldError> {
    typed(dict, key, "an array", |value| {
        value.as_array().map(Vec::as_slice)
    })
}

/// The dictionary under `key`, if the key is there.
///
/// # Errors
/// When the key holds something else.
pub fn dictionary<'a>(
    dict: &'a Dictionary,
    key: &'static str,
) -> Result<Option<&'a Dictionary>, FieldError> {
    typed(dict, key, "a dictionary", Value::as_dictionary)
}

/// The integer under `key`, of whatever width and sign it came, if it fits `T`.
///
/// # Errors
/// When the key holds something else, or the number does not fit.
pub fn integer<T: TryFrom<i128>>(
    dict: &Dictionary,
    key: &'static str,
) -> Result<Option<T>, FieldError> {
    typed(dict, key, "an integer in range", |value| {
        whole(value).and_then(|number| T::try_from(number).ok())
    })
}

/// The truth under `key`, if the key is there; 0 and 1 count, because some senders write them.
///
/// # Errors
/// When the key holds something else.
pub fn boolean(dict: &Dictionary, key: &'static str) -> Result<Option<bool>, FieldError> {
    typed(dict, key, "a boolean", |value| {
        value.as_boolean().or_else(|| match whole(value) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) | None => None,
        })
    })
}

/// An integer value of any width and sign.
#[must_use]
pub fn whole(value: &Value) -> Option<i128> {
    let signed = value.as_signed_integer().map(i128::from);
    signed.or_else(|| value.as_unsigned_integer().map(i128::from))
}

fn typed<'a, T>(
    dict: &'a Dictionary,
    key: &'static str,
    want: &'static str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, FieldError> {
    match dict.get(key) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(FieldError::Wrong { key, want }),
    }
}
