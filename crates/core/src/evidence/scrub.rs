//! What may be kept of a text that came from the phone: the plain words of it.
//!
//! Errors of the phone name files, accounts and people (`remediation.md` 0, rule 6). This cuts rather too much than too little: an
//! unknown error needs its number, and a few words that a search engine finds.

use super::LONGEST_TEXT;

/// More of a text is not looked at.
const LOOKED_AT: usize = 4_096;
/// So many digits in a row may be a telephone or a serial number; error codes have fewer.
const TELLING_DIGITS: usize = 6;
/// So many capitals and digits in one word may be a serial number.
const TELLING_SERIAL: usize = 8;
/// Stands for what was cut.
const CUT: &str = "…";

/// The text without paths, addresses, quoted names, identifiers and long numbers, in one bounded line; none when nothing of it is
/// left.
pub fn scrub(text: &str) -> Option<String> {
    let plain: String = text
        .chars()
        .take(LOOKED_AT)
        .map(|c| if is_printable(c) { c } else { ' ' })
        .collect();
    let plain = without_quotes(&plain);
    let mut words: Vec<&str> = Vec::new();
    let mut tokens = plain.split_whitespace().peekable();
    while let Some(token) = tokens.next() {
        if is_number(token) {
            let mut digits = count_digits(token);
            let begin = words.len();
            words.push(token);
            while let Some(more) = tokens.next_if(|more| is_number(more)) {
                digits += count_digits(more);
                words.push(more);
            }
            if digits >= TELLING_DIGITS {
                words.truncate(begin);
                words.push(CUT);
            }
        } else if is_error(token) {
            words.push(token);
        } else if token.contains("://") && !token.starts_with("file:") {
            words.push(CUT);
        } else if token.contains(['/', '\\', '~']) {
            // Names of files have spaces: nobody can say where a path ends.
            words.push(CUT);
            break;
        } else if is_telling(token) {
            words.push(CUT);
        } else {
            words.push(token);
        }
    }
    words.dedup_by(|later, earlier| later == earlier && *later == CUT);
    bounded(&words)
}

/// Whether a character is harmless on a screen and in a log: none that controls, hides or turns text around.
pub(crate) fn is_printable(c: char) -> bool {
    let tricks = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}');
    !c.is_control() && !tricks
}

