//! `cargo xtask remediation`: the guide in `docs/remediation`, one page a step and an index with the causes, from the data that the
//! program itself reads. Without `--write` it only says which files are not what the data says; a test asks the same.

use anyhow::{Context as _, Result, bail};
use backupwatch_core::{
    diagnosis::{self, Certainty, Known},
    steps::{self, Guard, Step, StepId},
    words::capital,
};
use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

/// The first line of every page.
const WRITTEN: &str = "<!-- Written by `cargo xtask remediation --write` from the data in crates/core/data. Change it there. -->";

/// A file's name and its text.
type Pages = BTreeMap<String, String>;

pub(crate) fn run(write: bool) -> Result<()> {
    let pages = pages();
    let wrong = wrong(&pages)?;
    if write {
        let folder = folder();
        fs::create_dir_all(&folder)?;
        for name in &wrong {
            let path = folder.join(name);
            match pages.get(name) {
                Some(text) => fs::write(&path, text),
                None => fs::remove_file(&path),
            }
            .with_context(|| format!("failed to write {}", path.display()))?;
        }
        println!("docs/remediation: {} files written", wrong.len());
    } else if wrong.is_empty() {
        println!(
            "docs/remediation: {} files are as the data says",
            pages.len()
        );
    } else {
        bail!(
            "not what the data says: {}; run `cargo xtask remediation --write`",
            wrong.join(", ")
        );
    }
    Ok(())
}

fn folder() -> PathBuf {
    crate::root().join("docs/remediation")
}

/// Files that are missing, different or too many.
fn wrong(pages: &Pages) -> Result<Vec<String>> {
    let mut there = Pages::new();
    for entry in fs::read_dir(folder()).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        there.insert(name.into_owned(), fs::read_to_string(&path)?);
    }
    let mut names: Vec<String> = pages.keys().chain(there.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| pages.get(name) != there.get(name));
    Ok(names)
}

fn pages() -> Pages {
    let mut pages = Pages::from([("README.md".to_owned(), index())]);
    let all = steps::all();
    for (number, step) in all.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|number| all.get(number));
        let after = all.get(number + 1);
        pages.insert(file(step.id), page(step, before, after));
    }
    pages
}

fn file(step: StepId) -> String {
    format!("{step}.md")
}

/// `[S2](S2.md)`
fn link(step: StepId) -> String {
    format!("[{step}]({})", file(step))
}

fn links(steps: &[StepId]) -> String {
    let links: Vec<String> = steps.iter().map(|step| link(*step)).collect();
    links.join(", ")
}

const INDEX: &str = "# When iCloud Backup has stopped

Nobody tells you when an iPhone or iPad stops backing up to iCloud. If yours has: do not worry, and do not begin with the harsh things.
Most of the time a night on the charger, another Wi-Fi or a little room in iCloud is all it needs.

`backupwatch fix` and the page that its notices open show the same steps for your device: which one is next and why, which ones are
locked for now, and which one worked. This is the whole of it, to read in peace.

## First of all

**Make a local backup and have it checked**, before you repair anything: `backupwatch backup`. A few steps delete something. With a
verified copy on your computer, no step can lose what matters. Better still is an encrypted one: only that holds your saved passwords,
Wi-Fi networks and Health data.

Then take the step that fits your cause, or begin at the top. After each step give it one night on the charger, on Wi-Fi and locked, or
tap *Back Up Now* on the device. **Stop as soon as the date of the last backup moves.**
";

fn index() -> String {
    let mut out = format!("{WRITTEN}\n\n{INDEX}");
    out.push_str("\n## The steps, from the mildest to the harshest\n\n");
    out.push_str("| | step | takes | what you lose | only with |\n|---|---|---|---|---|\n");
    for step in steps::all() {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            link(step.id),
            cell(&step.title),
            cell(&step.takes),
            cell(&step.loses),
            guard(step.guard).unwrap_or("–"),
        );
    }
    out.push_str("\n## Why it fails\n\n");
    out.push_str("What backupwatch can tell from the notes that the device itself keeps of its attempts, and what it then proposes. On an iPad, read iPad for\niPhone. *Not these* are steps that are never proposed against it: they would not help, and can harm.\n\n");
    out.push_str("| cause | what to know | steps | not these |\n|---|---|---|---|\n");
    for known in diagnosis::all() {
        let _ = writeln!(
            out,
            "| <a name=\"{}\"></a>**{}**{} | {} | {} | {} |",
            known.code,
            cell(&words(&known.title)),
            sure(known.certainty),
            cell(&advice(known)),
            or(
                &if known.full_ladder {
                    "all, from the top".to_owned()
                } else {
                    links(&known.steps)
                },
                "only time"
            ),
            or(&links(&known.all_never()), "–"),
        );
    }
    out.push_str("\n¹ How iOS 26 behaves, as far as one can see from outside; Apple does not document it.  \n² A conclusion of ours that nobody has observed yet, or a rule of this project.\n");
    section(
        &mut out,
        "Sources",
        sources()
            .iter()
            .map(|source| format!("- {}", plain(source))),
    );
    out
}

