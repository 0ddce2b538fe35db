//! What a person can be told while the phone's log runs past, and what stays of it as evidence.
//!
//! A pure aggregator: whoever streams the log (`os_trace_relay`, or `syslog_relay`) hands each line over. Lines are known by prefix
//! and code, never by whole sentences, and the patterns are data (`data/patterns.toml`, `remediation.md` 1.3). Nothing of a line
//! itself is ever told: a sign has words of ours, and a number.

mod chain;
mod patterns;

use super::matching::cause_of;
use super::tables;
use crate::evidence::{Attempt, Conditions, ErrorCode, Heard, app_in, scrub};
use crate::time::{DeviceTime, HostTime, Period};
use crate::words::capital;
use patterns::{Pattern, Patterns};
use serde::{Deserialize, Serialize};

/// More of a line is not looked at, in bytes.
const LOOKED_AT: usize = 8_192;
/// The same said again within this is no news.
const SAME: Period = Period::minutes(2);

/// One line of the phone's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// When, by the phone's clock; where the service tells no time, when it came.
    pub at: DeviceTime,
    /// The name or the path of the process.
    pub process: &'a str,
    /// How loud; none where the service does not say.
    pub level: Option<LogLevel>,
    /// Such as `com.apple.mobilebackup`; empty where the service does not say.
    pub subsystem: &'a str,
    /// Its part; empty where the service does not say.
    pub category: &'a str,
    /// The text.
    pub text: &'a str,
}

/// How loud a line is, from the quietest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// In passing.
    Info,
    /// What is usual.
    Default,
    /// Something failed.
    Error,
    /// Something broke.
    Fault,
}

/// What a line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// A backup to iCloud is under way.
    UnderWay,
    /// It came to its end.
    Succeeded,
    /// It failed.
    Failed,
    /// A file of one app could not be read or sent.
    App,
    /// All that a phone needs to begin by itself is there.
    Ready,
    /// Something of that is missing.
    NotReady,
    /// It backed up recently; nothing is due.
    NothingDue,
    /// The next backup was put off.
    PutOff,
    /// Management forbids iCloud backups.
    Forbidden,
    /// The phone itself warns that its backup is overdue.
    Overdue,
}

impl SignKind {
    /// Kinds of one topic take each other's place.
    fn topic(self) -> u8 {
        match self {
            Self::UnderWay | Self::Succeeded | Self::Failed => 0,
            Self::Ready | Self::NotReady => 1,
            Self::App => 2,
            Self::NothingDue => 3,
            Self::PutOff => 4,
            Self::Forbidden => 5,
            Self::Overdue => 6,
        }
    }
}

/// Something that a person can be told at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// What it is, for machines.
    pub kind: SignKind,
    /// When, by the phone's clock.
    pub at: DeviceTime,
    /// What it is, in a sentence: "The phone says: iCloud storage is full (303)."
    pub words: String,
    /// The error that names it, if one does.
    pub error: Option<ErrorCode>,
}

/// Everything heard so far. As large as one of each kind of sign, however long it listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listening {
    attempt: Option<Attempt>,
    conditions: Option<Conditions>,
    forbidden: bool,
    nothing_due: bool,
    put_off: bool,
    /// The app whose file stood in the way of the attempt that is under way.
    app: Option<String>,
    /// The last sign of each topic.
    told: Vec<Sign>,
}

impl Listening {
    /// Takes in a line; answers when it means something new.
    pub fn take(&mut self, line: &Line<'_>) -> Option<Sign> {
        let patterns = patterns::patterns()?;
        if line.level == Some(LogLevel::Debug) || !patterns.concern(line.process, line.subsystem) {
            return None;
        }
        let text = line
            .text
            .get(..line.text.floor_char_boundary(LOOKED_AT))
            .unwrap_or_default()
            .trim_start();
        let (pattern, rest) = patterns.find(text)?;
        let mut sign = Sign {
            kind: pattern.kind,
            at: line.at,
            words: pattern.words.clone(),
            error: None,
        };
        self.absorb(&mut sign, patterns, pattern, text, rest);
        self.is_news(&sign).then_some(sign)
    }

