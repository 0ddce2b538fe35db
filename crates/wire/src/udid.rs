//! The one spelling of a device's UDID.
//!
//! Phones up to the iPhone X have 40 hexadecimal digits; newer ones 8, a hyphen, and 16. Some daemons leave the hyphen
//! out, so it is put back here, once, on input. The case of the digits stays as it came: it is part of file names and of
//! pair records.

/// A string that is no UDID. It does not carry the string, which may be anything that a device sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a UDID has 40 hexadecimal digits, or 8, a hyphen and 16; this has {len} bytes and another form"
)]
pub struct BadUdid {
    /// Length of the rejected string, in bytes.
    pub len: usize,
}

/// Brings a UDID into the form with its hyphen.
///
/// # Errors
/// When the string is none of `40 hex`, `8 hex - 16 hex` and `24 hex`.
pub fn normalise(raw: &str) -> Result<String, BadUdid> {
    let bad = BadUdid { len: raw.len() };
    let hex =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());

    if hex(raw, 40) {
        return Ok(raw.to_owned());
    }
    let (chip, unique) = match raw.split_once('-') {
        Some(halves) => halves,
        None => raw.split_at_checked(8).ok_or(bad)?,
    };
    if hex(chip, 8) && hex(unique, 16) {
        Ok(format!("{chip}-{unique}"))
    } else {
        Err(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let old = "0123456789abcdef0123456789ABCDEF01234567";
        for (name, raw, want) in [
            ("old form stays", old, Some(old)),
            (
                "new form stays",
                "00008101-000A1B2C3D4E5F60",
                Some("00008101-000A1B2C3D4E5F60"),
            ),
            (
                "hyphen is put back",
                "00008101000A1B2C3D4E5F60",
                Some("00008101-000A1B2C3D4E5F60"),
            ),
            (
                "case stays",
                "00008101-000a1b2c3d4e5f60",
                Some("00008101-000a1b2c3d4e5f60"),
            ),
            ("empty", "", None),
            ("hyphen at another place", "0000810-1000A1B2C3D4E5F60", None),
            ("two hyphens", "00008101-000A1B2C-D4E5F60", None),
            ("not hexadecimal", "00008101-000A1B2C3D4E5F6G", None),
            ("a path", "../../../../etc/passwd01", None),
            ("one digit short", &old[1..], None),
            (
                "multi-byte at the place of the hyphen",
                "0000810é000A1B2C3D4E5F60",
                None,
            ),
            (
                "multi-byte within 40 bytes",
                "0123456789abcdef0123456789ABCDEF012345é",
                None,
            ),
        ] {
            assert_eq!(normalise(raw).ok().as_deref(), want, "{name}");
        }
    }
}
