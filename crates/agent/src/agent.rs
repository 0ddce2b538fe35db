//! The loop. A turn has three parts: `select!` only names what happened; [`mind`] decides, without waiting; what it decided
//! is started as jobs. Everything is bounded and everything is joined, a panic of a job is an event like any other.

mod ask;
mod mind;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_core::run::{CancelledBy, RunFailure};
use backupwatch_core::watcher::{Event, Job, Remembered};
use backupwatch_core::{HostTime, Now, Udid};
use backupwatch_notify::menu::MenuBar;
use backupwatch_notify::{FromDesktop, Notifier};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use ask::{Ask, Desk, Following, Refusal};
use mind::{Act, Mind};

use crate::alias::Aliases;
use crate::clock::{Clock, Drift};
use crate::config::Config;
use crate::errand::Run;
use crate::jobs::{self, Done, Jobs, Reins, What};
use crate::keeper::{Keeper, Write};
use crate::menu::Face;
use crate::metrics::Pulse;
use crate::outside::{Internet, Outside, Tiding};
use crate::page::Door;
use crate::phones::Phones;
use crate::places::Places;
use crate::power::Power;

/// News that may wait.
const NEWS: usize = 256;
/// How long a backup may take to end politely. launchd and systemd kill after 30 s.
const POLITE: Duration = Duration::from_secs(20);
/// How long aborted jobs may take.
const ABORTED: Duration = Duration::from_secs(2);
/// Pause before a broken listener is tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// Opens a link for the person at this computer.
pub type OpenPage = Arc<dyn Fn(&str) -> std::io::Result<()> + Send + Sync>;

/// What the loop is made of.
pub struct Parts<P> {
    /// What is configured.
    pub config: Config,
    /// Where backups go.
    pub places: Places,
    /// In which own roots the backups are that are remembered.
    pub lay: BTreeMap<Udid, PathBuf>,
    /// Gives links to the page; none where there is no page.
    pub door: Option<Door>,
    /// The phones.
    pub phones: Arc<P>,
    /// Whether this is the agent, which listens to usbmuxd. A single command lists the phones instead.
    pub resident: bool,
    /// Shows notices.
    pub notifier: Arc<dyn Notifier>,
    /// What people choose on them and in the menu, and what else the desktop tells.
    pub answers: mpsc::Receiver<FromDesktop>,
    /// The item in the menu bar, where there is one.
    pub menu: Option<Arc<dyn MenuBar>>,
    /// Opens links.
    pub open_page: OpenPage,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Keeps the computer awake.
    pub power: Power,
    /// Writes the state.
    pub keeper: Keeper,
    /// What was remembered.
    pub remembered: Vec<Remembered>,
    /// Gives devices their aliases.
    pub aliases: Aliases,
    /// Tells what monitors the loop how it does.
    pub pulse: Arc<Pulse>,
    /// Those outside, and what is heard of them; none in a single command.
    pub(crate) outside: Option<(Outside, mpsc::Receiver<Tiding>)>,
    /// Devices whose newest backup the program after a backup has not seen.
    pub owed: Vec<Udid>,
    /// The last runs of that program, the newest first.
    pub ran: Vec<Run>,
    /// The last poll before this start.
    pub last_poll: Option<HostTime>,
    /// What a person should know about this start, in sentences.
    pub remarks: Vec<String>,
}

impl<P> fmt::Debug for Parts<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("config", &self.config)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// What happened.
enum Turn {
    News(Event),
    Done(Done),
    Desktop(FromDesktop),
    Ask(Ask),
    /// Somebody plugs or unplugs.
    Plugged,
    /// The item in the menu bar is to be looked at.
    Face,
    /// Those outside are to be told.
    Outside,
    /// Somebody outside has taken something, or not.
    Heard(Tiding),
    Time,
}

