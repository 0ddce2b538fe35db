//! The conversation of one backup: the phone asks, this side does and answers, until the phone says how it ended. The order is
//! the phone's (protocol.md 9.7); nothing here relies on it.

use std::sync::Arc;
use std::time::Duration;

use backupwatch_core::Udid;
use backupwatch_core::run::Phase;
use backupwatch_wire::devicelink::{
    DeviceMessage, HostMessage, StatusCode, StatusResponse, message,
};
use backupwatch_wire::mobilebackup2::{self, HostCommand, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::attend::{Attendant, BETWEEN, FIRST};
use super::chores::{self, Answer, Chore};
use super::link::Link;
use super::lister::Lister;
use super::owed::{Owed, on_disk};
use super::pool::Pool;
use super::stop::Stop;
use super::tally::Tally;
use super::{Purgeable, blocking};
use super::{receive, serve};
use crate::jail::Jail;
use crate::ledger::KeeperHandle;
use crate::store::{WorkTree, space};

/// What the phone adds to what it needs when it asks for room (9.5).
const PURGE_MARGIN: u64 = 2 << 30;

/// What a session works with.
pub(super) struct Hands<'a> {
    pub(super) udid: &'a Udid,
    pub(super) tree: &'a Arc<WorkTree>,
    pub(super) keeper: &'a KeeperHandle,
    pub(super) pool: &'a Pool,
    pub(super) purgeable: Option<&'a Purgeable>,
}

/// Greets the phone, up to the point where it takes a command.
pub(super) async fn greet<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
) -> Result<(), Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let message = next(link, attendant, BETWEEN).await?;
    let DeviceMessage::VersionExchange { .. } = message else {
        return Err(out_of_turn("its version", &message));
    };
    let version = HostMessage::VersionExchange {
        version: Some(message::VERSION),
    };
    attendant.during(BETWEEN, link.say(&version)).await?;
    let message = next(link, attendant, BETWEEN).await?;
    let DeviceMessage::DeviceReady = message else {
        return Err(out_of_turn("that it is ready", &message));
    };
    attendant
        .during(BETWEEN, link.say(&mobilebackup2::hello()))
        .await?;
    let message = next(link, attendant, BETWEEN).await?;
    let DeviceMessage::ProcessMessage(body) = &message else {
        return Err(out_of_turn("its answer to our greeting", &message));
    };
    let response = Response::from_dictionary(body).map_err(|e| Stop::Protocol(e.to_string()))?;
    if response.error.is_some() {
        return Err(Stop::Refused(response));
    }
    Ok(())
}

/// The current backup, for a phone that reads before its work tree is there.
pub(super) struct Early<'a> {
    pub(super) udid: &'a Udid,
    /// `None` when the work tree will not begin as the same.
    pub(super) tree: Option<&'a Arc<Jail>>,
    /// Cancelled when the work tree is there.
    pub(super) is_there: &'a CancellationToken,
}

/// A phone that was asked for a backup.
#[derive(Debug)]
pub(super) struct Asked {
    /// What it wants first, if it is known already.
    first: Option<DeviceMessage>,
    /// How long it may be silent.
    limit: Duration,
}

/// Asks for a backup, and answers what only reads until the work tree is there.
pub(super) async fn ask<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    early: &Early<'_>,
    force_full: bool,
    tally: &mut Tally,
) -> Result<Asked, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let command = HostCommand::Backup {
        target: early.udid.as_str().to_owned(),
        source: None,
        force_full,
    };
    attendant.phase(Phase::Preparing);
    attendant
        .during(BETWEEN, link.say(&command.to_message()))
        .await?;
    let mut asked = Asked {
        first: None,
        limit: FIRST,
    };
    let Some(tree) = early.tree else {
        return Ok(asked);
    };
    let mut lister = Lister::default();
    while asked.first.is_none() {
        let message = tokio::select! {
            biased;
            () = early.is_there.cancelled() => break,
            message = next(link, attendant, asked.limit) => message?,
        };
        let answer = match message {
            DeviceMessage::DownloadFiles {
                paths, progress, ..
            } => {
                attendant.percent(progress);
                let served = serve::serve(link, attendant, tree, early.udid, &paths, tally);
                served.await?.into()
            }
            DeviceMessage::ContentsOfDirectory { path } => {
                account(lister.list(tree, early.udid, path).await?, tree, tally)
            }
            DeviceMessage::Ping { .. } => continue,
            other @ (DeviceMessage::UploadFiles { .. }
            | DeviceMessage::GetFreeDiskSpace
            | DeviceMessage::PurgeDiskSpace { .. }
            | DeviceMessage::CreateDirectory { .. }
            | DeviceMessage::MoveItems { .. }
            | DeviceMessage::RemoveItems { .. }
            | DeviceMessage::RemoveDirectory { .. }
            | DeviceMessage::CopyItem { .. }
            | DeviceMessage::ProcessMessage(_)
            | DeviceMessage::Disconnect { .. }
            | DeviceMessage::Unknown { .. }
            | DeviceMessage::VersionExchange { .. }
            | DeviceMessage::DeviceReady) => {
                asked.first = Some(other);
                break;
            }
        };
        attendant.during(BETWEEN, link.answer(answer)).await?;
        asked.goes_on(attendant);
    }
    Ok(asked)
}

