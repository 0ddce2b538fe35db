//! `history`: from the agent, or from what the last one left behind.

use crate::{choice, failure::Failure, reach, setup::Setup, show, terminal::Terminal};
use backupwatch_agent::{
    api::words::{History, SCHEMA},
    clock::SystemClock,
    exit::ExitCode,
    history,
    state::{self, StateError},
};
use backupwatch_backup::Clock as _;
use jiff::tz::TimeZone;

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    device: Option<&str>,
    limit: u32,
    json: bool,
) -> Result<ExitCode, Failure> {
    let status = super::status::known(setup).await?;
    let udid = match device {
        Some(asked) => Some(choice::udid(choice::device(&status.devices, Some(asked))?)?),
        None => None,
    };
    let history = match reach::agent(setup).await? {
        Some(client) => client
            .history(udid.as_ref(), limit)
            .await
            .map_err(|error| reach::refused_by_agent(&error))?,
        None => {
            let now = SystemClock.now();
            let read = state::open_read_only(&setup.paths.database)
                .and_then(|state| history::history(&state, udid.as_ref(), limit, now));
            match read {
                Ok(history) => history,
                Err(StateError::Missing { .. }) => History {
                    schema: SCHEMA,
                    as_of: now.0,
                    entries: Vec::new(),
                },
                Err(error) => return Err(Failure::from_error(ExitCode::Internal, "state", &error)),
            }
        }
    };
    if json {
        super::json(terminal, &history)?;
    } else {
        terminal.data(&show::history(
            terminal,
            &history,
            &status,
            &TimeZone::system(),
        ))?;
    }
    Ok(ExitCode::Ok)
}
