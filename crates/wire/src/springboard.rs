//! `com.apple.springboardservices`: the icon of an app, which other hosts put into `Info.plist`. Its frames are those of
//! [`crate::lockdown`].
//!
//! Not here: the layout of the home screen.

use plist::{Dictionary, Value};

/// The service.
pub const SERVICE: &str = "com.apple.springboardservices";

/// Asks for the icon of an app.
#[must_use]
pub fn icon_request(bundle_id: &str) -> Value {
    let mut body = Dictionary::new();
    body.insert("command".to_owned(), "getIconPNGData".into());
    body.insert("bundleId".to_owned(), bundle_id.into());
    Value::Dictionary(body)
}

/// The PNG of an answer; none when the device has no icon for that app.
#[must_use]
pub fn icon(answer: &Value) -> Option<&[u8]> {
    answer.as_dictionary()?.get("pngData")?.as_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_an_icon_is_none() {
        let answer = |entries: &[(&str, Value)]| {
            Value::Dictionary(
                entries
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), value.clone()))
                    .collect(),
            )
        };
        let cases = [
            (
                "an icon",
                answer(&[("pngData", Value::Data(vec![1]))]),
                Some(&[1][..]),
            ),
            ("none", answer(&[]), None),
            ("another type", answer(&[("pngData", "png".into())]), None),
            ("no dictionary", Value::Boolean(true), None),
        ];
        for (name, answer, expected) in &cases {
            assert_eq!(icon(answer), *expected, "{name}");
        }
    }
}
