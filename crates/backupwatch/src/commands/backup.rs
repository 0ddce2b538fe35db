//! `backup`: through the agent where one runs, else in this process; either way the same story on the terminal.

use crate::{
    choice, cli::Backup, failure::Failure, reach, setup::Setup, show, terminal::Terminal, words,
};
use backupwatch_agent::{
    api::words::{BackupEvent, BackupRequest, Progress, RunSummary},
    client::{BackupEvents, Client},
    exit::ExitCode,
};
use backupwatch_core::Udid;
use indicatif::ProgressBar;
use std::{path::Path, time::Instant};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

pub async fn run(terminal: Terminal, setup: &Setup, wanted: &Backup) -> Result<ExitCode, Failure> {
    match reach::agent(setup).await? {
        Some(client) => through_agent(terminal, setup, &client, wanted).await,
        None => here(terminal, setup, wanted).await,
    }
}

async fn through_agent(
    terminal: Terminal,
    setup: &Setup,
    client: &Client,
    wanted: &Backup,
) -> Result<ExitCode, Failure> {
    // Before the phones are troubled, where it is plain already.
    if let Some(root) = &wanted.root
        && !setup.roots().contains(root)
    {
        return Err(another_root(&setup.paths.backups));
    }
    let status = client
        .check()
        .await
        .map_err(|error| reach::refused_by_agent(&error))?;
    choice::sighted(&status)?;
    let udid = choice::udid(choice::device(&status.devices, wanted.device.as_deref())?)?;
    let its = setup.root_of(&udid);
    if wanted.root.as_deref().is_some_and(|root| root != its) {
        return Err(another_root(its));
    }
    let request = BackupRequest { full: wanted.full };
    let events = client
        .backup(&udid, &request)
        .await
        .map_err(|error| reach::refused_by_agent(&error))?;
    let ended = follow(terminal, wanted.json, Source::Agent(events), || async {
        // A backup that has just ended needs no stopping.
        let _ = client.cancel_backup(&udid).await;
    })
    .await?;
    finish(terminal, wanted.json, ended)
}

fn another_root(its: &Path) -> Failure {
    let its = its.display();
    let message = format!("the agent is running and keeps its backups in {its}");
    Failure::new(ExitCode::Usage, "root_with_agent", message)
        .next("Leave --root out, or set backup.root in the configuration and restart the agent.")
}

async fn here(terminal: Terminal, setup: &Setup, wanted: &Backup) -> Result<ExitCode, Failure> {
    let process = reach::in_process(setup, wanted.root.as_deref())?;
    let ended = async {
        let status = process
            .check()
            .await
            .map_err(|refusal| reach::refused(&refusal))?;
        choice::sighted(&status)?;
        let udid: Udid = choice::udid(choice::device(&status.devices, wanted.device.as_deref())?)?;
        let following = process
            .backup(udid.clone(), wanted.full)
            .await
            .map_err(|refusal| reach::refused(&refusal))?;
        let events = process.events(following);
        follow(terminal, wanted.json, Source::Here(events), || async {
            let _ = process.desk().cancel(udid.clone()).await;
        })
        .await
    }
    .await;
    process
        .finish()
        .await
        .map_err(|error| reach::start(&error))?;
    finish(terminal, wanted.json, ended?)
}

/// Where the events come from.
enum Source {
    Agent(BackupEvents),
    Here(mpsc::Receiver<BackupEvent>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<BackupEvent>, Failure> {
        match self {
            Self::Agent(events) => events
                .next()
                .await
                .map_err(|error| reach::refused_by_agent(&error)),
            Self::Here(events) => Ok(events.recv().await),
        }
    }
}

/// How the story ended.
struct Ended {
    /// None when the agent ended first.
    summary: Option<RunSummary>,
    /// By a signal to this command.
    stopped: bool,
}

/// Shows the story until its end. Ctrl-c, a shutdown and a terminal that is closed stop the backup, which ends the story by
/// itself.
async fn follow<F: Future<Output = ()>>(
    terminal: Terminal,
    json: bool,
    mut source: Source,
    stop: impl Fn() -> F,
) -> Result<Ended, Failure> {
    let mut shown = Shown::new(terminal, json, terminal.progress());
    let mut stopped = false;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        let event = tokio::select! {
            event = source.next() => Some(event?),
            _ = tokio::signal::ctrl_c() => None,
            _ = terminate.recv() => None,
            _ = hangup.recv() => None,
        };
        let Some(event) = event else {
            shown.line("Stopping; the last backup stays as it is…");
            stopped = true;
            stop().await;
            continue;
        };
        match event {
            Some(BackupEvent::Progress(progress)) => shown.progress(&progress)?,
            Some(BackupEvent::Ended(summary)) => {
                shown.end();
                return Ok(Ended {
                    summary: Some(summary),
                    stopped,
                });
            }
            None => {
                shown.end();
                return Ok(Ended {
                    summary: None,
                    stopped,
                });
            }
        }
    }
}

