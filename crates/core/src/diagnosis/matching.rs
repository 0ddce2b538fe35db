//! From the chain of errors of one attempt to its cause: the underlying pair outranks the phone's own number, and what only wraps
//! is looked through (`remediation.md` 2.1).

use super::tables::{Certainty, ErrorRow, Known, MOBILE_BACKUP, Tables, find};
use crate::evidence::{Attempt, ErrorCode};
use crate::steps::StepId;

/// What one attempt says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'a> {
    pub cause: &'a Known,
    /// The row that named it; none where the error is unknown or a sign without a number decided.
    pub row: Option<&'a ErrorRow>,
    /// The error that named it.
    pub error: Option<&'a ErrorCode>,
    pub certainty: Certainty,
    /// Steps that the firm ban forbids.
    pub banned: &'a [StepId],
}

impl<'a> Match<'a> {
    /// What it says in words, with `{noun}` in it.
    pub fn means(&self) -> &'a str {
        self.row
            .and_then(|row| row.means.as_deref())
            .unwrap_or(&self.cause.means)
    }

    /// The number that people search for: the phone's own where there is one.
    pub fn number(&self, attempt: &'a Attempt) -> Option<&'a ErrorCode> {
        attempt
            .chain
            .iter()
            .find(|link| link.domain == MOBILE_BACKUP)
            .or(self.error)
            .or(attempt.chain.first())
    }
}

/// Whether an attempt went well.
pub(super) fn succeeded(tables: &Tables, attempt: &Attempt) -> bool {
    attempt.succeeded()
        || matches!(attempt.chain.as_slice(), [only]
            if tables.row(only, &attempt.chain).is_some_and(|row| row.success))
}

/// The cause of a failed attempt; none only when the tables lack a row, which the tests do not let pass.
pub(super) fn cause_of<'a>(
    tables: &'a Tables,
    attempt: &'a Attempt,
    disk_low: Option<bool>,
) -> Option<Match<'a>> {
    let banned = tables.banned(&attempt.chain);
    let by_sign = |name: &str, error| {
        let sign = tables.sign(name)?;
        Some(Match {
            cause: tables.cause(&sign.cause)?,
            row: None,
            error,
            certainty: sign.certainty,
            banned,
        })
    };
    let Some((error, row)) = decisive(tables, &attempt.chain) else {
        return if attempt.app.is_some() {
            by_sign("app_named", attempt.chain.first())
        } else {
            Some(Match {
                cause: tables.cause("unknown_error")?,
                row: None,
                error: attempt.chain.first(),
                certainty: Certainty::Ours,
                banned,
            })
        };
    };
    let code = match (&row.cause, &row.if_disk_low, &row.otherwise) {
        (Some(code), _, _) => code,
        (None, Some(code), _) if disk_low == Some(true) => code,
        (None, _, Some(code)) => code,
        (None, _, None) => return None,
    };
    let cause = tables.cause(code)?;
    // The text is read only where the number leaves it open.
    if cause.vague && attempt.app.is_some() {
        return by_sign("app_named", Some(error));
    }
    let names_certificate = || {
        attempt
            .text
            .as_deref()
            .is_some_and(|text| text.to_lowercase().contains("certificate"))
    };
    if cause.code == "network" && names_certificate() {
        return by_sign("certificate_named", Some(error));
    }
    // What the phone's own number says as well is as certain as that number.
    let agreeing = attempt
        .chain
        .iter()
        .filter_map(|link| tables.row(link, &attempt.chain))
        .filter(|other| other.cause.is_some() && other.cause == row.cause);
    Some(Match {
        cause,
        row: Some(row),
        error: Some(error),
        certainty: agreeing
            .map(|other| other.certainty)
            .fold(row.certainty, Certainty::max),
        banned,
    })
}

/// The link of the chain that says most.
fn decisive<'a>(
    tables: &'a Tables,
    chain: &'a [ErrorCode],
) -> Option<(&'a ErrorCode, &'a ErrorRow)> {
    let known = || {
        chain
            .iter()
            .filter_map(|error| Some((error, tables.row(error, chain)?)))
            .filter(|(_, row)| !row.success)
    };
    let own = |error: &ErrorCode| error.domain == MOBILE_BACKUP;
    // The rest of a domain, such as "any other network error", is less than a number of the phone's own.
    known()
        .find(|(error, row)| !own(error) && !row.wrapper && !row.rest)
        .or_else(|| known().find(|(error, row)| own(error) && !row.wrapper))
        .or_else(|| known().find(|(_, row)| !row.wrapper))
        .or_else(|| known().find(|(error, _)| own(error)))
        .or_else(|| known().next())
}

/// The cause that it becomes when it has happened `count` times.
pub(super) fn repeated<'a>(found: &Match<'a>, count: u32) -> Option<&'a Known> {
    let repeated = found.row?.repeated.as_ref()?;
    (count >= repeated.at)
        .then(|| find(&repeated.cause))
        .flatten()
}