/// Runs until `shutdown`, then ends what is under way politely and writes what is left to write.
pub async fn run<P: Phones>(
    parts: Parts<P>,
    mut asks: mpsc::Receiver<Ask>,
    shutdown: CancellationToken,
) {
    let Parts {
        clock,
        mut answers,
        keeper,
        notifier,
        door,
        open_page,
        menu,
        ..
    } = parts;
    let (news_in, mut news) = mpsc::channel(NEWS);
    let listening = CancellationToken::new();
    let (outside, mut heard) = parts.outside.unzip();
    let mut hands = Hands {
        outside,
        jobs: Jobs::new(
            parts.phones,
            Arc::clone(&clock),
            parts.power,
            news_in,
            listening.clone(),
        ),
        reins: HashMap::new(),
        rereading: None,
        keeper,
        notifier,
        face: menu.map(|bar| Face::new(bar, Instant::now())),
        door,
        open_page,
        pulse: parts.pulse,
        shutdown: shutdown.clone(),
    };
    let now = look(&*clock);
    let mut mind = Mind::new(
        parts.config,
        parts.resident,
        parts.places,
        parts.remembered,
        parts.last_poll,
        parts.remarks,
        &now,
    )
    .with(parts.aliases)
    .with_copies_in(parts.lay)
    .with_errands(parts.owed, parts.ran);
    let mut drift = Drift::new(now.host);
    let plugged = Arc::new(Notify::new());
    if parts.resident {
        hands.act(Act::Listen { again: false }, &mind, now).await;
        hands.jobs.plugged(Arc::clone(&plugged));
        mind.cables_changed(&now);
    }
    let mut has_answers = true;
    let mut has_asks = true;
    let mut turn = Some(Turn::Time);
    while !shutdown.is_cancelled() {
        let now = look(&*clock);
        let mut acts = Vec::new();
        let happened = !matches!(turn, Some(Turn::Face | Turn::Outside | Turn::Heard(_)));
        let asked = matches!(&turn, Some(Turn::Ask(ask)) if ask.is_mere_question());
        hands.pulse.turn(happened && !asked);
        let told = matches!(turn, Some(Turn::Desktop(FromDesktop::Woke)));
        if drift.jumped(now.host) || told {
            mind.woke(&now, &mut acts);
            if let Some(outside) = &mut hands.outside {
                outside.woke(Instant::now());
            }
        }
        mind.on_time(&now, &mut acts);
        let troubles = hands.troubles(&now);
        match turn.take() {
            Some(Turn::News(event)) => mind.on_event(event, &now, &mut acts),
            Some(Turn::Done(done)) => {
                hands.done(&done, &now);
                mind.on_done(done, &now, &mut acts);
            }
            Some(Turn::Desktop(FromDesktop::Answer(answer))) => {
                mind.on_answer(&answer, &now, &mut acts)
            }
            Some(Turn::Desktop(FromDesktop::Menu(choice))) => {
                mind.on_choice(choice, &now, &mut acts)
            }
            Some(Turn::Ask(ask)) => mind.on_ask(ask, &now, &troubles, &mut acts),
            Some(Turn::Plugged) => mind.cables_changed(&now),
            Some(Turn::Heard(tiding)) => hands.heard(tiding, &now).await,
            Some(Turn::Desktop(FromDesktop::Woke) | Turn::Face | Turn::Outside | Turn::Time)
            | None => {}
        }
        mind.settle(&now, &troubles);
        for act in acts {
            hands.act(act, &mind, now).await;
        }
        let tell = hands
            .tell_outside(happened && !asked, &mind, &now, &troubles)
            .await;
        let mut redraw = None;
        if let Some(face) = &mut hands.face {
            if happened {
                face.touch();
            }
            face.look(Instant::now(), mind.is_backing_up(), || {
                mind.status(&now, &troubles)
            });
            redraw = face.due();
        }

        let wait = until(mind.wake_at(), look(&*clock).host);
        // Fair, not biased: a usbmuxd that never stops talking must not keep the faces waiting. What is due by the clock is
        // looked at in every turn anyway.
        turn = Some(tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(wait) => Turn::Time,
            Some(()) = at(redraw) => Turn::Face,
            Some(()) = at(tell) => Turn::Outside,
            Some(tiding) = hear(&mut heard) => Turn::Heard(tiding),
            () = plugged.notified() => Turn::Plugged,
            done = hands.jobs.next() => Turn::Done(done),
            Some(event) = news.recv() => Turn::News(event),
            answer = answers.recv(), if has_answers => match answer {
                Some(said) => Turn::Desktop(said),
                None => { has_answers = false; Turn::Time }
            },
            ask = asks.recv(), if has_asks => match ask {
                Some(ask) => Turn::Ask(ask),
                None => { has_asks = false; Turn::Time }
            },
        });
    }

    tracing::debug!("the loop ends");
    // Questions that are still queued are answered by the end of their way back.
    drop(asks);
    listening.cancel();
    for reins in hands.reins.values() {
        reins.cancel(CancelledBy::Shutdown);
    }
    let deadline = Instant::now() + POLITE;
    while mind.is_backing_up() {
        let done = tokio::select! {
            done = hands.jobs.next() => done,
            // Taken so that no job waits for room; nothing is begun any more.
            Some(_) = news.recv() => continue,
            () = tokio::time::sleep_until(deadline) => {
                tracing::warn!("a backup does not end; the phone may show an error");
                break;
            }
        };
        let now = look(&*clock);
        let mut acts = Vec::new();
        mind.on_done(done, &now, &mut acts);
        for act in acts {
            if let Act::Write(write) = act {
                hands.keeper.write(write).await;
            }
        }
    }
    drop(news);
    hands.jobs.abort_all();
    let joined = async {
        while !hands.jobs.is_empty() {
            let _ended = hands.jobs.next().await;
        }
    };
    if tokio::time::timeout(ABORTED, joined).await.is_err() {
        tracing::warn!("a job does not end");
    }
    hands.keeper.finish().await;
}

