//! Started by macOS and not by a person at a terminal: by a double click on the app in Finder, or by a click on a notice while no
//! agent runs. There are no arguments then, and nobody reads what is written.
//!
//! Not here: the same clicks while the agent runs. macOS tells those to the agent itself.

use crate::{
    browser,
    cli::Global,
    commands,
    failure::Failure,
    reach, service,
    setup::{self, Setup},
    terminal::Terminal,
};
use backupwatch_agent::{
    api::words::BackupRequest,
    client::{Client, ClientError},
    exit::ExitCode,
};
use backupwatch_core::notice::Action;
use backupwatch_notify::{Answer, FromDesktop, app, menu::Choice};
use jiff::{SignedDuration, Timestamp};
use std::{
    ffi::OsString, io::IsTerminal as _, os::unix::process::CommandExt as _, path::Path,
    process::Command, time::Duration,
};
use tokio::{runtime::Handle, sync::mpsc, time};

/// How long macOS may take to say on what was clicked. A double click in Finder says nothing, and waits this long.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long *Snooze* lasts, as everywhere.
const SNOOZE: SignedDuration = SignedDuration::from_hours(24);

/// How this process was started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Without the program's own name.
    arguments: Vec<OsString>,
    /// As what launchd started it, or what is inherited of that.
    service: Option<OsString>,
    bundled: bool,
    terminal: bool,
    /// Whether launchd itself is the parent: it starts agents, and whatever LaunchServices starts.
    by_launchd: bool,
}

impl Start {
    pub fn of_this_process() -> Self {
        Self {
            arguments: std::env::args_os().skip(1).collect(),
            service: std::env::var_os("XPC_SERVICE_NAME"),
            bundled: app::is_bundled(),
            terminal: std::io::stdin().is_terminal()
                || std::io::stdout().is_terminal()
                || std::io::stderr().is_terminal(),
            by_launchd: rustix::process::getppid().is_some_and(rustix::process::Pid::is_init),
        }
    }

    /// Whether it was started by a click on something.
    pub fn is_click(&self) -> bool {
        // Older releases of macOS number the processes that they start.
        let no_wish = self
            .arguments
            .iter()
            .all(|argument| argument.to_string_lossy().starts_with("-psn_"));
        let agent = self.service.as_deref() == Some(service::LABEL.as_ref());
        self.bundled && no_wish && !self.terminal && self.by_launchd && !agent
    }
}

/// Started by a link from elsewhere, macOS does not see the app around a program. Then the program in the app takes over; where that
/// fails this one goes on, without notices.
pub fn enter_the_app() {
    if !cfg!(target_os = "macos") || app::is_bundled() {
        return;
    }
    let Ok(named) = std::env::current_exe() else {
        return;
    };
    if let Ok(real) = named.canonicalize()
        && is_in_an_app(&named, &real)
    {
        let _failed = Command::new(real).args(std::env::args_os().skip(1)).exec();
    }
}

/// Whether the program, which was started under another name, lies in an app.
fn is_in_an_app(named: &Path, real: &Path) -> bool {
    let app = real.ancestors().nth(3).and_then(Path::extension);
    let folders = real
        .parent()
        .is_some_and(|it| it.ends_with("Contents/MacOS"));
    named != real && folders && app.is_some_and(|extension| extension == "app")
}

/// What was clicked on, and what is wanted then.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Errand {
    /// The page.
    Open,
    /// Something on a notice.
    Answer(Answer),
}

impl Errand {
    fn of(said: FromDesktop) -> Option<Self> {
        match said {
            FromDesktop::Answer(answer) => Some(Self::Answer(answer)),
            FromDesktop::Menu(Choice::Open) => Some(Self::Open),
            FromDesktop::Menu(Choice::Device(..) | Choice::Quit) | FromDesktop::Woke => None,
        }
    }
}

/// Does what was clicked, by the agent, which is started or installed for it. What went wrong is said in a window.
pub fn run() -> std::process::ExitCode {
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| broken(format!("it failed to start ({error})")))
        .and_then(|runtime| runtime.block_on(answer()));
    match result {
        Ok(()) => ExitCode::Ok.into(),
        Err(failure) => {
            let title = format!("backupwatch: {}.", failure.message);
            app::alert(&title, failure.next.as_deref().unwrap_or_default());
            failure.code.into()
        }
    }
}

async fn answer() -> Result<(), Failure> {
    let (desk, mut told) = mpsc::channel(4);
    app::listen(&Handle::current(), desk);
    let errand = async {
        loop {
            match told.recv().await.map(Errand::of) {
                Some(Some(errand)) => return errand,
                Some(None) => {}
                None => return Errand::Open,
            }
        }
    };
    let errand = time::timeout(PATIENCE, errand)
        .await
        .unwrap_or(Errand::Open);
    let global = Global {
        config: None,
        state_dir: None,
        verbose: 0,
    };
    let setup = setup::load(&global)?;
    let client = agent(&setup, &global).await?;
    let link = carry_out(&client, errand)
        .await
        .map_err(|error| reach::refused_by_agent(&error))?;
    if let Some(link) = link {
        let open = move || {
            browser::open(&link)
                .map_err(|error| broken(format!("no browser could be opened ({error})")))
        };
        commands::off_the_loop(open).await?;
    }
    Ok(())
}

