//! How syslog spells bytes that are not plain ASCII, after `vis(3)` of BSD: `\M-C\M-$` is ä.
//!
//! Reading gives back only what may be shown: spelt control characters stay spelt, so that no line can steer a terminal.

/// Spells a text. Line breaks and tabs stay, and a NUL goes, for it ends the line.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0 => {}
            b'\\' => out.push_str("\\134"),
            b'\n' | b'\t' | b' '..=b'~' => out.push(char::from(byte)),
            0x01..=0x1f | 0x7f => out.extend(['\\', '^', char::from(byte ^ 0x40)]),
            0x80..=0x9f | 0xff => out.extend(['\\', 'M', '^', char::from(byte & 0x7f ^ 0x40)]),
            0xa0 => out.push_str("\\240"),
            0xa1..=0xfe => out.extend(['\\', 'M', '-', char::from(byte & 0x7f)]),
        }
    }
    out
}

/// Reads what was spelt. What is no spelling stays as it is, and bytes that are no UTF-8 become U+FFFD.
#[must_use]
pub fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let spelt = if *first == b'\\' { spelt(after) } else { None };
        let (byte, skip) = spelt.unwrap_or((*first, 0));
        // Raw control characters have no business in a line either.
        out.push(
            if byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t') {
                b' '
            } else {
                byte
            },
        );
        rest = after.get(skip..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that is spelt behind a backslash, and how many bytes that takes.
fn spelt(after: &[u8]) -> Option<(u8, usize)> {
    match *after {
        [b'M', b'-', low @ b'!'..=b'~', ..] => Some((low | 0x80, 3)),
        [b'M', b'^', low @ (b'@'..=b'_' | b'?'), ..] => Some(((low ^ 0x40) | 0x80, 3)),
        [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            let byte = (a & 7) << 6 | (b & 7) << 3 | (c & 7);
            (byte >= 0x80 || matches!(byte, b' '..=b'~')).then_some((byte, 3))
        }
        [b'\\', ..] => Some((b'\\', 1)),
        _ => None,
    }
}