fn look(clock: &dyn Clock) -> Now {
    Now {
        host: clock.now(),
        utc_offset_s: clock.utc_offset_s(),
    }
}

/// At this moment; never, where there is none.
async fn at(then: Option<Instant>) -> Option<()> {
    tokio::time::sleep_until(then?).await;
    Some(())
}

/// What is heard of those outside; never anything, where there is nobody.
async fn hear(heard: &mut Option<mpsc::Receiver<Tiding>>) -> Option<Tiding> {
    match heard {
        Some(heard) => heard.recv().await,
        None => None,
    }
}

fn until(then: HostTime, now: HostTime) -> Duration {
    Duration::try_from(then.0.duration_since(now.0)).unwrap_or(Duration::ZERO)
}

/// The part that does things.
struct Hands<P> {
    jobs: Jobs<P>,
    reins: HashMap<Udid, Reins>,
    /// Stops the backup that is being read again.
    rereading: Option<CancellationToken>,
    keeper: Keeper,
    notifier: Arc<dyn Notifier>,
    face: Option<Face>,
    outside: Option<Outside>,
    door: Option<Door>,
    open_page: OpenPage,
    pulse: Arc<Pulse>,
    shutdown: CancellationToken,
}

impl<P: Phones> Hands<P> {
    async fn act(&mut self, act: Act, mind: &Mind, now: Now) {
        match act {
            Act::Listen { again } => {
                self.jobs
                    .listen(if again { LISTEN_AGAIN } else { Duration::ZERO })
            }
            Act::Probe(attached) => self.jobs.probe(attached),
            Act::Pair(attached) => self.jobs.pair(attached),
            Act::Observe(attached) => self.jobs.observe(attached),
            Act::Detached(attachment) => self.jobs.detached(attachment),
            Act::BackUp {
                udid,
                full,
                retention,
                progress,
            } => {
                let reins = self.jobs.back_up(
                    udid.clone(),
                    mind.places.of(&udid).clone(),
                    full,
                    retention,
                    progress,
                    now.host,
                );
                if let Some(outside) = &mut self.outside {
                    outside.run_begins(&udid);
                }
                self.reins.insert(udid, reins);
            }
            Act::Cancel(udid) => {
                if let Some(reins) = self.reins.get(&udid) {
                    reins.cancel(CancelledBy::Person);
                }
            }
            Act::Reread { udid, slice } => {
                let place = mind.places.of(&udid).clone();
                self.rereading = Some(self.jobs.reread(udid, place, slice));
            }
            Act::StopReread => {
                if let Some(reading) = self.rereading.take() {
                    reading.cancel();
                }
            }
            Act::ReadNotes(udid) => {
                let place = mind.places.of(&udid).clone();
                self.jobs.read_notes(udid, place);
            }
            Act::LookAtCables => self.jobs.look_at_cables(),
            Act::ListenTo {
                attached,
                follower,
                cancel,
            } => self.jobs.listen_to(attached, follower, cancel),
            Act::RunProgram(errand) => {
                let place = mind.places.of(&errand.udid).clone();
                self.jobs.run_program(*errand, place);
            }
            Act::Notify(notice) => drop(self.notifier.post(&notice)),
            Act::Try(notice, reply) => drop(reply.send(self.notifier.post(&notice))),
            Act::Scan { place, udids, heal } => self.jobs.scan(*place, udids, heal),
            Act::Open(place) => match self.door.as_ref().map(|door| door.link(place)) {
                Some(Ok(link)) => {
                    let open = Arc::clone(&self.open_page);
                    self.jobs.open_page(link, move |link| open(link));
                }
                Some(Err(error)) => tracing::warn!(%error, "no link to the page can be made"),
                None => tracing::warn!("there is no page to be opened"),
            },
            Act::Configured => {
                if let Some(outside) = &mut self.outside {
                    outside.configure(&mind.config, Internet);
                }
            }
            Act::Quit => self.shutdown.cancel(),
            Act::Write(write) => self.keeper.write(write).await,
        }
    }

