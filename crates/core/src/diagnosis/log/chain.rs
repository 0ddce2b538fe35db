//! The errors that a line names, in their order. By hand, because what it reads is hostile and the forms are few.

use super::patterns::Chain;
use crate::evidence::{ErrorCode, LONGEST_NAME, MOST_LINKS};

/// Digits of a number that is believed.
const MOST_DIGITS: usize = 12;

/// Every `Domain(303)`, `Domain:303`, `Domain/303`, `Domain Code=303` and CloudKit's `(16/3002)`, the outermost first.
pub(super) fn chain(text: &str, known: &Chain) -> Vec<ErrorCode> {
    let mut links: Vec<ErrorCode> = Vec::new();
    let mut push = |link: Option<ErrorCode>| {
        links.extend(link.filter(|link| links.last() != Some(link)));
        links.len() < MOST_LINKS
    };
    let mut in_pairs = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() {
            let (name, after) =
                split_at_end(rest, |c| c.is_ascii_alphanumeric() || "._".contains(c));
            in_pairs |= name == known.pairs_of;
            if let Some(code) = known.is_domain(name).then(|| code_after(after)).flatten()
                && !push(ErrorCode::new(name, code))
            {
                break;
            }
            rest = after;
            continue;
        }
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        if first == '('
            && in_pairs
            && let Some((outer, inner)) = pair(after)
        {
            let [domain, inside] = &known.pairs;
            if !push(ErrorCode::new(domain, outer)) || !push(ErrorCode::new(inside, inner)) {
                break;
            }
        }
        rest = after;
    }
    links
}

/// The number that follows a domain at once.
fn code_after(after: &str) -> Option<i64> {
    if let Some(inside) = after.strip_prefix('(') {
        let (code, after) = number(inside)?;
        return after.starts_with(')').then_some(code);
    }
    let digits = [" Code=", ":", "/"]
        .iter()
        .find_map(|form| after.strip_prefix(form))?;
    let (code, after) = number(digits)?;
    let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    ends.then_some(code)
}

/// `16/3002)`.
fn pair(text: &str) -> Option<(i64, i64)> {
    let (outer, after) = number(text)?;
    let (inner, after) = number(after.strip_prefix('/')?)?;
    after.starts_with(')').then_some((outer, inner))
}

fn number(text: &str) -> Option<(i64, &str)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (digits, after) = split_at_end(unsigned, |c| c.is_ascii_digit());
    if digits.len() > MOST_DIGITS {
        return None;
    }
    let value: i64 = digits.parse().ok()?;
    let sign = if unsigned.len() < text.len() { -1 } else { 1 };
    Some((value * sign, after))
}

fn split_at_end(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

impl Chain {
    fn is_domain(&self, name: &str) -> bool {
        name.len() <= LONGEST_NAME
            && (self.marks.iter().any(|mark| name.contains(mark.as_str()))
                || self.names.iter().any(|other| other == name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::patterns;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        let links: Vec<String> = chain(text, &patterns::patterns().unwrap().chain)
            .iter()
            .map(ToString::to_string)
            .collect();
        links.join(" ")
    }

    #[test]
    fn chains_as_phones_write_them() {
        let table = [
            ("MBErrorDomain(303), <private>", "MBErrorDomain(303)"),
            (
                "MBErrorDomain(300) Underlying error: NSURLErrorDomain(-1009)",
                "MBErrorDomain(300) NSURLErrorDomain(-1009)",
            ),
            (
                "MBErrorDomain(2) Underlying Backup errors: [MBErrorDomain(209), MBErrorDomain(209)]",
                "MBErrorDomain(2) MBErrorDomain(209)",
            ),
            (
                "MBErrorDomain(1) Underlying CloudKit errors: [CKErrorDomain(2), CKErrorDomain(25)]",
                "MBErrorDomain(1) CKErrorDomain(2) CKErrorDomain(25)",
            ),
            // The public lines of `remediation.md` 1.6.
            (
                "ERROR: Backup failed: Error Domain=NSCocoaErrorDomain Code=4097 \"connection to service named com.apple.cloudd\"",
                "NSCocoaErrorDomain(4097)",
            ),
            (
                "========== Backup failed: Couldn't communicate with a helper application. (NSCocoaErrorDomain/4097)",
                "NSCocoaErrorDomain(4097)",
            ),
            (
                "in batch 679: <NSError:0x281101f50(MBErrorDomain:100) \"Input/output error (5)\">",
                "MBErrorDomain(100)",
            ),
            (
                "Failed to upload AppDomain-com.vblast.flipaclip:Library/projects/259483.fci (<CKError 0x1: \"Asset File Not Found\" (16/3002); \"open error: 2 (No such file)\">)",
                "CKErrorDomain(16) CKInternalErrorDomain(3002)",
            ),
            (
                "failed: <CKError: \"Partial Failure\" (2/1011); \"Internal Error\" (1/1000); \"pread error: 2\">",
                "CKErrorDomain(2) CKInternalErrorDomain(1011) CKErrorDomain(1) CKInternalErrorDomain(1000)",
            ),
            (
                "File exists (17) at path \"/private/var\" (MBErrorDomain/3)",
                "MBErrorDomain(3)",
            ),
            (
                "HTTPStatus(507) com.example.Some_ErrorDomain(-7)",
                "HTTPStatus(507) com.example.Some_ErrorDomain(-7)",
            ),
            // None of these is an error.
            ("AppDomain-com.example:3 HomeDomain:Library/3 (16/3002)", ""),
            (
                "MBErrorDomain(0x12) MBErrorDomain:3a MBErrorDomain() MBErrorDomain(-)",
                "",
            ),
            ("MBErrorDomain(99999999999999999999)", ""),
            ("MBErrorDomain (303)", ""),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_chain_without_end_is_cut() {
        let text: String = (0..1_000).map(|n| format!("MBErrorDomain({n}) ")).collect();
        assert_eq!(
            chain(&text, &patterns::patterns().unwrap().chain).len(),
            MOST_LINKS
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in any::<String>(), dense in "[A-Z]?(Domain|CKError)?[-(:/=0-9) é😀]{0,40}") {
            for text in [&text, &dense] {
                for link in chain(text, &patterns::patterns().unwrap().chain) {
                    prop_assert!(link.domain.len() <= LONGEST_NAME);
                }
            }
        }

        #[test]
        fn what_is_written_is_read(codes in prop::collection::vec(-9_999_i64..9_999, 1..6)) {
            let links: Vec<ErrorCode> = codes.iter().map(|code| ErrorCode::new("MBErrorDomain", *code).unwrap()).collect();
            let mut expected = links.clone();
            expected.dedup();
            let text = links.iter().map(ToString::to_string).collect::<Vec<_>>().join(" Underlying error: ");
            prop_assert_eq!(chain(&text, &patterns::patterns().unwrap().chain), expected);
        }
    }
}