    fn absorb(
        &mut self,
        sign: &mut Sign,
        patterns: &Patterns,
        pattern: &Pattern,
        text: &str,
        rest: &str,
    ) {
        match pattern.kind {
            SignKind::UnderWay => {}
            SignKind::Succeeded => {
                self.attempt = Some(Attempt {
                    at: sign.at,
                    chain: Vec::new(),
                    app: None,
                    text: None,
                });
                self.app = None;
                (self.forbidden, self.put_off) = (false, false);
            }
            SignKind::Failed => {
                let mut chain = chain::chain(rest, &patterns.chain);
                if chain.is_empty() {
                    chain.push(ErrorCode::nameless());
                } else {
                    sign.error = chain.first().cloned();
                }
                // Written once more, it is the same failure, and the app that was named before it still belongs to it.
                let before = self.attempt.take().filter(|before| {
                    before.chain == chain && sign.at.since(before.at).abs() < SAME
                });
                let attempt = before.unwrap_or_else(|| Attempt {
                    at: sign.at,
                    chain,
                    app: self.app.take().or_else(|| app_in(rest)),
                    text: scrub(rest),
                });
                if sign.error.is_some() {
                    sign.words = failed(&attempt).unwrap_or_else(|| pattern.words.clone());
                }
                self.attempt = Some(attempt);
            }
            SignKind::App => {
                self.app = app_in(text);
                if let Some(app) = &self.app {
                    sign.words = format!("The phone cannot read or send a file of one app: {app}.");
                }
                sign.error = chain::chain(rest, &patterns.chain).into_iter().next();
            }
            SignKind::Ready | SignKind::NotReady => {
                if let Some(conditions) = patterns.conditions.read(rest) {
                    self.conditions = Some(conditions);
                    if pattern.kind == SignKind::NotReady {
                        sign.words = missing(&conditions).unwrap_or_else(|| sign.words.clone());
                    }
                }
            }
            SignKind::NothingDue => self.nothing_due = true,
            SignKind::PutOff => self.put_off = true,
            SignKind::Forbidden => self.forbidden = true,
            SignKind::Overdue => {}
        }
    }

    fn is_known(&self, sign: &Sign) -> bool {
        self.told.iter().any(|told| {
            told.kind == sign.kind
                && told.words == sign.words
                && (sign.kind != SignKind::Failed || sign.at.since(told.at).abs() < SAME)
        })
    }

    fn is_news(&mut self, sign: &Sign) -> bool {
        if self.is_known(sign) {
            return false;
        }
        self.told
            .retain(|told| told.kind.topic() != sign.kind.topic());
        self.told.push(sign.clone());
        true
    }

    /// What stays of it as evidence, when the listening ended at `at`.
    pub fn heard(&self, at: HostTime) -> Heard {
        Heard {
            at,
            attempt: self.attempt.clone(),
            conditions: self.conditions,
            forbidden: self.forbidden,
            nothing_due: self.nothing_due,
            put_off: self.put_off,
        }
        .bounded()
    }
}

/// "The phone says: iCloud storage is full (303)."
fn failed(attempt: &Attempt) -> Option<String> {
    let matched = cause_of(tables::tables()?, attempt, None)?;
    let number = matched.number(attempt)?.code;
    let means = matched.means().replace("{noun}", "phone");
    Some(format!("The phone says: {} ({number}).", capital(&means)))
}

/// What the phone waits for; none when it names nothing.
fn missing(conditions: &Conditions) -> Option<String> {
    let missing: Vec<&str> = [
        (conditions.enabled, "iCloud Backup is switched off"),
        (conditions.on_power, "it is not on the charger"),
        (conditions.on_wifi, "it is not on Wi-Fi"),
        (conditions.locked, "it is unlocked"),
    ]
    .into_iter()
    .filter_map(|(holds, words)| (!holds).then_some(words))
    .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "The phone does not begin by itself now: {}.",
            missing.join(", ")
        )
    })
}

#[cfg(test)]
mod tests;