impl Asked {
    /// By a phone that has said nothing yet.
    #[cfg(test)]
    pub(super) fn nothing_yet() -> Self {
        Self {
            first: None,
            limit: BETWEEN,
        }
    }

    /// The phone asks for something, so its passcode was entered: a lock from here on is not the prompt that somebody
    /// dismissed.
    fn goes_on<N: AsyncRead + AsyncWrite + Unpin>(&mut self, attendant: &mut Attendant<N>) {
        self.limit = BETWEEN;
        attendant.prompt_seen = false;
    }
}

/// Serves a phone that was asked for a backup until it says that it is done.
pub(super) async fn back_up<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    hands: &Hands<'_>,
    mut asked: Asked,
    tally: &mut Tally,
) -> Result<(), Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let (mut lister, mut owed) = (Lister::default(), Owed::default());
    loop {
        let message = match asked.first.take() {
            Some(message) => message,
            None => next(link, attendant, asked.limit).await?,
        };
        let goes_on = !matches!(message, DeviceMessage::Ping { .. });
        let served = serve_one(
            message,
            link,
            attendant,
            hands,
            &mut lister,
            tally,
            &mut owed,
        );
        if let Some(ended) = served.await? {
            return match ended.error {
                None => Ok(()),
                Some(_) => Err(Stop::Refused(ended)),
            };
        }
        if goes_on {
            asked.goes_on(attendant);
        }
    }
}