fn finish(terminal: Terminal, json: bool, ended: Ended) -> Result<ExitCode, Failure> {
    let Some(summary) = ended.summary else {
        return Err(Failure::new(
            ExitCode::AgentDown,
            "agent_ended",
            "the agent ended before the backup did",
        )
        .next("The last backup is as it was. Start the agent again; the phone goes on where it stopped."));
    };
    if json {
        line(terminal, &BackupEvent::Ended(summary.clone()))?;
    } else {
        terminal.data(&show::run(terminal, &summary))?;
    }
    Ok(match summary.outcome.as_str() {
        "verified" => ExitCode::Ok,
        "cancelled" if ended.stopped => ExitCode::Interrupted,
        "verification" => ExitCode::VerificationFailed,
        "internal" => ExitCode::Internal,
        _ => ExitCode::BackupFailed,
    })
}

fn line(terminal: Terminal, event: &BackupEvent) -> Result<(), Failure> {
    let text = serde_json::to_string(event)
        .map_err(|error| Failure::from_error(ExitCode::Internal, "json", &error))?;
    Ok(terminal.data(&text)?)
}

/// Progress as this terminal wants it: a bar, plain lines, or JSON.
pub struct Shown {
    terminal: Terminal,
    json: bool,
    bar: ProgressBar,
    phase: String,
    rate: Rate,
    last_line: Option<Instant>,
}

/// Off a terminal a line comes at each change of phase, and this often between.
const PLAIN_LINE_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

impl Shown {
    pub fn new(terminal: Terminal, json: bool, bar: ProgressBar) -> Self {
        if !json {
            bar.set_draw_target(terminal.draw_target());
        }
        Self {
            terminal,
            json,
            bar,
            phase: String::new(),
            rate: Rate::default(),
            last_line: None,
        }
    }

    pub fn progress(&mut self, progress: &Progress) -> Result<(), Failure> {
        if self.json {
            return line(self.terminal, &BackupEvent::Progress(progress.clone()));
        }
        let new_phase = self.phase != progress.phase;
        self.phase.clone_from(&progress.phase);
        let mut text = show::phase(progress);
        if let Some(rate) = self.rate.of(progress) {
            text.push_str(&rate);
        }
        if self.terminal.is_live() {
            if let Some(percent) = progress.percent {
                self.bar.set_position(permille(percent));
            }
            self.bar.set_message(text);
            self.bar.tick();
        } else if new_phase
            || self
                .last_line
                .is_none_or(|last| last.elapsed() >= PLAIN_LINE_EVERY)
        {
            self.last_line = Some(Instant::now());
            let percent = progress
                .percent
                .map_or_else(String::new, |percent| format!("{percent:.0}% "));
            self.terminal.say(&format!("{percent}{text}"));
        }
        Ok(())
    }

    pub fn line(&self, text: &str) {
        if self.terminal.is_live() && !self.json {
            self.bar.println(text);
        } else {
            self.terminal.say(text);
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to 0..=1000 before"
)]
fn permille(percent: f32) -> u64 {
    (percent.clamp(0.0, 100.0) * 10.0) as u64
}

/// How fast bytes arrive and, from the phone's own percentage, how long it may take.
#[derive(Debug, Default)]
struct Rate {
    first: Option<(Instant, u64, f32)>,
}

impl Rate {
    fn of(&mut self, progress: &Progress) -> Option<String> {
        if progress.phase != "transferring" {
            return None;
        }
        let percent = progress.percent.unwrap_or(0.0);
        let (begin, bytes, at) =
            *self
                .first
                .get_or_insert((Instant::now(), progress.bytes, percent));
        let seconds = begin.elapsed().as_secs();
        if seconds < 2 {
            return None;
        }
        let rate = progress.bytes.saturating_sub(bytes) / seconds;
        let mut out = format!(", {}/s", words::bytes(rate));
        let moved = percent - at;
        if moved > 1.0 {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "an estimate in whole seconds"
            )]
            let left = ((100.0 - percent) / moved * seconds as f32) as i64;
            out.push_str(&format!(", {} left", words::span(left)));
        }
        Some(out)
    }
}