/// What stands in quotation marks is a name: of a file, an app, a person. An open one hides the rest.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut closing: Option<fn(char) -> bool> = None;
    let mut before = ' ';
    for c in text.chars() {
        if let Some(closes) = closing {
            if closes(c) {
                closing = None;
            }
        } else if let Some(closes) = closing_of(c, before) {
            closing = Some(closes);
            out.push_str(" … ");
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

/// What ends the quotation that `c` opens. An apostrophe opens one only where a word begins.
fn closing_of(c: char, before: char) -> Option<fn(char) -> bool> {
    let at_word = !before.is_alphanumeric();
    match c {
        '"' | '“' | '”' | '„' => Some(|c| matches!(c, '"' | '“' | '”')),
        '«' => Some(|c| c == '»'),
        '»' => Some(|c| c == '«'),
        '「' => Some(|c| c == '」'),
        '`' => Some(|c| matches!(c, '`' | '\'')),
        '‘' | '‚' => Some(|c| matches!(c, '’' | '‘')),
        '\'' | '’' if at_word => Some(|c| matches!(c, '\'' | '’')),
        _ => None,
    }
}

/// Digits and what stands between them in a telephone number.
fn is_number(token: &str) -> bool {
    token.contains(|c: char| c.is_numeric())
        && token
            .chars()
            .all(|c| c.is_numeric() || "+-–().,:;#".contains(c))
}

fn count_digits(token: &str) -> usize {
    token.chars().filter(|c| c.is_numeric()).count()
}

/// `MBErrorDomain/3`, `(16/3002)`: errors, not paths.
fn is_error(token: &str) -> bool {
    let bare = token.trim_matches(|c: char| "()[],.;:".contains(c));
    let Some((domain, code)) = bare.split_once(['/', ':', '(']) else {
        return false;
    };
    let code = code.trim_start_matches('-');
    let is_code = |text: &str| {
        !text.is_empty()
            && text.len() < TELLING_DIGITS
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_domain = domain.ends_with("Domain") && domain.bytes().all(|b| b.is_ascii_alphabetic());
    is_code(code) && (is_domain || is_code(domain))
}

/// Addresses, file and host names, identifiers, what belongs to somebody.
fn is_telling(token: &str) -> bool {
    let bare = token.trim_matches(|c: char| !c.is_alphanumeric());
    let dotted = bare.contains('.') && bare.contains(char::is_alphabetic);
    let digits = count_digits(bare);
    let letters = |wanted: fn(char) -> bool| bare.chars().all(|c| wanted(c) || c.is_ascii_digit());
    let serial = bare.chars().count() >= TELLING_SERIAL
        && digits > 0
        && (letters(|c| c.is_ascii_uppercase())
            || letters(|c| matches!(c, 'a'..='f' | 'A'..='F' | '-')));
    let owned = ["'s", "’s"].iter().any(|end| bare.ends_with(end)) && !bare.starts_with("Apple");
    token.contains(['@', '<', '>', '='])
        || bare.contains("Domain-")
        || dotted
        || digits >= TELLING_DIGITS
        || serial
        || owned
}

fn bounded(words: &[&str]) -> Option<String> {
    let mut out = String::new();
    let mut length = 0;
    for word in words {
        let more = word.chars().count() + usize::from(length > 0);
        // Room for the mark that something is missing.
        if length + more + 2 > LONGEST_TEXT {
            if !out.ends_with(CUT) {
                out.push_str(" …");
            }
            break;
        }
        if length > 0 {
            out.push(' ');
        }
        out.push_str(word);
        length += more;
    }
    out.contains(char::is_alphabetic)
        .then(|| out.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_words_stay_and_the_rest_goes() {
        let table = [
            ("Backup succeeded", Some("Backup succeeded")),
            (
                "Backup cancelled (com.apple.backupd.wifi)",
                Some("Backup cancelled …"),
            ),
            ("Couldn’t save the file.", Some("Couldn’t save the file.")),
            (
                "The file “Anna’s diary.pages” couldn’t be opened.",
                Some("The file … couldn’t be opened."),
            ),
            (
                "Failed to read /var/mobile/Library/My Secret Diary/page one.txt now",
                Some("Failed to read …"),
            ),
            (
                "stat(\"/var/mobile/Containers/Yo.app\"): No such file or directory (2)",
                Some("stat( … ): No such file or directory (2)"),
            ),
            (
                "GET https://gateway.icloud.com/x?dsid=8123 timed out",
                Some("GET … timed out"),
            ),
            ("file:///var/My Diary gone", None),
            (
                "Signed out anna.b@example.org today",
                Some("Signed out … today"),
            ),
            (
                "Device 00008110-000A1B2C3D4E5F60 and D3B07384-D113-4EC6-A5B7-0E1B2C3D4E5F gone",
                Some("Device … and … gone"),
            ),
            ("Call +1 (555) 010-4477 now", Some("Call … now")),
            ("Serial F2LXK1ABCD9Q unknown", Some("Serial … unknown")),
            ("Backing up Anna's iPhone", Some("Backing up … iPhone")),
            (
                "ErrorCode 3: File exists (17) (MBErrorDomain/3)",
                Some("ErrorCode 3: File exists (17) (MBErrorDomain/3)"),
            ),
            (
                "Asset File Not Found (16/3002)",
                Some("Asset File Not Found (16/3002)"),
            ),
            (
                "one\u{1b}[31m\ntwo\u{202e}three",
                Some("one [31m two three"),
            ),
            ("Failed: 'anna's notes", Some("Failed: … s notes")),
            ("Failed: \"anna", Some("Failed: …")),
            ("AppDomain-org.example.app", None),
            ("(303)", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(scrub(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_end_at_a_word() {
        let text = scrub(&"word ".repeat(200)).unwrap();
        assert!(text.chars().count() <= LONGEST_TEXT, "{text}");
        assert!(text.ends_with("word …"), "{text}");
        assert_eq!(scrub(&"w".repeat(10_000)), None);
    }

    proptest! {
        #[test]
        fn any_text_comes_out_bounded_and_without_marks_of_a_secret(text in any::<String>()) {
            if let Some(kept) = scrub(&text) {
                prop_assert!(kept.chars().count() <= LONGEST_TEXT);
                prop_assert!(kept.chars().all(is_printable));
                prop_assert!(!kept.contains('@') && !kept.contains("://") && !kept.contains('\\'));
            }
        }

        #[test]
        fn a_secret_inside_a_sentence_never_comes_through(
            secret in prop::sample::select(vec![
                "/var/mobile/Media/Zebra", "zebra@example.org", "“Zebra”", "\"Zebra\"", "https://zebra.example/x",
                "zebra.pdf", "ZEBRA12345", "«Zebra»", "Zebra’s",
            ]),
            before in "[A-Za-z ,:(]{0,40}",
            after in "[A-Za-z ,:)]{0,40}",
        ) {
            let kept = scrub(&format!("{before} {secret} {after}")).unwrap_or_default();
            prop_assert!(!kept.to_lowercase().contains("zebra"), "{kept}");
        }
    }
}