/// Does what one message asks for. The result is the phone's last word, if it was that.
async fn serve_one<S, N>(
    message: DeviceMessage,
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    hands: &Hands<'_>,
    lister: &mut Lister,
    tally: &mut Tally,
    owed: &mut Owed,
) -> Result<Option<Response>, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let apart = if let DeviceMessage::MoveItems { items, .. } = &message {
        chores::apart(hands.udid, items)
    } else {
        None
    };
    // The phone goes on while blobs are written and put in their places. Everything else is done in turn.
    if apart.is_some() {
        owed.hear(hands.pool, tally);
    } else if !matches!(
        message,
        DeviceMessage::UploadFiles { .. } | DeviceMessage::Ping { .. }
    ) {
        owed.settle(hands.pool, attendant, tally).await?;
    }
    let answer: Answer = match message {
        DeviceMessage::DownloadFiles {
            paths, progress, ..
        } => {
            attendant.percent(progress);
            let (tree, udid) = (hands.tree.jail(), hands.udid);
            let served = serve::serve(link, attendant, tree, udid, &paths, tally);
            served.await?.into()
        }
        DeviceMessage::UploadFiles { progress, .. } => {
            attendant.percent(progress);
            // Between its moves the phone sends its status: that is no way back.
            if attendant.progress().phase != Phase::Moving {
                attendant.phase(Phase::Transferring);
            }
            let (pool, udid) = (hands.pool, hands.udid);
            let received = receive::receive(link, attendant, pool, udid, tally, owed);
            received.await?.into()
        }
        DeviceMessage::CreateDirectory { .. }
        | DeviceMessage::MoveItems { .. }
        | DeviceMessage::RemoveItems { .. }
        | DeviceMessage::RemoveDirectory { .. }
        | DeviceMessage::CopyItem { .. }
            if !owed.is_empty() =>
        {
            owed.answer().into()
        }
        DeviceMessage::GetFreeDiskSpace => free_space(hands, tally).await?.into(),
        DeviceMessage::PurgeDiskSpace { bytes, .. } => {
            let free = tally.seen.space.map_or(0, |(_, free)| free);
            let need = bytes.saturating_add(free).saturating_sub(PURGE_MARGIN);
            tally.seen.space = Some((need, free));
            StatusResponse::error(StatusCode::Generic).into()
        }
        DeviceMessage::ContentsOfDirectory { path } => {
            let tree = hands.tree.jail();
            account(lister.list(tree, hands.udid, path).await?, tree, tally)
        }
        DeviceMessage::CreateDirectory { path } => chore(hands, Chore::Make(path), tally).await?,
        DeviceMessage::MoveItems { items, progress } => {
            attendant.percent(progress);
            if attendant.progress().phase != Phase::Moving {
                attendant.phase(Phase::Moving);
                // All files have arrived, and the medium has time while they are moved.
                hands.tree.ahead().begin();
            }
            if let Some(moves) = apart {
                on_disk(attendant, hands.pool.put_in_place(moves)).await?;
                StatusResponse::ok().into()
            } else {
                chore(hands, Chore::Move(items), tally).await?
            }
        }
        DeviceMessage::RemoveItems { paths, progress } => {
            attendant.percent(progress);
            chore(hands, Chore::Remove(paths), tally).await?
        }
        DeviceMessage::RemoveDirectory { path } => {
            chore(hands, Chore::Remove(vec![path]), tally).await?
        }
        DeviceMessage::CopyItem { from, to } => {
            chore(hands, Chore::Copy { from, to }, tally).await?
        }
        DeviceMessage::ProcessMessage(body) => {
            let response =
                Response::from_dictionary(&body).map_err(|e| Stop::Protocol(e.to_string()))?;
            return Ok(Some(response));
        }
        DeviceMessage::Disconnect { .. } => return Err(Stop::Unplugged),
        DeviceMessage::Ping { .. } => return Ok(None),
        DeviceMessage::Unknown { name } => {
            if tally.logs_oddity() {
                tracing::warn!(%name, "the phone asks for something unknown");
            }
            StatusResponse::error(StatusCode::Unimplemented).into()
        }
        other @ (DeviceMessage::VersionExchange { .. } | DeviceMessage::DeviceReady) => {
            return Err(out_of_turn("a request", &other));
        }
    };
    if answer.entries().is_none() {
        lister.forget();
    }
    attendant.during(BETWEEN, link.answer(answer)).await?;
    Ok(None)
}

async fn chore(hands: &Hands<'_>, chore: Chore, tally: &mut Tally) -> Result<Answer, Stop> {
    let (tree, keeper, udid) = (
        Arc::clone(hands.tree),
        hands.keeper.clone(),
        hands.udid.clone(),
    );
    let done = blocking(move || chores::run(&tree, &keeper, &udid, chore)).await?;
    Ok(account(done, hands.tree.jail(), tally))
}

/// What was done, as the phone is told it; what was not is remembered.
fn account(done: chores::Done, tree: &Jail, tally: &mut Tally) -> Answer {
    for error in done.refused {
        tally.seen.trouble |= matches!(error.code, StatusCode::Io | StatusCode::NoSpace);
        if error.code == StatusCode::NoSpace {
            let free = || space::free(tree.as_fd()).unwrap_or(0);
            tally.seen.disk_full = tally.seen.disk_full.or_else(|| Some(free()));
        }
        tally
            .seen
            .host_error
            .get_or_insert_with(|| format!("failed to change the backup: {}", error.text));
        tally.refused(&error.path, error.code, &error.text);
    }
    done.answer
}

/// The truth, or the larger of it and what the system says it would free for us (9.5).
async fn free_space(hands: &Hands<'_>, tally: &mut Tally) -> Result<StatusResponse, Stop> {
    let (tree, purgeable) = (Arc::clone(hands.tree), hands.purgeable.cloned());
    let free = blocking(move || {
        let free = space::free(tree.as_fd())?;
        let more = purgeable.and_then(|purgeable| purgeable.ask()).unwrap_or(0);
        Ok::<_, std::io::Error>(free.max(more))
    })
    .await?;
    Ok(match free {
        Ok(free) => {
            let need = tally.seen.space.map_or(0, |(need, _)| need);
            tally.seen.space = Some((need, free));
            StatusResponse::free_space(free)
        }
        Err(e) => StatusResponse::error(StatusCode::from_io(&e)),
    })
}