fn page(step: &Step, before: Option<&Step>, after: Option<&Step>) -> String {
    let mut out = format!(
        "{WRITTEN}\n\n# {}: {}\n\n{}\n",
        step.id,
        plain(&step.title),
        plain(&step.why)
    );
    if let Some(guard) = guard(step.guard) {
        let _ = writeln!(
            out,
            "\n> **Only with {guard}.** Until you have it, backupwatch keeps this step locked. `backupwatch backup` makes one and checks it."
        );
    }
    let _ = writeln!(
        out,
        "\n| takes | risk | what you lose |\n|---|---|---|\n| {} | {} | {} |",
        cell(&step.takes),
        cell(&step.risk),
        cell(&step.loses)
    );
    section(
        &mut out,
        "Read this before",
        step.before.iter().map(|text| format!("- {}", plain(text))),
    );
    let actions = step.actions.iter().enumerate();
    section(
        &mut out,
        "What to do",
        actions.map(|(number, text)| format!("{}. {}", number + 1, plain(text))),
    );
    let mut place = Vec::new();
    if !step.path.is_empty() {
        place.push(format!("**{}**", plain(&step.path)));
    }
    if !step.search.is_empty() {
        place.push(format!(
            "\nMenu names differ a little between releases of iOS. Or search Settings for *{}*.",
            plain(&step.search)
        ));
    }
    section(&mut out, "Where it is", place);
    section(&mut out, "How you see that it worked", [plain(&step.sign)]);
    let causes = |is: &dyn Fn(&Known) -> bool| -> Vec<String> {
        let found = diagnosis::all().iter().filter(|known| is(known));
        found
            .map(|known| {
                format!(
                    "- [{}](README.md#{})",
                    plain(&words(&known.title)),
                    known.code
                )
            })
            .collect()
    };
    section(
        &mut out,
        "When it helps",
        causes(&|known| known.steps.contains(&step.id)),
    );
    let not = causes(&|known| known.all_never().contains(&step.id));
    if !not.is_empty() {
        let head = "<details><summary>Never proposed against these: it would not help, and can harm</summary>\n";
        let lines = not.into_iter();
        let lines = [head.to_owned()]
            .into_iter()
            .chain(lines)
            .chain(["\n</details>".to_owned()]);
        section(&mut out, "When to leave it alone", lines);
    }
    section(
        &mut out,
        "Sources",
        [format!(
            "- [{}]({})\n- {}",
            plain(&step.link_title),
            step.link,
            plain(&step.source)
        )],
    );
    let mut ways = Vec::new();
    if let Some(before) = before {
        ways.push(format!(
            "← [{}, {}]({})",
            before.id,
            plain(&before.title),
            file(before.id)
        ));
    }
    ways.push("[All steps](README.md)".to_owned());
    if let Some(after) = after {
        ways.push(format!(
            "[{}, {}]({}) →",
            after.id,
            plain(&after.title),
            file(after.id)
        ));
    }
    let _ = writeln!(out, "\n---\n\n{}", ways.join(" · "));
    out
}

/// A heading and its lines; nothing where there are none.
fn section(out: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let lines: Vec<String> = lines.into_iter().collect();
    if !lines.is_empty() {
        let _ = writeln!(out, "\n## {title}\n\n{}", lines.join("\n"));
    }
}

fn guard(guard: Guard) -> Option<&'static str> {
    match guard {
        Guard::None => None,
        Guard::Verified => Some("a verified local backup of the last 24 hours"),
        Guard::Encrypted => Some("an encrypted, verified local backup of the last 24 hours"),
    }
}

fn sure(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Public => "",
        Certainty::B26 => "¹",
        Certainty::Unverified | Certainty::Ours => "²",
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// For an iPhone; the index says how an iPad's owner reads it.
fn words(text: &str) -> String {
    text.replace("{noun}", "iPhone")
}

/// What to know about a cause; empty where its title says it all.
fn advice(known: &Known) -> String {
    let means = words(&known.means);
    if !known.advice.is_empty() {
        words(&known.advice)
    } else if means.eq_ignore_ascii_case(&words(&known.title)) {
        String::new()
    } else if means.starts_with('i') {
        // iOS, iCloud and iPhone are written so wherever they stand.
        format!("{means}.")
    } else {
        format!("{}.", capital(&means))
    }
}

/// Where the causes come from, each named once. Numbers of sections are for those who wrote the data.
fn sources() -> Vec<&'static str> {
    let mut named = Vec::new();
    for known in diagnosis::all() {
        for part in known.source.split(';').map(str::trim) {
            if !part.starts_with(|first: char| first.is_ascii_digit()) && !named.contains(&part) {
                named.push(part);
            }
        }
    }
    named
}

/// Text in which nothing is Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if matches!(letter, '\\' | '*' | '_' | '`' | '<' | '#' | '|') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// The same in a table, where an empty cell looks forgotten.
fn cell(text: &str) -> String {
    or(&plain(text), "–").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_what_the_data_says() {
        let wrong = wrong(&pages()).unwrap();
        assert!(
            wrong.is_empty(),
            "run `cargo xtask remediation --write`: {wrong:?}"
        );
    }

    #[test]
    fn every_link_within_the_guide_leads_somewhere() {
        let pages = pages();
        for (name, text) in &pages {
            for target in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                if target.starts_with("https://") {
                    continue;
                }
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let there = pages.get(file).is_some_and(|text| {
                    anchor.is_empty() || text.contains(&format!("<a name=\"{anchor}\">"))
                });
                assert!(there, "{name} links to {target}");
            }
        }
    }
}
