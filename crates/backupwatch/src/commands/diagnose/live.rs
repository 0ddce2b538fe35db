//! `diagnose --live`: listens to the phone while the person lets it back up to iCloud, through the agent where one runs, else in
//! this process.

use super::shown;
use crate::{
    choice, cli::Diagnose, failure::Failure, reach, setup::Setup, terminal::Terminal, words,
};
use backupwatch_agent::{
    client::{Client, Events},
    diagnosis::{ListenEnd, ListenEvent, SignEntry},
    exit::ExitCode,
    listening::LONGEST,
    status::Status,
};
use backupwatch_core::Udid;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// How often the time that is left is looked at, and whether the phone is there.
const TICK: Duration = Duration::from_millis(250);
/// How long the phone may take to be there.
const FIRST_LOOK: Duration = Duration::from_secs(3);

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    wanted: &Diagnose,
) -> Result<ExitCode, Failure> {
    match reach::agent(setup).await? {
        Some(client) => through_agent(terminal, &client, wanted).await,
        None => here(terminal, setup, wanted).await,
    }
}

async fn through_agent(
    terminal: Terminal,
    client: &Client,
    wanted: &Diagnose,
) -> Result<ExitCode, Failure> {
    let refused = |error| reach::refused_by_agent(&error);
    let status = first_look(client, wanted).await?;
    choice::sighted(&status)?;
    let udid = choice::udid(choice::device(&status.devices, wanted.device.as_deref())?)?;
    let events = client.listen(&udid).await.map_err(refused)?;
    let ended = follow(terminal, wanted.json, Source::Agent(events), || async {
        // What has just ended needs no stopping.
        let _ = client.stop_listening(&udid).await;
    });
    let ended = ended.await?;
    let status = client.status().await.map_err(refused)?;
    finish(terminal, wanted.json, ended, || {
        super::exit_code(status, &udid, true)
    })
}

/// What is attached. An agent that has only just started may not have heard of it yet.
async fn first_look(client: &Client, wanted: &Diagnose) -> Result<Status, Failure> {
    let begun = Instant::now();
    loop {
        let status = client.check().await;
        let status = status.map_err(|error| reach::refused_by_agent(&error))?;
        let device = choice::device(&status.devices, wanted.device.as_deref());
        if device.is_ok_and(|device| !device.links.is_empty()) || begun.elapsed() >= FIRST_LOOK {
            return Ok(status);
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn here(terminal: Terminal, setup: &Setup, wanted: &Diagnose) -> Result<ExitCode, Failure> {
    let process = reach::in_process(setup, None)?;
    let listened = async {
        let refused = |refusal| reach::refused(&refusal);
        let status = process.check().await.map_err(refused)?;
        choice::sighted(&status)?;
        let udid: Udid = choice::udid(choice::device(&status.devices, wanted.device.as_deref())?)?;
        let events = process.desk().listen(udid.clone()).await.map_err(refused)?;
        let ended = follow(terminal, wanted.json, Source::Here(events), || async {
            let _ = process.desk().stop_listening(udid.clone()).await;
        });
        let ended = ended.await?;
        let status = process.desk().status().await.map_err(refused)?;
        Ok::<_, Failure>((ended, udid, status))
    }
    .await;
    let finished = process.finish().await;
    let (ended, udid, status) = listened?;
    finished.map_err(|error| reach::start(&error))?;
    finish(terminal, wanted.json, ended, || {
        super::exit_code(status, &udid, false)
    })
}

/// Where the events come from.
enum Source {
    Agent(Events<ListenEvent>),
    Here(mpsc::Receiver<ListenEvent>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<ListenEvent>, Failure> {
        match self {
            Self::Agent(events) => {
                (events.next().await).map_err(|error| reach::refused_by_agent(&error))
            }
            Self::Here(events) => Ok(events.recv().await),
        }
    }
}

/// Shows what is heard until the end; Ctrl-c and its like bring the end about. None when the agent ended first.
async fn follow<F: Future<Output = ()>>(
    terminal: Terminal,
    json: bool,
    mut source: Source,
    stop: impl Fn() -> F,
) -> Result<Option<ListenEnd>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut shown = Shown::new(terminal, json);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            event = source.next() => Some(event?),
            _ = ticks.tick() => { shown.tick(); continue; }
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            _ = hangup.recv() => None,
        };
        match event {
            None => stop().await,
            Some(Some(ListenEvent::Listening)) => shown.listening()?,
            Some(Some(ListenEvent::Sign(sign))) => shown.sign(sign)?,
            Some(Some(ListenEvent::Ended(end))) => {
                shown.bar.finish_and_clear();
                return Ok(Some(end));
            }
            Some(None) => {
                shown.bar.finish_and_clear();
                return Ok(None);
            }
        }
    }
}

fn finish(
    terminal: Terminal,
    json: bool,
    ended: Option<ListenEnd>,
    exit_code: impl FnOnce() -> ExitCode,
) -> Result<ExitCode, Failure> {
    let Some(end) = ended else {
        return Err(Failure::new(
            ExitCode::AgentDown,
            "agent_ended",
            "the agent ended before anything was heard",
        )
        .next("Start the agent again, and then this command."));
    };
    let why = end.why.clone();
    if json {
        line(terminal, &ListenEvent::Ended(end))?;
    } else {
        terminal.data(&shown::heard(terminal, &end))?;
    }
    Ok(match why.as_str() {
        "stopped" => ExitCode::Interrupted,
        "refused" | "link_lost" => ExitCode::Internal,
        _ => exit_code(),
    })
}

fn line(terminal: Terminal, event: &ListenEvent) -> Result<(), Failure> {
    let text = serde_json::to_string(event)
        .map_err(|error| Failure::from_error(ExitCode::Internal, "json", &error))?;
    Ok(terminal.data(&text)?)
}

/// What is heard, as this terminal wants it: above a line that says how long it will go on, as plain lines, or as JSON.
struct Shown {
    terminal: Terminal,
    json: bool,
    bar: ProgressBar,
    begun: Instant,
}

impl Shown {
    fn new(terminal: Terminal, json: bool) -> Self {
        let bar = terminal.progress();
        if !json {
            bar.set_draw_target(terminal.draw_target());
        }
        Self {
            terminal,
            json,
            bar,
            begun: Instant::now(),
        }
    }

    fn tick(&self) {
        let lasted = self.begun.elapsed();
        let left = LONGEST.saturating_sub(lasted).as_secs();
        let permille = lasted.as_millis().saturating_mul(1000) / LONGEST.as_millis().max(1);
        self.bar
            .set_position(u64::try_from(permille).unwrap_or(1000));
        let left = words::span(i64::try_from(left).unwrap_or_default());
        self.bar.set_message(format!("listening, {left} left"));
    }

    fn listening(&mut self) -> Result<(), Failure> {
        self.begun = Instant::now();
        self.put(
            "Listening. On the phone, open Settings, tap your name, then iCloud, then iCloud Backup, and tap Back Up Now.",
            ListenEvent::Listening,
        )
    }

    fn sign(&mut self, sign: SignEntry) -> Result<(), Failure> {
        let words = sign.words.clone();
        self.put(&words, ListenEvent::Sign(sign))
    }

    fn put(&self, words: &str, event: ListenEvent) -> Result<(), Failure> {
        if self.json {
            return line(self.terminal, &event);
        }
        self.bar.suspend(|| self.terminal.say(words));
        Ok(())
    }
}