async fn next<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    limit: Duration,
) -> Result<DeviceMessage, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    attendant.during(limit, link.message()).await
}

fn out_of_turn(wanted: &str, message: &DeviceMessage) -> Stop {
    if let DeviceMessage::Disconnect { .. } = message {
        return Stop::Unplugged;
    }
    // Only the kind: what a message holds may be the person's.
    let array = message.to_value().into_array().unwrap_or_default();
    let name = array
        .into_iter()
        .next()
        .and_then(plist::Value::into_string)
        .unwrap_or_default();
    Stop::Protocol(format!("the phone did not say {wanted} but {name}"))
}

#[cfg(test)]
mod tests {
    use backupwatch_core::HostTime;
    use backupwatch_core::run::Progress;
    use backupwatch_wire::devicelink::{FrameDecoder, Listing};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    const UDID: &str = "00008110-000A1B2C3D4E5F60";

    fn attendant() -> Attendant<DuplexStream> {
        let progress = Progress {
            phase: Phase::Opening,
            percent: None,
            bytes: 0,
            files: 0,
            started: HostTime(jiff::Timestamp::UNIX_EPOCH),
        };
        let (told, _) = tokio::sync::watch::channel(progress.clone());
        Attendant::new(CancellationToken::new(), progress, told)
    }

    /// The phone's end: says each of these when the one before was answered, and gives what it heard.
    async fn talk(mut stream: DuplexStream, says: &[DeviceMessage]) -> Vec<HostMessage> {
        let mut frames = FrameDecoder::default();
        let mut heard = Vec::new();
        let mut says = says.iter();
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await.unwrap() > 0 {
            loop {
                let (taken, body) = frames.next(&bytes).unwrap();
                bytes.drain(..taken);
                let Some(body) = body else { break };
                let value = plist::Value::from_reader(std::io::Cursor::new(body)).unwrap();
                heard.push(HostMessage::from_value(value).unwrap());
                match says.next() {
                    // The host may have enough.
                    Some(next) => drop(stream.write_all(&next.encode()).await),
                    None => return heard,
                }
            }
        }
        heard
    }

    /// Linking takes a while, and a phone begins by reading what it knows of its last backup.
    #[tokio::test]
    async fn what_only_reads_is_answered_before_the_work_tree_is_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Status.plist"), b"x").unwrap();
        let jail = Arc::new(Jail::open(&dir.path().canonicalize().unwrap()).unwrap());
        let udid = Udid::parse(UDID).unwrap();
        let is_there = CancellationToken::new();
        let path = UDID.to_owned();
        let says = [
            DeviceMessage::ContentsOfDirectory { path: path.clone() },
            DeviceMessage::CreateDirectory { path },
        ];
        for (tree, answered) in [(Some(&jail), true), (None, false)] {
            let (ours, phones) = tokio::io::duplex(1 << 16);
            let early = Early {
                udid: &udid,
                tree,
                is_there: &is_there,
            };
            let asking = async {
                let mut link = Link::new(ours);
                ask(
                    &mut link,
                    &mut attendant(),
                    &early,
                    false,
                    &mut Tally::default(),
                )
                .await
                .unwrap()
            };
            let (asked, heard) = tokio::join!(asking, talk(phones, &says));
            let listings: Vec<_> = heard
                .iter()
                .filter_map(|message| {
                    let HostMessage::Status(status) = message else {
                        return None;
                    };
                    Listing::from_value(&status.value)
                })
                .collect();
            assert_eq!(listings.len(), usize::from(answered));
            assert!(!answered || listings[0].0.iter().any(|(name, _)| name == "Status.plist"));
            // What changes something waits for the tree.
            let waits = matches!(asked.first, Some(DeviceMessage::CreateDirectory { .. }));
            assert_eq!(waits, answered);
            assert!(!dir.path().join("Snapshot").exists());
        }
    }
}
