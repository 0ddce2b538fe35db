//! `uninstall`: ends the service, and says what it leaves. Backups are never removed.

use crate::{
    cli::{Global, Uninstall},
    failure::Failure,
    service::{self, Left},
    setup::{self, Setup},
    terminal::Terminal,
    words,
};
use backupwatch_agent::{
    api::words::{SCHEMA, Version},
    exit::ExitCode,
};
use serde::Serialize;
use std::path::PathBuf;

/// As JSON, schema 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    schema: u32,
    /// Files that are gone now.
    removed: Vec<String>,
    left: Vec<LeftDocument>,
    /// An agent that a person started, and that still runs.
    agent: Option<Version>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LeftDocument {
    /// `backups`, `state`, `log` or `configuration`.
    what: &'static str,
    path: String,
    bytes: u64,
    /// Whether these are all of its bytes; counting ends after some seconds.
    counted: bool,
}

pub async fn run(
    terminal: Terminal,
    global: &Global,
    wanted: Uninstall,
) -> Result<ExitCode, Failure> {
    let loaded = setup::load(global);
    if wanted.purge
        && let Err(failure) = &loaded
    {
        // Where the backups are is written there, and nothing is removed without knowing that.
        let message = format!("nothing was removed, because {}", failure.message);
        return Err(Failure::new(failure.code, failure.error, message)
            .next("Mend the configuration or leave --purge out, and try again."));
    }
    let base = setup::base()?;
    let unit = super::off_the_loop(move || service::uninstall(&base)).await?;
    let setup = match loaded {
        Ok(setup) => setup,
        Err(failure) => {
            terminal.say(&format!(
                "The service is removed. What else there is cannot be told: {}",
                failure.message
            ));
            return Err(failure);
        }
    };
    let (mut removed, left, agent) = rest(&setup, wanted.purge).await?;
    removed.splice(0..0, unit.clone());
    if wanted.json {
        let document = Document {
            schema: SCHEMA,
            removed: removed
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            left: left.into_iter().map(LeftDocument::from).collect(),
            agent,
        };
        super::json(terminal, &document)?;
    } else {
        terminal.data(&sentences(
            unit.is_some(),
            &removed,
            &left,
            agent.as_ref(),
            wanted.purge,
        ))?;
    }
    Ok(ExitCode::Ok)
}

/// What is purged if that is wanted, what is left then, and who is still at work.
async fn rest(
    setup: &Setup,
    purge: bool,
) -> Result<(Vec<PathBuf>, Vec<Left>, Option<Version>), Failure> {
    let (paths, roots) = (setup.paths.clone(), setup.roots());
    let (removed, left) = super::off_the_loop(move || {
        let removed = if purge {
            service::purge(&paths, &roots)?
        } else {
            Vec::new()
        };
        Ok((removed, service::left(&paths, &roots)))
    })
    .await?;
    let agent = crate::reach::version(setup).await.ok().flatten();
    Ok((removed, left, agent))
}

impl From<Left> for LeftDocument {
    fn from(left: Left) -> Self {
        Self {
            what: left.what,
            path: left.path.display().to_string(),
            bytes: left.bytes,
            counted: left.counted,
        }
    }
}

fn sentences(
    was_installed: bool,
    removed: &[PathBuf],
    left: &[Left],
    agent: Option<&Version>,
    purge: bool,
) -> String {
    let mut lines = vec![match (was_installed, agent) {
        (true, _) => {
            "The agent is no longer started at login, and the service’s agent has ended.".to_owned()
        }
        (false, _) => {
            "No file of `backupwatch install` was there; nothing starts the agent at login."
                .to_owned()
        }
    }];
    if let Some(agent) = agent {
        lines.push(format!(
            "An agent that was started by hand still runs (process {}).",
            agent.pid
        ));
    }
    lines.extend(
        removed
            .iter()
            .map(|path| format!("Removed {}", path.display())),
    );
    if left.is_empty() {
        lines.push("Nothing of backupwatch is left but the program itself.".to_owned());
        return lines.join("\n");
    }
    lines.push("Left as it is:".to_owned());
    for Left {
        what,
        path,
        bytes,
        counted,
    } in left
    {
        let more = if *counted { "" } else { "more than " };
        lines.push(format!(
            "  {what:<13}  {}  ({more}{})",
            path.display(),
            words::bytes(*bytes)
        ));
    }
    if left.iter().any(|left| left.what == "backups") {
        lines.push(
            "Backups are never removed; if you no longer want them, delete their folder yourself."
                .to_owned(),
        );
    }
    if !purge && left.iter().any(|left| left.what != "backups") {
        lines.push(
            "`backupwatch uninstall --purge` removes the rest, and keeps the backups.".to_owned(),
        );
    }
    lines.join("\n")
}
