//! Which lines mean something: `data/patterns.toml` is the source; this module only reads and checks it.

use super::SignKind;
use crate::evidence::Conditions;
use serde::Deserialize;
use std::sync::LazyLock;

/// What marks an error in a text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::diagnosis) struct Chain {
    pub marks: Vec<String>,
    pub names: Vec<String>,
    pub pairs_of: String,
    pub pairs: [String; 2],
}

/// The names of the values in a line of conditions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    enabled: String,
    locked: String,
    on_power: String,
    on_wifi: String,
    until: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pattern {
    tag: String,
    #[serde(default)]
    begins: String,
    #[serde(default)]
    contains: String,
    pub kind: SignKind,
    pub words: String,
    #[expect(dead_code, reason = "for whoever reads the data; part of its form")]
    certainty: String,
    #[expect(dead_code, reason = "for whoever reads the data; part of its form")]
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::diagnosis) struct Patterns {
    schema: u32,
    processes: Vec<String>,
    subsystems: Vec<String>,
    pub chain: Chain,
    pub(super) conditions: Keys,
    #[serde(rename = "line")]
    pub(super) lines: Vec<Pattern>,
}

const TEXT: &str = include_str!("../../../data/patterns.toml");
const SCHEMA: u32 = 1;

// The text is part of the program, and a test parses it: that there are none is unreachable.
static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| parse(TEXT).ok());

/// The patterns; none only if the program was built from broken data, which the tests do not let pass.
pub(in crate::diagnosis) fn patterns() -> Option<&'static Patterns> {
    PATTERNS.as_ref()
}

impl Patterns {
    /// Whether a line comes from the part of iOS that backs up to iCloud.
    pub fn concern(&self, process: &str, subsystem: &str) -> bool {
        let name = process.rsplit('/').next().unwrap_or(process);
        self.processes.iter().any(|known| known == name)
            && (subsystem.is_empty() || self.subsystems.iter().any(|known| known == subsystem))
    }

    /// The first pattern that a text fits, and what follows its beginning.
    pub(super) fn find<'a>(&self, text: &'a str) -> Option<(&Pattern, &'a str)> {
        self.lines
            .iter()
            .find_map(|pattern| Some((pattern, pattern.rest_of(text)?)))
    }
}

impl Pattern {
    fn rest_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        let rest = text.strip_prefix(self.tag.as_str())?;
        let rest = rest.trim_start().strip_prefix(self.begins.as_str())?;
        rest.contains(self.contains.as_str()).then_some(rest)
    }
}

impl Keys {
    /// The conditions that a line names; none unless it names all of them.
    pub fn read(&self, text: &str) -> Option<Conditions> {
        let text = text.split(self.until.as_str()).next()?;
        Some(Conditions {
            enabled: value(text, &self.enabled)?,
            locked: value(text, &self.locked)?,
            on_power: value(text, &self.on_power)?,
            on_wifi: value(text, &self.on_wifi)?,
        })
    }
}

/// The value of `key:0` or `key:1`.
fn value(text: &str, key: &str) -> Option<bool> {
    text.split([',', ' ', '{', '}', '[', ']'])
        .find_map(|field| match field.strip_prefix(key)?.strip_prefix(':')? {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        })
}

fn parse(text: &str) -> Result<Patterns, String> {
    let patterns: Patterns = toml::from_str(text).map_err(|error| error.to_string())?;
    if patterns.schema != SCHEMA {
        return Err(format!(
            "schema {} of the patterns is not {SCHEMA}",
            patterns.schema
        ));
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_patterns_parse() {
        let patterns = parse(TEXT).unwrap();
        assert!(patterns.lines.iter().all(|line| !line.words.is_empty()));
        assert!(
            patterns
                .lines
                .iter()
                .all(|line| !line.begins.is_empty() || !line.contains.is_empty()),
            "a pattern without words fits everything"
        );
    }

    #[test]
    fn another_schema_is_refused() {
        let error = parse(&TEXT.replace("schema = 1", "schema = 2")).unwrap_err();
        assert!(error.contains("schema 2"), "{error}");
    }
}
