//! `fix`: why iCloud Backup of a device fails and what to do, one step after the other. Shown from what the last agent knew when none
//! runs; what a person says of a step is the agent's to keep.

mod asked;
mod shown;

use crate::{
    choice,
    cli::{Fix, Said},
    failure::Failure,
    reach,
    setup::Setup,
    show, stored,
    terminal::Terminal,
};
use backupwatch_agent::{
    client::Client,
    clock::{Clock as _, SystemClock},
    exit::ExitCode,
    ladder::{self, LadderDocument},
    state,
    status::Status,
};
use backupwatch_backup::{Clock as _, Which};
use backupwatch_core::{Now, Udid, evidence::Books};
use std::sync::Arc;

/// One device as `fix` sees it.
struct Case<'a> {
    terminal: Terminal,
    setup: &'a Setup,
    /// None when no agent runs.
    client: Option<Client>,
    udid: Udid,
    /// What is known, of this device alone.
    status: Status,
    ladder: LadderDocument,
}

pub async fn run(terminal: Terminal, setup: &Setup, wanted: &Fix) -> Result<ExitCode, Failure> {
    let said = wanted.said.one();
    let client = reach::agent(setup).await?;
    if client.is_none() && said.is_some() {
        return Err(nobody_to_tell());
    }
    let mut status = super::status::known(setup).await?;
    let udid = choice::udid(choice::device(&status.devices, wanted.device.as_deref())?)?;
    status.devices.retain(|device| device.udid == udid.as_str());
    let ladder = known(setup, client.as_ref(), &udid).await?;
    let mut case = Case {
        terminal,
        setup,
        client,
        udid,
        status,
        ladder,
    };
    if let Some(said) = said {
        case.tell(said).await?;
        if wanted.json {
            super::json(terminal, &case.ladder)?;
        } else {
            terminal.data(&shown::noted(terminal, said))?;
            terminal.data(&case.whole())?;
        }
        return Ok(ExitCode::Ok);
    }
    if wanted.json {
        super::json(terminal, &case.ladder)?;
    } else if terminal.is_interactive() && shown::has_question(&case.ladder) {
        return asked::ask(&mut case).await;
    } else {
        terminal.data(&case.whole())?;
    }
    Ok(case.exit_code())
}

impl Case<'_> {
    /// Everything at once, for whoever cannot be asked.
    fn whole(&self) -> String {
        let parts = [
            self.why(),
            shown::now(self.terminal, &self.ladder),
            shown::all(self.terminal, &self.ladder),
            shown::how_to_tell(&self.ladder),
        ];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The device, where it stands, how old that is, and the causes.
    fn why(&self) -> String {
        shown::why(self.terminal, &self.ladder, &self.status)
    }

    /// As `status` would end for this device alone.
    fn exit_code(&self) -> ExitCode {
        show::exit_code(&self.status, true)
    }

    /// Tells the agent what a person says of a step.
    async fn tell(&mut self, said: Said) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(nobody_to_tell)?;
        let answer = client.mark(&self.udid, said.step, said.mark).await;
        self.ladder = answer.map_err(|error| reach::refused_by_agent(&error))?;
        Ok(())
    }

    /// Looks again, after something was done.
    async fn look_again(&mut self) -> Result<(), Failure> {
        let mut status = super::status::known(self.setup).await?;
        status
            .devices
            .retain(|device| device.udid == self.udid.as_str());
        self.status = status;
        self.ladder = known(self.setup, self.client.as_ref(), &self.udid).await?;
        Ok(())
    }
}

/// From the agent, or judged now from what the last one left behind.
async fn known(
    setup: &Setup,
    client: Option<&Client>,
    udid: &Udid,
) -> Result<LadderDocument, Failure> {
    if let Some(client) = client {
        let ladder = client.ladder(udid).await;
        return ladder.map_err(|error| reach::refused_by_agent(&error));
    }
    let clock = SystemClock;
    let now = Now {
        host: clock.now(),
        utc_offset_s: clock.utc_offset_s(),
    };
    let books = notes(setup, udid).await;
    let ladder = state::open_read_only(&setup.paths.database)
        .and_then(|state| ladder::from_state(&state, &setup.config, udid, books, &now))
        .map_err(|error| Failure::from_error(ExitCode::Internal, "state", &error))?;
    ladder.ok_or_else(choice::none_known)
}

/// The phone's notes, where they can be read without a password. An agent reads them after each backup; a single command does
/// not wait for that.
async fn notes(setup: &Setup, udid: &Udid) -> Option<Books> {
    let store = stored::open(setup.root_of(udid)).ok()?;
    let held = store.open_version(udid, &Which::Current).ok()?;
    let scratch = setup.paths.state.clone();
    let read = move || held.books(None, &scratch, &Arc::default()).ok();
    tokio::task::spawn_blocking(read).await.ok()?
}

fn nobody_to_tell() -> Failure {
    Failure::new(
        ExitCode::AgentDown,
        "agent_down",
        "the agent is not running, and it keeps what you say of a step",
    )
    .next("Start it with `backupwatch install`, and say it again.")
}
