//! `status` and `check`.

pub mod watch;

use crate::{cli, failure::Failure, reach, setup::Setup, show, terminal::Terminal};
use backupwatch_agent::{
    clock::{Clock as _, SystemClock},
    exit::ExitCode,
    medium::{self, Known, Medium, Origin},
    state::{self, StateError},
    status::{AgentStatus, SCHEMA, Status, StoreStatus, own_stores, status_from_state},
};
use backupwatch_backup::Clock as _;
use backupwatch_core::{Now, Protection};
use jiff::tz::TimeZone;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

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
    let known: Vec<Known> = match &state {
        Ok(state) => {
            let own = medium::known_own(state).unwrap_or_default();
            let shared = medium::known(state).ok().flatten();
            own.into_iter().chain(shared).collect()
        }
        Err(_) => Vec::new(),
    };
    let (medium, others) = look(setup, &known).await;
    let mut own = setup.config.roots.clone();
    own.retain(|_, root| *root != setup.paths.backups);
    let own = own_stores(&own, &others);
    let from_state =
        state.and_then(|state| status_from_state(&state, &setup.config, Some(&medium), &own, &now));
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
                managed: setup.config.managed.clone(),
            },
            store: Some(StoreStatus::from(&medium)),
            stores: others.values().map(StoreStatus::from).collect(),
            devices: Vec::new(),
        }),
        Err(error) => Err(Failure::from_error(ExitCode::Internal, "state", &error)),
    }
}

/// How the place for backups is now, and those of single devices, by their roots.
async fn look(setup: &Setup, known: &[Known]) -> (Medium, BTreeMap<PathBuf, Medium>) {
    let looks = setup.roots().into_iter().map(|root| {
        let origin = match root == setup.paths.backups {
            true => setup.origin(),
            false => Origin::Configured,
        };
        let known = known.iter().find(|known| known.root == root).cloned();
        tokio::spawn(look_at(root, origin, known))
    });
    // All at the same time, so that several disks that hang take no longer than one.
    let looks: Vec<_> = looks.collect();
    let mut others = BTreeMap::new();
    for look in looks {
        if let Ok(medium) = look.await {
            others.insert(medium.root.clone(), medium);
        }
    }
    let shared = &setup.paths.backups;
    let medium = others.remove(shared);
    (
        medium.unwrap_or_else(|| Medium::silent(shared.clone())),
        others,
    )
}

/// If its disk says so in time: one that hangs keeps no answer from a person.
async fn look_at(root: PathBuf, origin: Origin, known: Option<Known>) -> Medium {
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
