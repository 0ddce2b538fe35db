//! The list of the last attempts: each a dictionary with an error, the error below it, and so on (`remediation.md` 1.2.3).

use backupwatch_core::evidence::{Attempt, ErrorCode, MOST_ATTEMPTS, MOST_LINKS};
use backupwatch_wire::fields;
use plist::{Dictionary, Value};

use super::parse::Dates;

/// Where Apple's own backup errors are numbered. Its 0 is how a success is noted.
const MB: &str = "MBErrorDomain";

/// Longest name of an error domain that is believed to be one.
const LONGEST_DOMAIN: usize = 64;

/// Longest bundle identifier that is believed to be one, as the App Store bounds them.
const LONGEST_APP: usize = 155;

/// How files of an app are named in a backup.
const APP: &str = "AppDomain-";

/// The attempts, oldest first: by their own dates, for their order is not relied upon.
pub(super) fn read(entries: &[Value], dates: &Dates) -> Vec<Attempt> {
    let newest = entries.iter().rev().take(MOST_ATTEMPTS);
    let mut attempts: Vec<Attempt> = newest
        .filter_map(|entry| attempt(entry.as_dictionary()?, dates))
        .collect();
    // Those of one moment stay in the order of the list.
    attempts.reverse();
    attempts.sort_by_key(|attempt| attempt.at);
    attempts
}

/// An entry without a date or without an error that can be named says nothing.
fn attempt(entry: &Dictionary, dates: &Dates) -> Option<Attempt> {
    let at = dates.past(entry.get("date")?)?;
    let first = error(entry)?;
    if first.domain == MB && first.code == 0 {
        return Some(Attempt {
            at,
            chain: Vec::new(),
            app: None,
            text: None,
        });
    }
    let links = || std::iter::successors(Some(entry), |link| below(link)).take(MOST_LINKS);
    Some(Attempt {
        at,
        chain: links().map_while(error).collect(),
        app: links().find_map(app),
        text: None,
    })
}

fn below(entry: &Dictionary) -> Option<&Dictionary> {
    entry.get("underlyingError")?.as_dictionary()
}

fn error(entry: &Dictionary) -> Option<ErrorCode> {
    let domain = entry.get("domain")?.as_string()?;
    let code = fields::integer(entry, "code").ok().flatten()?;
    error_of(domain, code)
}

/// The error, if the name can be one of a domain.
pub(super) fn error_of(domain: &str, code: i64) -> Option<ErrorCode> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = !domain.is_empty() && domain.len() <= LONGEST_DOMAIN && domain.bytes().all(good);
    is_name.then(|| ErrorCode {
        domain: domain.to_owned(),
        code,
    })
}

/// The app whose file it is about.
fn app(entry: &Dictionary) -> Option<String> {
    ["filePath", "localizedDescription"]
        .into_iter()
        .filter_map(|key| entry.get(key)?.as_string())
        .find_map(app_in)
}

fn app_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(APP)?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let end = rest.find(|c| !good(c)).unwrap_or(rest.len());
    let app = rest.get(..end)?.trim_end_matches('.');
    (app.contains('.') && app.len() <= LONGEST_APP).then(|| app.to_owned())
}
