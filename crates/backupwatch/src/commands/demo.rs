//! `demo`: the real agent and a simulated iPhone, in a temporary home, and what a person would see.

use super::{backup::Shown, simulate};
use crate::{
    failure::Failure,
    reach,
    setup::Setup,
    show,
    terminal::{Terminal, Tone},
};
use backupwatch_agent::{
    api::words::BackupEvent,
    client::Client,
    config::{Config, Sources},
    exit::ExitCode,
    paths::{Base, Moved, Paths},
    process, signals,
    status::{DeviceStatus, Status},
};
use backupwatch_core::notice::Notice;
use backupwatch_device::MuxAddress;
use backupwatch_notify::{Notifier, Posted};
use backupwatch_sim::{Listen, Sim, SimHandle, phone::PhoneHandle};
use backupwatch_wire::address::SocketAddress;
use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long any one step of the story may take before the demonstration says that it is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the simulated owner takes to pick up the phone and enter the passcode.
const PERSON: Duration = Duration::from_millis(2500);

pub async fn run(terminal: Terminal, once: bool) -> Result<ExitCode, Failure> {
    // Before there is anything to be left behind.
    let interrupted = CancellationToken::new();
    signals::cancel_on_signal(interrupted.clone())?;
    let home = tempfile::Builder::new()
        .prefix("backupwatch-demo.")
        .tempdir()?;
    let mux = home.path().join("usbmuxd");
    let sim = Sim::start(vec![simulate::built_in()?], Listen::Unix(mux.clone()))
        .map_err(|error| Failure::from_error(ExitCode::Internal, "simulator", &error))?;
    let phone =
        sim.phones().into_iter().next().ok_or_else(|| {
            Failure::new(ExitCode::Internal, "simulator", "no phone was simulated")
        })?;
    // The story begins before the phone is plugged in.
    phone.unplug();

    let setup = setup(home.path())?;
    let stop = CancellationToken::new();
    let (_keep, answers) = mpsc::channel(1);
    let bar = terminal.progress();
    let notifier = Arc::new(OnTerminal {
        terminal,
        bar: bar.clone(),
    });
    let agent = tokio::spawn(process::serve(
        reach::process_setup_by(
            MuxAddress::from(SocketAddress::Unix(mux)).into(),
            &setup,
            None,
            notifier,
            answers,
        ),
        stop.clone(),
    ));

    let told = tokio::select! {
        told = tell(terminal, &setup, &phone, bar, once) => told,
        () = interrupted.cancelled() => Ok(false),
    };
    if matches!(told, Ok(true)) && !once {
        stay(terminal, &sim, &setup, &interrupted).await?;
    }
    stop.cancel();
    match agent.await {
        Ok(ended) => ended.map_err(|error| reach::start(&error))?,
        Err(error) => return Err(Failure::from_error(ExitCode::Internal, "agent", &error)),
    }
    sim.stop().await;
    match told? {
        true => Ok(ExitCode::Ok),
        false => Ok(ExitCode::Interrupted),
    }
}

/// The story itself. True when it came to its end.
async fn tell(
    terminal: Terminal,
    setup: &Setup,
    phone: &PhoneHandle,
    bar: ProgressBar,
    once: bool,
) -> Result<bool, Failure> {
    let zone = TimeZone::system();
    let client = Client::new(&setup.paths.socket);
    chapter(
        terminal,
        "This is a simulated iPhone and the real agent, in a temporary home. Nothing of yours is touched.",
    );
    wait_for(&client, "the agent answers", |_| true).await?;
    chapter(
        terminal,
        "Somebody plugs in the iPhone. Its iCloud backup stopped 58 days ago, and nobody noticed.",
    );
    phone.plug();
    let seen = wait_for(&client, "the iPhone was looked at", |status| {
        status.devices.iter().any(|device| device.seen_at.is_some())
    })
    .await?;
    terminal.data(&show::status(terminal, &seen, true, &zone))?;

    chapter(
        terminal,
        "The agent makes a local backup as the safety net. iOS wants the passcode for it, so somebody has to be there.",
    );
    let udid = crate::choice::udid(crate::choice::device(&seen.devices, None)?)?;
    let mut events = client
        .backup(
            &udid,
            &backupwatch_agent::api::words::BackupRequest::default(),
        )
        .await
        .map_err(|error| reach::refused_by_agent(&error))?;
    let person = phone.clone();
    let hand = tokio::spawn(async move {
        person.prompt_shown().await;
        tokio::time::sleep(PERSON).await;
        person.enter_passcode()
    });
    let mut shown = Shown::new(terminal, false, bar);
    let summary = loop {
        let event = tokio::time::timeout(PATIENCE, events.next())
            .await
            .map_err(|_| stuck("the backup goes on"))?
            .map_err(|error| reach::refused_by_agent(&error))?;
        match event {
            Some(BackupEvent::Progress(progress)) => shown.progress(&progress)?,
            Some(BackupEvent::Ended(summary)) => break summary,
            None => return Err(stuck("the backup tells its end")),
        }
    };
    shown.end();
    hand.abort();
    terminal.data(&show::run(terminal, &summary))?;
    if !summary.ok {
        return Err(Failure::new(
            ExitCode::BackupFailed,
            "demo_backup",
            "the backup of the demonstration did not finish",
        ));
    }

    chapter(terminal, "The same status afterwards:");
    let after = wait_for(&client, "the backup is known", |status| {
        status.devices.iter().any(has_verified)
    })
    .await?;
    terminal.data(&show::status(terminal, &after, true, &zone))?;
    let page = client
        .page(Some(&udid), None)
        .await
        .map_err(|error| reach::refused_by_agent(&error))?;
    chapter(
        terminal,
        "iCloud itself still needs repair. The steps for this iPhone, from the mildest to the harshest, are on a page for this computer's browser. The link works once, and within two minutes:",
    );
    terminal.data(&format!("  {}", page.url))?;
    if once {
        terminal.say("  (It ends now, like everything of this demonstration; `demo` without --once keeps it until ctrl-c.)");
    }
    Ok(true)
}

