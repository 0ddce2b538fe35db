//! `restart`: ends the service's agent and starts it again, as after an update or a new permission.

use crate::{
    failure::Failure,
    reach,
    service::{self, Started},
    setup::Setup,
    terminal::Terminal,
};
use backupwatch_agent::{
    api::words::{SCHEMA, Version},
    exit::ExitCode,
};
use serde::Serialize;
use std::time::Duration;

/// How long an agent may take until it answers. It opens its state and a socket.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one may take that the manager of services ends first, and that ends a backup politely.
const AFTER_ANOTHER: Duration = Duration::from_secs(45);
/// Between two questions.
const LOOK: Duration = Duration::from_millis(100);

/// As JSON, schema 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    schema: u32,
    /// `now` or `at_login`.
    started: &'static str,
    /// Why not now.
    why: Option<String>,
    agent: Option<Version>,
}

pub async fn run(terminal: Terminal, setup: &Setup, json: bool) -> Result<ExitCode, Failure> {
    let (started, agent) = again(setup).await?;
    if json {
        let (started, why) = codes(started);
        let document = Document {
            schema: SCHEMA,
            started,
            why,
            agent,
        };
        super::json(terminal, &document)?;
    } else {
        terminal.data(&match (agent, started) {
            (Some(agent), _) => format!(
                "The agent runs again (process {}, version {}).",
                agent.pid, agent.version
            ),
            (None, Started::AtLogin(why)) => {
                format!("The agent does not run, but starts at your next login: {why}")
            }
            (None, Started::Now | Started::Before) => "The agent was started again.".to_owned(),
        })?;
    }
    Ok(ExitCode::Ok)
}

/// Starts it again, and waits until the new one answers.
pub async fn again(setup: &Setup) -> Result<(Started, Option<Version>), Failure> {
    let before = reach::version(setup).await.ok().flatten();
    let started = super::off_the_loop({
        let setup = setup.clone();
        move || service::restart(&setup)
    })
    .await?;
    let agent = match started {
        Started::Now | Started::Before => Some(answer(setup, before.as_ref()).await?),
        Started::AtLogin(_) => None,
    };
    Ok((started, agent))
}

/// Waits until an agent answers, and another one than `before`.
pub async fn answer(setup: &Setup, before: Option<&Version>) -> Result<Version, Failure> {
    let patience = if before.is_some() {
        AFTER_ANOTHER
    } else {
        PATIENCE
    };
    let asking = async {
        loop {
            // One that is about to end says so, or nothing: it is asked again.
            if let Ok(Some(version)) = reach::version(setup).await
                && before.is_none_or(|before| before.started != version.started)
            {
                return version;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(patience, asking).await.map_err(|_| {
        let message = format!(
            "the service is installed, but its agent does not answer within {} s",
            patience.as_secs()
        );
        let log = match &setup.paths.logs {
            Some(folder) => format!("the files in {}", folder.display()),
            None => format!("`journalctl --user -u {}`", service::UNIT),
        };
        Failure::new(ExitCode::AgentDown, "agent_down", message).next(format!(
            "Why is in {log}; `backupwatch agent status` says whether it runs."
        ))
    })
}

/// How it was started, for programs, and why not now.
pub fn codes(started: Started) -> (&'static str, Option<String>) {
    match started {
        Started::Now => ("now", None),
        Started::Before => ("before", None),
        Started::AtLogin(why) => ("at_login", Some(why)),
    }
}
