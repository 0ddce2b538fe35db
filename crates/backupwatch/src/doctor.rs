//! What is wrong with this set-up? Every check is made, each within its time, whatever the others find; what only the agent can
//! know is asked of it where one runs. Not here: what the checks of the agent's own examination are (`backupwatch_agent::doctor`),
//! and how the report is shown (`commands::doctor`).

mod agent;
mod backend;
mod bus;
mod clock;
mod instances;
#[cfg(any(target_os = "macos", test))]
mod mac;
mod phones;
mod state;
mod usbmuxd;

use crate::{failure::Failure, reach, setup, setup::Setup};
use agent::Agent;
use backupwatch_agent::{
    clock::SystemClock,
    doctor::{self, Check, Place, Report, SCHEMA, limited_blocking},
};
use backupwatch_backup::Clock as _;
use backupwatch_core::words::capital;
use backupwatch_device::Transport;

/// Everything that can be looked at, in the order in which a person should read it: what a later check needs comes first.
pub async fn examine(global: &crate::cli::Global, notify: bool) -> Result<Report, Failure> {
    let (setup, wrong) = setup::load_anyway(global)?;
    let now = SystemClock.now();
    let mut checks = vec![config(&setup, wrong.as_ref())];
    let (agent, service) = tokio::join!(Agent::ask(&setup), agent::service(&setup));
    let disk = format!("The disk of {}", setup.paths.state.display());
    let state = limited_blocking(state::ID, &disk, "Restart the computer.", {
        let (setup, runs) = (setup.clone(), agent.answers());
        move || state::look(&setup, runs)
    });
    let transport = reach::transport(&setup);
    let (state, usb, phones, own, others, library) = tokio::join!(
        state,
        bus::look(transport.as_ref().ok().map(Transport::address)),
        phones::look(transport.as_ref().ok()),
        examination(&setup, &agent),
        instances::look(&setup, &agent),
        backend::look(transport.as_ref().ok()),
    );
    let written = match state {
        Ok((found, written)) => {
            checks.push(found);
            written
        }
        Err(silent) => {
            checks.push(silent);
            None
        }
    };
    checks.push(clock::judge(now, written));
    checks.extend(agent.checks(&setup, service, now));
    checks.extend(others);
    checks.push(usbmuxd::judge(&setup, transport.as_ref(), &phones));
    checks.extend(
        library
            .zip(transport.ok())
            .map(|(library, transport)| backend::judge(library, &transport)),
    );
    checks.extend(usb.map(|usb| bus::judge(usb, &phones)));
    checks.extend(phones.checks());
    checks.extend(own);
    #[cfg(target_os = "macos")]
    checks.extend(mac::look(&setup).await);
    if notify {
        checks.push(agent.test_notice(&setup).await);
    }
    Ok(Report {
        schema: SCHEMA,
        checks,
    })
}

/// Whether the configuration file is right.
fn config(setup: &Setup, wrong: Option<&Failure>) -> Check {
    const ID: &str = "config";
    let file = setup.paths.config.display();
    let managed = setup.config.managed.as_ref();
    let managed = managed.map_or_else(String::new, |managed| format!(" {}", managed.words()));
    match wrong {
        Some(failure) => Check::fail(
            ID,
            format!(
                "{}. Everything below was looked at with the defaults.",
                capital(&failure.message)
            ),
            format!("Correct that line; then run: backupwatch config check --config '{file}'"),
        ),
        None if setup.paths.config.exists() => {
            Check::pass(ID, format!("The configuration {file} is right.{managed}"))
        }
        None => Check::pass(
            ID,
            format!("There is no configuration at {file}: the defaults hold.{managed}"),
        ),
    }
}

/// The agent's own examination, or the same in this process.
async fn examination(setup: &Setup, agent: &Agent) -> Vec<Check> {
    if let Some(client) = agent.client()
        && let Ok(report) = client.doctor().await
    {
        return report.checks;
    }
    let place = Place {
        root: setup.paths.backups.clone(),
        origin: setup.origin(),
        own: setup.config.roots.clone(),
        database: setup.paths.database.clone(),
        desktop: setup.config.own.notify.desktop,
    };
    doctor::examine(place).await.checks
}
