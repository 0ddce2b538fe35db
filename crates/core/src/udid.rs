//! The name of a device that never changes: its UDID.
//!
//! Only the shape is checked here. Repairing the spellings of other tools (a missing hyphen) is `wire`'s business.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A device's UDID in the spelling of lockdownd: 40 hexadecimal digits, or 8, a hyphen and 16.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Udid(String);

/// A text that is not a UDID. The text itself is not repeated: it may be anything, and this error is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UDID: {length} characters, neither 40 hexadecimal digits nor 8-16")]
pub struct BadUdid {
    length: usize,
}

impl Udid {
    /// Accepts exactly the two shapes, in upper or lower case, and keeps the case.
    pub fn parse(text: &str) -> Result<Self, BadUdid> {
        let hex = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
        let bytes = text.as_bytes();
        let well_formed = match bytes.len() {
            40 => hex(bytes),
            25 => bytes
                .split(|byte| *byte == b'-')
                .map(|part| (part.len(), hex(part)))
                .eq([(8, true), (16, true)]),
            _ => false,
        };
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadUdid {
                length: text.chars().count(),
            })
        }
    }

    /// What a person has typed: the case is the one in which devices tell theirs, 40 digits in lower case, 8 and 16 in upper.
    pub fn typed(text: &str) -> Result<Self, BadUdid> {
        let Self(mut text) = Self::parse(text)?;
        if text.len() == 40 {
            text.make_ascii_lowercase();
        } else {
            text.make_ascii_uppercase();
        }
        Ok(Self(text))
    }

    /// The whole UDID, for protocols, files and the person's own terminal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for logs above debug and for tables.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for Udid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Shortened, because `Debug` is what ends up in logs.
impl fmt::Debug for Udid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Udid({}…)", self.short())
    }
}

impl FromStr for Udid {
    type Err = BadUdid;

    fn from_str(text: &str) -> Result<Self, BadUdid> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Udid {
    type Error = BadUdid;

    fn try_from(text: String) -> Result<Self, BadUdid> {
        Self::parse(&text)
    }
}

impl From<Udid> for String {
    fn from(udid: Udid) -> Self {
        udid.0
    }
}

impl AsRef<str> for Udid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_one_has_the_case_of_the_device() {
        for (typed, told) in [
            ("00008110-000a1b2c3d4e5f60", "00008110-000A1B2C3D4E5F60"),
            (
                "00008030001A2B3C4D5E6F708192A3B4C5D6E7F8",
                "00008030001a2b3c4d5e6f708192a3b4c5d6e7f8",
            ),
        ] {
            assert_eq!(Udid::typed(typed).unwrap().as_str(), told);
        }
        assert!(Udid::typed("00008110").is_err());
    }

    #[test]
    fn shapes() {
        let table = [
            (
                "forty digits",
                "00008030001a2b3c4d5e6f708192a3b4c5d6e7f8",
                true,
            ),
            (
                "forty digits, upper case",
                "00008030001A2B3C4D5E6F708192A3B4C5D6E7F8",
                true,
            ),
            ("eight and sixteen", "00008110-000A1B2C3D4E5F60", true),
            ("hyphen missing", "00008110000A1B2C3D4E5F60", false),
            ("hyphen elsewhere", "000081100-00A1B2C3D4E5F60", false),
            ("two hyphens", "0000811--00A1B2C3D4E5F601", false),
            (
                "a letter that is no digit",
                "00008110-000A1B2C3D4E5F6G",
                false,
            ),
            ("a path", "../../../../../../../../../../etc/passwd", false),
            ("empty", "", false),
            ("40 bytes, but not ASCII", "éééééééééééééééééééé", false),
        ];
        for (name, text, good) in table {
            assert_eq!(Udid::parse(text).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_log_line_holds_only_the_beginning() {
        let udid = Udid::parse("00008110-000A1B2C3D4E5F60").unwrap();
        assert_eq!(format!("{udid:?}"), "Udid(00008110…)");
        assert_eq!(udid.to_string(), "00008110-000A1B2C3D4E5F60");
    }

    #[test]
    fn json_is_the_text_and_is_checked() {
        assert!(serde_json::from_str::<Udid>("\"nonsense\"").is_err());
        let udid: Udid = serde_json::from_str("\"00008110-000A1B2C3D4E5F60\"").unwrap();
        assert_eq!(
            serde_json::to_string(&udid).unwrap(),
            "\"00008110-000A1B2C3D4E5F60\""
        );
    }
}
