//! `agent status`: who starts the agent, from where, and whether it answers.

use crate::{
    commands::{json, off_the_loop},
    failure::Failure,
    reach, service,
    service::{Loaded, State},
    setup::Setup,
    terminal::Terminal,
};
use backupwatch_agent::{
    api::words::{SCHEMA, Version},
    exit::ExitCode,
};
use serde::Serialize;

/// As JSON, schema 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    schema: u32,
    /// `launchd`, `systemd`, or null.
    manager: Option<&'static str>,
    unit: Option<String>,
    program: Option<String>,
    /// `running`, `loaded`, `disabled`, `not_loaded` or `unknown`.
    service: &'static str,
    /// Why that is not known.
    why: Option<String>,
    /// The process of the service.
    service_pid: Option<u32>,
    /// The agent of this state folder, whoever started it, when it answers.
    agent: Option<Version>,
}

pub async fn run(terminal: Terminal, setup: &Setup, as_json: bool) -> Result<ExitCode, Failure> {
    let agent = reach::version(setup).await?;
    let state = {
        let setup = setup.clone();
        off_the_loop(move || Ok(service::look(&setup))).await?
    };
    let code = if agent.is_some() {
        ExitCode::Ok
    } else {
        ExitCode::AgentDown
    };
    if as_json {
        json(terminal, &document(state, agent))?;
    } else {
        terminal.data(&words(&state, agent.as_ref()))?;
    }
    Ok(code)
}

fn document(state: State, agent: Option<Version>) -> Document {
    let shown = |path: Option<std::path::PathBuf>| path.map(|path| path.display().to_string());
    let (service_pid, why) = match &state.loaded {
        Loaded::Running { pid } => (Some(*pid), None),
        Loaded::Unknown(why) => (None, Some(why.clone())),
        Loaded::Loaded | Loaded::Disabled | Loaded::NotLoaded => (None, None),
    };
    Document {
        schema: SCHEMA,
        manager: state.manager.map(service::Manager::code),
        service: state.loaded.code(),
        unit: shown(state.unit),
        program: shown(state.program),
        why,
        service_pid,
        agent,
    }
}

fn words(state: &State, agent: Option<&Version>) -> String {
    let mut lines = vec![match agent {
        Some(agent) => format!(
            "The agent runs (process {}, version {}).",
            agent.pid, agent.version
        ),
        None => "The agent does not run.".to_owned(),
    }];
    let by_hand = |pid: u32| agent.is_some_and(|agent| agent.pid != pid);
    lines.push(match &state.loaded {
        Loaded::Running { pid } if by_hand(*pid) => format!(
            "The service runs as process {pid}, on another state folder than this one."
        ),
        Loaded::Running { .. } => "It was started as a service, and is at every login.".to_owned(),
        Loaded::Loaded if agent.is_some() => {
            "The service is installed, but this agent was started by hand.".to_owned()
        }
        Loaded::Loaded => {
            "The service is installed and does not run: it was ended, or cannot start. Start it with `backupwatch restart`.".to_owned()
        }
        Loaded::Disabled => {
            "The service is switched off. Switch it on again with `backupwatch install`.".to_owned()
        }
        Loaded::NotLoaded => {
            "No service starts it at login. Have it started with `backupwatch install`.".to_owned()
        }
        Loaded::Unknown(why) => format!("Whether a service starts it is not known: {why}"),
    });
    if let Some(unit) = &state.unit {
        lines.push(format!("The service's file: {}", unit.display()));
    }
    if let Some(program) = &state.program {
        lines.push(format!("Its program: {}", program.display()));
    }
    lines.join("\n")
}