    fn done(&mut self, done: &Done, now: &Now) {
        match done {
            Done::BackedUp(report) => {
                if let Some(outside) = &mut self.outside {
                    outside.run_ended(report);
                }
                drop(self.reins.remove(&report.udid))
            }
            Done::Panicked(What::Asked(Job::Backup, Some(udid)), words) => {
                if let Some(outside) = &mut self.outside {
                    let failure = RunFailure::Internal(words.clone());
                    outside.run_ended(&jobs::failed(udid.clone(), now.host, now.host, failure));
                }
                drop(self.reins.remove(udid))
            }
            Done::Ran(run) => {
                if let Some(outside) = &mut self.outside {
                    outside.program_ended(run);
                }
            }
            Done::Probed(..)
            | Done::Paired(..)
            | Done::ObserveEnded(_)
            | Done::Scanned(..)
            | Done::Reread(..)
            | Done::NotesRead(..)
            | Done::Listened(..)
            | Done::ListenEnded
            | Done::CablesSeen(_)
            | Done::PluggedEnded
            | Done::PageOpened(_)
            | Done::Panicked(..) => {}
        }
    }

    /// Takes in what became of something that was sent outside.
    async fn heard(&mut self, tiding: Tiding, now: &Now) {
        let Some(outside) = &mut self.outside else {
            return;
        };
        for record in outside.heard(tiding, now.host) {
            self.keeper.write(Write::Outside(record)).await;
        }
    }

    /// Tells those outside what has changed, if it is time; when it is the next time.
    async fn tell_outside(
        &mut self,
        happened: bool,
        mind: &Mind,
        now: &Now,
        troubles: &[String],
    ) -> Option<Instant> {
        let outside = self.outside.as_mut()?;
        if happened {
            outside.touch();
        }
        let writes = self.keeper.trouble().is_none();
        let status = || mind.status(now, troubles);
        for record in outside.look(Instant::now(), now.host, writes, status) {
            self.keeper.write(Write::Outside(record)).await;
        }
        outside.due()
    }

    fn troubles(&self, now: &Now) -> Vec<String> {
        let state = self
            .keeper
            .trouble()
            .map(|why| format!("What happens cannot be recorded: failed to {why}."));
        let screen = self
            .notifier
            .trouble()
            .map(|why| format!("Notices cannot be shown: {why}."));
        let menu = self.face.as_ref().and_then(Face::trouble);
        let menu = menu.map(|why| format!("There is no item in the menu bar: {why}."));
        let told = state.into_iter().chain(screen).chain(menu);
        let outside = self.outside.iter();
        let outside = outside.flat_map(|outside| outside.remarks(now.host));
        told.chain(self.pulse.troubles()).chain(outside).collect()
    }
}

#[cfg(test)]
mod tests;
