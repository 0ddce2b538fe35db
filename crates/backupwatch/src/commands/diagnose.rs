//! `diagnose`: why iCloud Backup of a device fails, and how that is known: by what the phone noted, found in our newest backup of
//! it, and with `--live` by what it writes into its log meanwhile. Without an agent it is judged from the state, and nothing is
//! kept.

mod live;
mod notes;
mod shown;

use crate::{
    choice, cli::Diagnose, failure::Failure, reach, setup::Setup, show, stored, terminal::Terminal,
};
use backupwatch_agent::{
    client::{Client, ClientError},
    clock::{Clock as _, SystemClock},
    diagnosis::{self, DiagnosisDocument, Found},
    exit::ExitCode,
    state::{self, StateError},
    status::Status,
};
use backupwatch_backup::{Clock as _, Store};
use backupwatch_core::{Now, Udid};
use jiff::tz::TimeZone;

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    wanted: &Diagnose,
) -> Result<ExitCode, Failure> {
    if wanted.live {
        return live::run(terminal, setup, wanted).await;
    }
    let client = reach::agent(setup).await?;
    // Without a disk there is still what is known already.
    let (store, device) = match stored::find(setup, None, wanted.device.as_deref()).await {
        Ok((store, device)) => (Some(store), device),
        Err(failure) if failure.error == "store" => {
            let status = super::status::known(setup).await?;
            let device = choice::device(&status.devices, wanted.device.as_deref())?;
            (None, device.clone())
        }
        Err(failure) => return Err(failure),
    };
    let udid = choice::udid(&device)?;
    let case = Case {
        terminal,
        setup,
        client,
        store,
        udid,
    };
    let mut known = case.known(None).await?;
    let mut remark = None;
    if known.notes.state != "read" || wanted.password_stdin {
        match notes::read(&case, wanted).await? {
            notes::Read::Found(found) => known = case.known(Some(*found)).await?,
            notes::Read::Not(why) => remark = why,
            notes::Read::Interrupted => {
                terminal.say("Stopped. Nothing was changed.");
                return Ok(ExitCode::Interrupted);
            }
        }
    }
    if wanted.json {
        super::json(terminal, &known)?;
    } else {
        terminal.data(&shown::whole(terminal, &known, &TimeZone::system()))?;
    }
    if let Some(remark) = remark {
        terminal.say(&remark);
    }
    case.exit_code().await
}

/// One device as `diagnose` sees it.
struct Case<'a> {
    terminal: Terminal,
    setup: &'a Setup,
    /// None when no agent runs.
    client: Option<Client>,
    /// None when its disk is not there.
    store: Option<Store>,
    udid: Udid,
}

impl Case<'_> {
    /// What is known, with what was found just now. An agent keeps that, too.
    async fn known(&self, found: Option<Found>) -> Result<DiagnosisDocument, Failure> {
        let Some(client) = &self.client else {
            return self.judged(found);
        };
        let books = found.as_ref().and_then(|found| found.books.as_ref());
        let known = match books {
            Some(books) => client.books(&self.udid, books).await,
            None => client.diagnosis(&self.udid).await,
        };
        match known {
            // A device that only the store knows.
            Err(ClientError::Refused(failure)) if failure.error == "unknown_device" => {
                self.judged(found)
            }
            known => known.map_err(|error| reach::refused_by_agent(&error)),
        }
    }

    /// Judged here, from what the last agent left behind.
    fn judged(&self, found: Option<Found>) -> Result<DiagnosisDocument, Failure> {
        let remembered = state::open_read_only(&self.setup.paths.database)
            .and_then(|state| state.devices())
            .map(|devices| {
                devices
                    .into_iter()
                    .map(|device| device.remembered)
                    .collect()
            });
        let remembered = match remembered {
            Ok(remembered) => remembered,
            Err(StateError::Missing { .. }) => Vec::new(),
            Err(error) => {
                return Err(Failure::from_error(ExitCode::Internal, "state", &error));
            }
        };
        let copy = |store: &Store| store.current(&self.udid).ok();
        let found = found.or_else(|| {
            Some(Found {
                copy: copy(self.store.as_ref()?)?,
                books: None,
            })
        });
        let now = Now {
            host: SystemClock.now(),
            utc_offset_s: SystemClock.utc_offset_s(),
        };
        diagnosis::judged(&self.setup.config, remembered, &self.udid, found, &now)
            .ok_or_else(choice::none_known)
    }

    /// As `status` would end for this device alone.
    async fn exit_code(&self) -> Result<ExitCode, Failure> {
        let status = super::status::known(self.setup).await?;
        Ok(exit_code(status, &self.udid, true))
    }
}

fn exit_code(mut status: Status, udid: &Udid, agent_counts: bool) -> ExitCode {
    status.devices.retain(|device| device.udid == udid.as_str());
    show::exit_code(&status, agent_counts)
}
