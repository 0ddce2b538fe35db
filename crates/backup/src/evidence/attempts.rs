//! The list of the last attempts: each a dictionary with an error, the error below it, and so on (`remediation.md` 1.2.3).

use backupwatch_core::evidence::{Attempt, ErrorCode, MOST_ATTEMPTS, MOST_LINKS, app_in};
use backupwatch_wire::fields;
use plist::{Dictionary, Value};

use super::parse::Dates;

/// Where Apple's own backup errors are numbered. Its 0 is how a success is noted.
const MB: &str = "MBErrorDomain";

/// The attempts. The phone appends, so the last of too many are the ones to keep.
pub(super) fn read(entries: &[Value], dates: &Dates) -> Vec<Attempt> {
    let newest = entries.len().saturating_sub(MOST_ATTEMPTS);
    let newest = entries.get(newest..).unwrap_or_default();
    (newest.iter())
        .filter_map(|entry| attempt(entry.as_dictionary()?, dates))
        .collect()
}

/// An entry that says neither when nor what says nothing.
fn attempt(entry: &Dictionary, dates: &Dates) -> Option<Attempt> {
    let at = dates.happened(entry.get("date")?)?;
    entry.get("code")?;
    let links = || std::iter::successors(Some(entry), |link| below(link)).take(MOST_LINKS);
    let mut chain: Vec<ErrorCode> = links().map_while(error).collect();
    let succeeded = (chain.first()).is_some_and(|first| first.domain == MB && first.code == 0);
    if succeeded {
        chain.clear();
    } else if chain.is_empty() {
        chain.push(ErrorCode::nameless());
    }
    let text = |key| entry.get(key).and_then(Value::as_string);
    Some(Attempt {
        at,
        chain,
        app: links().find_map(app),
        text: text("localizedDescription").map(str::to_owned),
    })
}

fn below(entry: &Dictionary) -> Option<&Dictionary> {
    entry.get("underlyingError")?.as_dictionary()
}

fn error(entry: &Dictionary) -> Option<ErrorCode> {
    let domain = entry.get("domain")?.as_string()?;
    let code = fields::integer(entry, "code").ok().flatten()?;
    ErrorCode::new(domain, code)
}

/// The app whose file it is about.
fn app(entry: &Dictionary) -> Option<String> {
    ["filePath", "localizedDescription"]
        .into_iter()
        .filter_map(|key| entry.get(key)?.as_string())
        .find_map(app_in)
}
