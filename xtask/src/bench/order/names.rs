//! From what ran to a script for the linker: whole names become the shortest beginnings that mean the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Addresses of what ran.
pub(super) struct Runs {
    pub(super) backup: BTreeSet<u64>,
    pub(super) agent: BTreeSet<u64>,
}

/// In this order they stand in the program, so that what each of the two needs is in one piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Agent,
    Both,
    Backup,
    /// A generic function of which few copies run: all have one name, and these stand apart.
    Few,
}

/// What there is of one name, in bytes.
#[derive(Default)]
struct Weight {
    ran: u64,
    idle: u64,
    backup: bool,
    agent: bool,
}

impl Weight {
    fn group(&self) -> Option<Group> {
        if self.ran == 0 {
            None
        } else if self.ran * 2 < self.idle {
            Some(Group::Few)
        } else if self.backup && self.agent {
            Some(Group::Both)
        } else if self.backup {
            Some(Group::Backup)
        } else {
            Some(Group::Agent)
        }
    }
}

/// Beginnings are not cut shorter than that: what a new function does is not known by a handful of letters.
const SHORTEST: usize = 16;

pub(super) fn script(functions: &[(u64, u64, String)], runs: &Runs) -> String {
    let mut weights: BTreeMap<String, Weight> = BTreeMap::new();
    for (at, length, name) in functions {
        let inside = |ran: &BTreeSet<u64>| ran.range(*at..*at + *length).next().is_some();
        let (backup, agent) = (inside(&runs.backup), inside(&runs.agent));
        let weight = weights.entry(lasting(name)).or_default();
        weight.backup |= backup;
        weight.agent |= agent;
        if backup || agent {
            weight.ran += length;
        } else {
            weight.idle += length;
        }
    }
    let names: Vec<(&str, Option<Group>)> = weights
        .iter()
        .map(|(name, weight)| (name.as_str(), weight.group()))
        .collect();
    let mut patterns = BTreeSet::new();
    shorten(&names, 0, &mut patterns);
    let mut text = HEAD.to_owned();
    let mut before = None;
    for (group, pattern) in &patterns {
        if *group == Group::Both && before != Some(Group::Both) {
            // What assembler wrote for keys and ciphers has no section for each function.
            text.push_str("    *libring-*:*(.text)\n    *(.text.unlikely.*)\n");
        }
        before = Some(*group);
        let _ = writeln!(text, "    *(.text.{pattern})");
    }
    text.push_str(FOOT);
    text
}

/// A name without what changes from one compilation to the next: the hash of its types, the number of a copy, the hash of a crate.
fn lasting(name: &str) -> String {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match name.rsplit_once('.') {
        Some((before, last)) if number(last) => before.trim_end_matches(".llvm"),
        Some(_) | None => name,
    };
    if name.starts_with("_ZN") {
        let hash = name
            .len()
            .checked_sub(20)
            .and_then(|at| name.split_at_checked(at));
        return match hash {
            Some((path, hash)) if hash.starts_with("17h") => format!("{path}17h"),
            Some(_) | None => name.to_owned(),
        };
    }
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    let mut lasting = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("Cs") {
        lasting.push_str(before);
        lasting.push_str("Cs");
        rest = after;
        let hash = after.split_once('_').filter(|(hash, crate_name)| {
            hash.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && crate_name.starts_with(|letter: char| letter.is_ascii_digit())
        });
        if let Some((_, crate_name)) = hash {
            lasting.push_str("*_");
            rest = crate_name;
        }
    }
    lasting + rest
}

/// Sorted names that agree in their first `depth` bytes.
fn shorten(
    names: &[(&str, Option<Group>)],
    depth: usize,
    patterns: &mut BTreeSet<(Group, String)>,
) {
    let (Some((first, group)), Some((last, _))) = (names.first(), names.last()) else {
        return;
    };
    if names.iter().all(|(_, group)| group.is_none()) {
        return;
    }
    let same = names.iter().all(|(_, other)| other == group);
    if same && (names.len() == 1 || depth >= SHORTEST) {
        let beginning = first
            .get(..depth.max(SHORTEST))
            .filter(|short| short.len() < first.len());
        let pattern = match beginning {
            Some(beginning) => format!("{beginning}*"),
            // Rust's end with what changes; C's are whole.
            None if first.starts_with('_') => format!("{first}*"),
            None => (*first).to_owned(),
        };
        patterns.extend(group.map(|group| (group, pattern)));
        return;
    }
    if first.len() == depth {
        // Itself the beginning of others.
        patterns.extend(group.map(|group| (group, (*first).to_owned())));
        return shorten(names.get(1..).unwrap_or_default(), depth, patterns);
    }
    let agree = first
        .bytes()
        .zip(last.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let depth = depth.max(agree);
    if first.len() == depth && names.len() > 1 {
        return shorten(names, depth, patterns);
    }
    for part in names
        .chunk_by(|(one, _), (other, _)| one.as_bytes().get(depth) == other.as_bytes().get(depth))
    {
        shorten(part, depth + 1, patterns);
    }
}

const HEAD: &str = "\
/* Written by `cargo xtask order`: the functions that run in a backup and in an idle agent, for the linker to put them together. */
SECTIONS
{
  .text :
  {
";

const FOOT: &str = "  }
}
INSERT BEFORE .init;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_does_not_last() {
        for (name, lasts) in [
            (
                "_ZN4core3fmt5write17h0123456789abcdefE",
                "_ZN4core3fmt5write17h",
            ),
            (
                "_ZN4core3fmt5write17h0123456789abcdefE.llvm.123",
                "_ZN4core3fmt5write17h",
            ),
            (
                "_RNvMNtCsgEmfK2I1SDS_4core3str3any.273",
                "_RNvMNtCs*_4core3str3any",
            ),
            ("sqlite3VdbeExec", "sqlite3VdbeExec"),
            ("_ZN", "_ZN"),
        ] {
            assert_eq!(lasting(name), lasts);
        }
    }

    #[test]
    fn what_ran_is_named_and_what_did_not_is_not_meant() {
        let function = |(at, name): (usize, &str)| (at as u64 * 16, 16, name.to_owned());
        let functions: Vec<_> = [
            "_ZN11abcdefghijk3one17h0123456789abcdefE",
            "_ZN11abcdefghijk3oze17h0123456789abcdefE",
            "_ZN11abcdefghijk3two17h0123456789abcdefE",
            "_ZN11abcdefghijk5three17h0123456789abcdefE",
            "open",
            "open_all",
            "alone",
        ]
        .into_iter()
        .enumerate()
        .map(function)
        .collect();
        let runs = Runs {
            backup: BTreeSet::from([0x04, 0x10, 0x40]),
            agent: BTreeSet::from([0x2f, 0x48]),
        };
        let script = script(&functions, &runs);
        let patterns: Vec<&str> = script
            .lines()
            .filter_map(|line| line.trim().strip_prefix("*(.text.")?.strip_suffix(')'))
            .collect();
        assert_eq!(
            patterns,
            [
                "_ZN11abcdefghijk3t*",
                "unlikely.*",
                "open",
                "_ZN11abcdefghijk3o*"
            ]
        );
    }
}
