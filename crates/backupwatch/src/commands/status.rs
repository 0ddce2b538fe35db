//! `status` and `check`.

pub mod watch;

use crate::{cli, failure::Failure, reach, setup::Setup, show, terminal::Terminal};
use backupwatch_agent::{
    clock::{Clock as _, SystemClock},
    exit::ExitCode,
    medium::{self, Known, Medium},
    state::{self, StateError},
    status::{AgentStatus, SCHEMA, Status, StoreStatus, status_from_state},
};
use backupwatch_backup::Clock as _;
use backupwatch_core::{Now, Protection};
use jiff::tz::TimeZone;
use std::time::Duration;

/// How long a disk may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known, without looking.
pub async fn status(
    terminal: Terminal,
    setup: &Setup,
    wanted: &cli::Status,
) -> Result<ExitCode, Failure> {
    if wanted.watch {
        return watch::run(terminal, setup).await;
    }
    let mut status = known(setup).await?;
    // Of all of them: who asks for the good ones only is not told that all are.
    let code = show::exit_code(&status, true);
    if !wanted.only.is_empty() {
        let only: Vec<Protection> = wanted.only.iter().map(|one| (*one).into()).collect();
        let known = status.devices.len();
        status
            .devices
            .retain(|device| only.contains(&device.protection()));
        if !wanted.json && known > 0 && status.devices.is_empty() {
            let none = format!("None of the {} known is so.", show::devices(known));
            terminal.data(&none)?;
            return Ok(code);
        }
    }
    print(terminal, &status, true, wanted.json)?;
    Ok(code)
}

/// Look, and say what is known then.
pub async fn check(terminal: Terminal, setup: &Setup, json: bool) -> Result<ExitCode, Failure> {
    let (status, agent_counts) = match reach::agent(setup).await? {
        Some(client) => {
            let status = client.check().await;
            (
                status.map_err(|error| reach::refused_by_agent(&error))?,
                true,
            )
        }
        None => {
            let process = reach::in_process(setup, None)?;
            let status = process.check().await;
            process
                .finish()
                .await
                .map_err(|error| reach::start(&error))?;
            // A check without an agent is an answer of its own: nobody claimed that one runs.
            (status.map_err(|refusal| reach::refused(&refusal))?, false)
        }
    };
    print(terminal, &status, agent_counts, json)?;
    Ok(show::exit_code(&status, agent_counts))
}

/// From the agent, or from what the last one left behind.
pub async fn known(setup: &Setup) -> Result<Status, Failure> {
    if let Some(client) = reach::agent(setup).await? {
        return client
            .status()
            .await
            .map_err(|error| reach::refused_by_agent(&error));
    }
    let clock = SystemClock;
    let now = Now {
        host: clock.now(),
        utc_offset_s: clock.utc_offset_s(),
    };
    let state = state::open_read_only(&setup.paths.database);
    let known = match &state {
        Ok(state) => medium::known(state).ok().flatten(),
        Err(_) => None,
    };
    let medium = look(setup, known).await;
    let from_state =
        state.and_then(|state| status_from_state(&state, &setup.config, Some(&medium), &now));
    match from_state {
        Ok(status) => Ok(status),
        Err(StateError::Missing { .. }) => Ok(Status {
            schema: SCHEMA,
            as_of: now.host.0,
            agent: AgentStatus {
                running: false,
                last_poll: None,
                usbmuxd: None,
                remarks: medium.remark().into_iter().collect(),
            },
            store: Some(StoreStatus::from(&medium)),
            devices: Vec::new(),
        }),
        Err(error) => Err(Failure::from_error(ExitCode::Internal, "state", &error)),
    }
}

/// How the place for backups is now, if its disk says so in time: one that hangs keeps no answer from a person.
async fn look(setup: &Setup, known: Option<Known>) -> Medium {
    let (root, origin) = (setup.paths.backups.clone(), setup.origin());
    let looking = tokio::task::spawn_blocking({
        let root = root.clone();
        move || medium::look(&root, origin, known.as_ref())
    });
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(medium)) => medium,
        Ok(Err(_)) | Err(_) => Medium::silent(root),
    }
}

fn print(
    terminal: Terminal,
    status: &Status,
    agent_counts: bool,
    json: bool,
) -> Result<(), Failure> {
    if json {
        super::json(terminal, status)
    } else {
        Ok(terminal.data(&show::status(
            terminal,
            status,
            agent_counts,
            &TimeZone::system(),
        ))?)
    }
}