/// Leaves everything running so that other programs can be tried on it.
async fn stay(
    terminal: Terminal,
    sim: &SimHandle,
    setup: &Setup,
    interrupted: &CancellationToken,
) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    chapter(
        terminal,
        "The agent and the iPhone stay until ctrl-c. In another terminal:",
    );
    terminal.say(&format!(
        "  {} --state-dir {} status",
        program.display(),
        setup.paths.state.display()
    ));
    terminal.say(&format!(
        "  {} --state-dir {} open        # the page again",
        program.display(),
        setup.paths.state.display()
    ));
    if let Some(address) = sim.listen().environment() {
        terminal.say(&format!(
            "  USBMUXD_SOCKET_ADDRESS={address} ideviceinfo      # any client of usbmuxd"
        ));
    }
    interrupted.cancelled().await;
    Ok(())
}

/// Backups begin when the story says so, also at night; the page leaves its usual port to the real agent.
const CONFIG: &str =
    "[backup]\nmode = \"ask\"\nquiet = \"off\"\n[notify]\nquiet = \"off\"\n[page]\nport = 0\n";

fn setup(home: &Path) -> Result<Setup, Failure> {
    let config = Config::parse(CONFIG)
        .map_err(|mistake| Failure::new(ExitCode::Internal, "demo_config", mistake.to_string()))?;
    let base = Base::of_this_user()
        .map_err(|error| Failure::from_error(ExitCode::Usage, "no_home", &error))?;
    let moved = Moved {
        config: Some(home.join("config.toml")),
        state: Some(home.join("state")),
        ..Moved::default()
    };
    std::fs::write(home.join("config.toml"), CONFIG)?;
    let sources = Sources {
        managed: None,
        file: home.join("config.toml"),
        named: true,
        base: base.clone(),
    };
    Ok(Setup {
        config,
        sources,
        paths: Paths::resolve(&base, &moved),
        base,
    })
}

/// Asks for the status until it is as wanted.
async fn wait_for(
    client: &Client,
    what: &str,
    wanted: impl Fn(&Status) -> bool,
) -> Result<Status, Failure> {
    let asking = async {
        loop {
            if let Ok(status) = client.status().await
                && wanted(&status)
            {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| stuck(what))
}

fn stuck(what: &str) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "demo_stuck",
        format!("the demonstration waited in vain until {what}"),
    )
}

fn has_verified(device: &DeviceStatus) -> bool {
    device.local.state == "verified"
}

fn chapter(terminal: Terminal, text: &str) {
    terminal.say(&format!(
        "\n{}",
        terminal.wrapped("", &Tone::Bold.set(text), 0)
    ));
}

/// Prints notices instead of troubling the desktop with a phone that does not exist.
struct OnTerminal {
    terminal: Terminal,
    /// Steps aside while a notice is printed.
    bar: ProgressBar,
}

impl Notifier for OnTerminal {
    fn post(&self, notice: &Notice) -> Posted {
        let buttons: Vec<String> = notice
            .actions
            .iter()
            .map(|action| format!("[{}]", action.label()))
            .collect();
        let title = format!(
            "  {} {}",
            Tone::Warning.set("Notice:"),
            Tone::Bold.set(&notice.title)
        );
        let body = self.terminal.wrapped("  ", &notice.body, 2);
        let mut text = format!("\n{title}\n{body}\n");
        if !buttons.is_empty() {
            text.push_str(&format!("  {}\n", Tone::Dim.set(&buttons.join("  "))));
        }
        self.bar.suspend(|| self.terminal.say(&text));
        backupwatch_notify::posted(Ok(()))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