/// The agent, if need be started, if need be installed first.
async fn agent(setup: &Setup, global: &Global) -> Result<Client, Failure> {
    if let Some(client) = reach::agent(setup).await? {
        return Ok(client);
    }
    let state = commands::off_the_loop({
        let setup = setup.clone();
        move || Ok(service::look(&setup))
    })
    .await?;
    if state.unit.is_some() {
        commands::restart::again(setup).await?;
    } else {
        commands::install::run(Terminal::new(), setup, global, false).await?;
    }
    reach::agent(setup).await?.ok_or_else(|| {
        let message = "the agent does not answer";
        Failure::new(ExitCode::AgentDown, "agent_down", message)
            .next("Log out and in again, or look at `backupwatch doctor` in Terminal.")
    })
}

fn broken(message: String) -> Failure {
    Failure::new(ExitCode::Internal, "launch", message)
        .next("In Terminal, `backupwatch doctor` says what is wrong.")
}

/// Tells the agent, and gives the link that is to be opened.
async fn carry_out(client: &Client, errand: Errand) -> Result<Option<String>, ClientError> {
    let answer = match errand {
        Errand::Open => None,
        Errand::Answer(answer) => answer.udid.map(|udid| (udid, answer.action)),
    };
    let Some((udid, action)) = answer else {
        return Ok(Some(client.page(None, None).await?.url));
    };
    match action {
        Action::ShowSteps => return Ok(Some(client.page(Some(&udid), None).await?.url)),
        Action::BackUpNow => {
            // An agent that has just begun has not seen the phone yet.
            client.check().await?;
            let _goes_on = client.backup(&udid, &BackupRequest::default()).await?;
        }
        Action::Snooze => drop(client.snooze(&udid, Timestamp::now() + SNOOZE).await?),
        Action::LocalOnly => drop(client.local_only(&udid, true).await?),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// As LaunchServices starts the app.
    fn click() -> Start {
        Start {
            arguments: Vec::new(),
            service: Some("application.dev.backupwatch.12345.67890".into()),
            bundled: true,
            terminal: false,
            by_launchd: true,
        }
    }

    #[test]
    fn only_a_click_is_a_click() {
        type Change = fn(&mut Start);
        let cases: [(&str, bool, Change); 9] = [
            ("a double click in Finder", true, |_| {}),
            ("with a number of its process", true, |start| {
                start.arguments = vec!["-psn_0_989382".into()];
            }),
            ("where macOS names no service", true, |start| {
                start.service = None;
            }),
            (
                "the agent itself, started without its argument",
                false,
                |start| {
                    start.service = Some("dev.backupwatch.agent".into());
                },
            ),
            ("the agent", false, |start| {
                start.arguments = vec!["agent".into()];
                start.service = Some("dev.backupwatch.agent".into());
            }),
            ("a command in Terminal", false, |start| {
                start.service = Some("0".into());
                start.terminal = true;
                start.by_launchd = false;
            }),
            ("a script without a terminal", false, |start| {
                start.service = None;
                start.by_launchd = false;
            }),
            (
                "a task of an editor, which inherits the editor's name",
                false,
                |start| {
                    start.service = Some("application.com.example.Editor.1.2".into());
                    start.by_launchd = false;
                },
            ),
            ("the bare program", false, |start| start.bundled = false),
        ];
        for (what, is_click, change) in cases {
            let mut start = click();
            change(&mut start);
            assert_eq!(start.is_click(), is_click, "{what}");
        }
    }

    #[test]
    fn nothing_is_a_click_on_linux() {
        assert!(cfg!(target_os = "macos") || !Start::of_this_process().is_click());
    }

    #[test]
    fn a_link_leads_into_the_app() {
        let inside = "/Applications/Backupwatch.app/Contents/MacOS/backupwatch";
        let cases = [
            ("/usr/local/bin/backupwatch", inside, true),
            // Itself: there is nothing to be done, and it would be done for ever.
            (inside, inside, false),
            (
                "/usr/local/bin/backupwatch",
                "/opt/bw/bin/backupwatch",
                false,
            ),
            ("/b", "/x/Contents/MacOS/backupwatch", false),
            ("/b", "/Contents/MacOS/backupwatch", false),
            ("/b", "/x.app/MacOS/backupwatch", false),
        ];
        for (named, real, takes_over) in cases {
            let (named, real) = (PathBuf::from(named), PathBuf::from(real));
            assert_eq!(
                is_in_an_app(&named, &real),
                takes_over,
                "{}",
                real.display()
            );
        }
    }

    #[test]
    fn what_macos_says_is_an_errand_or_nothing() {
        let answer = Answer {
            notice: "n1".to_owned(),
            udid: None,
            action: Action::ShowSteps,
        };
        let cases = [
            (
                FromDesktop::Answer(answer.clone()),
                Some(Errand::Answer(answer)),
            ),
            (FromDesktop::Menu(Choice::Open), Some(Errand::Open)),
            // macOS wants the process gone; it ends by itself soon.
            (FromDesktop::Menu(Choice::Quit), None),
            (FromDesktop::Woke, None),
        ];
        for (said, errand) in cases {
            assert_eq!(Errand::of(said), errand);
        }
    }
}
