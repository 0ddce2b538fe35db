//! `install`: has the agent started now and at every login, and says what will happen.

use crate::{
    cli::Global,
    failure::Failure,
    reach,
    service::{self, Installed, Loaded, Manager, Started, Wrote},
    setup::Setup,
    terminal::Terminal,
};
use backupwatch_agent::{
    api::words::{SCHEMA, TestNotice, Version},
    client::Client,
    exit::ExitCode,
    instance::Instance,
};
use backupwatch_core::policy::Mode;
use serde::Serialize;

/// As JSON, schema 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    schema: u32,
    /// `launchd` or `systemd`.
    manager: &'static str,
    unit: String,
    program: String,
    /// `new`, `changed`, `unchanged` or `packaged`.
    wrote: &'static str,
    /// `now`, `before` or `at_login`.
    started: &'static str,
    /// Why not now.
    why: Option<String>,
    /// The agent, once it answers.
    agent: Option<Version>,
    /// The test notice of the first run.
    notice: Option<TestNotice>,
    remarks: Vec<String>,
}

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    global: &Global,
    json: bool,
) -> Result<ExitCode, Failure> {
    let before = super::off_the_loop({
        let setup = setup.clone();
        move || Ok(service::look(&setup))
    })
    .await?;
    let agent = reach::version(setup).await?;
    refuse_if_busy(setup, &before.loaded, agent.as_ref())?;

    let installed = super::off_the_loop({
        let (setup, global) = (setup.clone(), global.clone());
        move || service::install(&setup, &global)
    })
    .await?;
    let agent = match (&installed.started, agent) {
        (Started::AtLogin(_), _) => None,
        // After an update the file is the same, and the program behind it another one.
        (Started::Before, Some(agent)) if agent.version != env!("CARGO_PKG_VERSION") => {
            super::restart::again(setup).await?.1
        }
        (Started::Before, Some(agent)) => Some(agent),
        (Started::Before | Started::Now, _) => Some(super::restart::answer(setup, None).await?),
    };
    let is_first = match installed.wrote {
        Wrote::New => true,
        Wrote::Packaged => installed.started != Started::Before,
        Wrote::Changed | Wrote::Same => false,
    };
    let notice = match &agent {
        Some(_) if is_first => Some(test_notice(setup).await),
        Some(_) | None => None,
    };
    if json {
        super::json(terminal, &document(installed, agent, notice))?;
    } else {
        let lines = words(setup, &installed, agent.as_ref(), notice.as_ref(), is_first);
        for line in lines {
            terminal.data(&terminal.wrapped("", &line, 0))?;
        }
        if let Some(remark) = &installed.program.remark {
            terminal.say(remark);
        }
    }
    Ok(ExitCode::Ok)
}

/// An agent that a person started, or a command that is at work, keeps the service's agent from starting.
fn refuse_if_busy(setup: &Setup, loaded: &Loaded, agent: Option<&Version>) -> Result<(), Failure> {
    if let Loaded::Unknown(_) = loaded {
        // Nobody is there to start a second one now.
        return Ok(());
    }
    let by_service = matches!(loaded, Loaded::Running { .. });
    let message = match agent {
        Some(agent) if *loaded != (Loaded::Running { pid: agent.pid }) => {
            format!(
                "an agent that was started by hand is at work (process {})",
                agent.pid
            )
        }
        None if !by_service && Instance::is_claimed(&setup.paths.lock) => {
            "another backupwatch command is at work".to_owned()
        }
        Some(_) | None => return Ok(()),
    };
    Err(Failure::new(ExitCode::Usage, "busy", message)
        .next("Let it end, or end it with Ctrl-C, and run `backupwatch install` again."))
}

async fn test_notice(setup: &Setup) -> TestNotice {
    let sent = Client::new(&setup.paths.socket).test_notice().await;
    sent.unwrap_or_else(|error| TestNotice {
        schema: SCHEMA,
        shown: false,
        why: Some(reach::refused_by_agent(&error).message),
    })
}

fn document(installed: Installed, agent: Option<Version>, notice: Option<TestNotice>) -> Document {
    let (started, why) = super::restart::codes(installed.started);
    Document {
        schema: SCHEMA,
        manager: installed.manager.code(),
        unit: installed.unit.display().to_string(),
        program: installed.program.path.display().to_string(),
        wrote: installed.wrote.code(),
        started,
        why,
        agent,
        notice,
        remarks: installed.program.remark.into_iter().collect(),
    }
}

/// What was done, a line each; on the first run also what will happen.
fn words(
    setup: &Setup,
    installed: &Installed,
    agent: Option<&Version>,
    notice: Option<&TestNotice>,
    is_first: bool,
) -> Vec<String> {
    let (unit, program) = (installed.unit.display(), installed.program.path.display());
    let mut lines = vec![match installed.wrote {
        Wrote::New => format!("Wrote {unit}, which starts {program}."),
        Wrote::Changed => format!("Changed {unit}: it starts {program} now."),
        Wrote::Same => format!("{unit} is as it should be, and starts {program}."),
        Wrote::Packaged => format!("{unit} came with the package, and starts {program}."),
    }];
    let process = agent.map_or_else(String::new, |agent| format!(" (process {})", agent.pid));
    lines.push(match &installed.started {
        Started::Now => {
            format!("The agent runs now{process}, and from now on starts at every login.")
        }
        Started::Before => {
            format!("The agent was running already{process}, and starts at every login.")
        }
        Started::AtLogin(why) => {
            format!("The agent does not run yet, but starts at your next login: {why}")
        }
    });
    if is_first {
        lines.push(String::new());
        lines.extend(what_will_happen(setup));
        lines.push(String::new());
        if installed.manager == Manager::Launchd {
            lines.push("macOS now shows “Background Items Added”, and asks whether Backupwatch may send notifications: allow both. You find it again in System Settings > General > Login Items & Extensions, and under Notifications.".to_owned());
        }
    }
    match notice {
        Some(TestNotice { shown: true, .. }) => {
            lines.push("A test notice was shown: that is how you will hear of it.".to_owned());
        }
        Some(TestNotice { why, .. }) => lines.push(format!(
            "A test notice could not be shown{}. Everything else works, and `backupwatch status` and `backupwatch open` say what a notice would.",
            why.as_ref().map_or_else(String::new, |why| format!(": {why}"))
        )),
        None => {}
    }
    if installed.manager == Manager::Systemd && is_first {
        lines.push("It runs while you are logged in. On a computer where nobody logs in, `loginctl enable-linger` lets it run all the same.".to_owned());
    }
    lines
}

/// Five lines for somebody who has never heard of it.
fn what_will_happen(setup: &Setup) -> [String; 5] {
    let backups = setup.paths.backups.display();
    [
        "Whenever an iPhone or iPad is connected, backupwatch reads when its last iCloud backup ended.".to_owned(),
        "While all is well you hear nothing. When iCloud Backup stops, you get one notice; a click shows the steps that repair it, the mildest first.".to_owned(),
        match setup.config.policies.general.backup.mode {
            Mode::Auto => format!("Then it also makes a local backup in {backups}, for which the phone asks for its passcode."),
            Mode::Ask => format!("Then it also offers to make a local backup in {backups}, for which the phone asks for its passcode."),
            Mode::Off => "It makes a local backup only when you run `backupwatch backup`.".to_owned(),
        },
        "A phone that does not know this computer yet has to trust it: connect it, unlock it, and run `backupwatch pair`.".to_owned(),
        "Nothing leaves this computer. `backupwatch status` shows how things stand, and `backupwatch uninstall` ends all this and keeps your backups.".to_owned(),
    ]
}
