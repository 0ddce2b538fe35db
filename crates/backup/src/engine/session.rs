//! The conversation of one backup: the phone asks, this side does and answers, until the phone says how it ended. The order is
//! the phone's (protocol.md 9.7); nothing here relies on it.

use std::sync::Arc;

use backupwatch_core::Udid;
use backupwatch_core::run::Phase;
use backupwatch_wire::devicelink::{
    DeviceMessage, HostMessage, StatusCode, StatusResponse, message,
};
use backupwatch_wire::mobilebackup2::{self, HostCommand, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::attend::{Attendant, BETWEEN, FIRST};
use super::chores::{self, Chore};
use super::link::Link;
use super::pool::Pool;
use super::stop::Stop;
use super::tally::Tally;
use super::{Purgeable, blocking};
use super::{receive, serve};
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

/// Asks for a backup and serves the phone until it says that it is done.
pub(super) async fn back_up<S, N>(
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    hands: &Hands<'_>,
    force_full: bool,
    tally: &mut Tally,
) -> Result<(), Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let command = HostCommand::Backup {
        target: hands.udid.as_str().to_owned(),
        source: None,
        force_full,
    };
    attendant.phase(Phase::Preparing);
    attendant
        .during(BETWEEN, link.say(&command.to_message()))
        .await?;
    let mut limit = FIRST;
    loop {
        let message = next(link, attendant, limit).await?;
        let goes_on = !matches!(message, DeviceMessage::Ping { .. });
        if let Some(ended) = serve_one(message, link, attendant, hands, tally).await? {
            return match ended.error {
                None => Ok(()),
                Some(_) => Err(Stop::Refused(ended)),
            };
        }
        if goes_on {
            limit = BETWEEN;
        }
        // It goes on, so its passcode was entered: a lock from here on is not the prompt that somebody dismissed.
        attendant.prompt_seen &= !goes_on;
    }
}

/// Does what one message asks for. The result is the phone's last word, if it was that.
async fn serve_one<S, N>(
    message: DeviceMessage,
    link: &mut Link<S>,
    attendant: &mut Attendant<N>,
    hands: &Hands<'_>,
    tally: &mut Tally,
) -> Result<Option<Response>, Stop>
where
    S: AsyncRead + AsyncWrite + Unpin,
    N: AsyncRead + AsyncWrite + Unpin,
{
    let answer = match message {
        DeviceMessage::DownloadFiles {
            paths, progress, ..
        } => {
            attendant.percent(progress);
            serve::serve(link, attendant, hands.tree, hands.udid, &paths, tally).await?
        }
        DeviceMessage::UploadFiles { progress, .. } => {
            attendant.percent(progress);
            // Between its moves the phone sends its status: that is no way back.
            if attendant.progress().phase != Phase::Moving {
                attendant.phase(Phase::Transferring);
            }
            receive::receive(link, attendant, hands.pool, hands.udid, tally).await?
        }
        DeviceMessage::GetFreeDiskSpace => free_space(hands, tally).await?,
        DeviceMessage::PurgeDiskSpace { bytes, .. } => {
            let free = tally.seen.space.map_or(0, |(_, free)| free);
            let need = bytes.saturating_add(free).saturating_sub(PURGE_MARGIN);
            tally.seen.space = Some((need, free));
            StatusResponse::error(StatusCode::Generic)
        }
        DeviceMessage::ContentsOfDirectory { path } => {
            chore(hands, Chore::List(path), tally).await?
        }
        DeviceMessage::CreateDirectory { path } => chore(hands, Chore::Make(path), tally).await?,
        DeviceMessage::MoveItems { items, progress } => {
            attendant.percent(progress);
            if attendant.progress().phase != Phase::Moving {
                attendant.phase(Phase::Moving);
                // All files have arrived, and the medium has time while they are moved.
                hands.tree.ahead().begin();
            }
            let names = items.len() as u64;
            let moved = chore(hands, Chore::Move(items), tally).await?;
            hands.tree.ahead().written(0, names);
            moved
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
            StatusResponse::error(StatusCode::Unimplemented)
        }
        other @ (DeviceMessage::VersionExchange { .. } | DeviceMessage::DeviceReady) => {
            return Err(out_of_turn("a request", &other));
        }
    };
    attendant.during(BETWEEN, link.answer(&answer)).await?;
    Ok(None)
}

async fn chore(hands: &Hands<'_>, chore: Chore, tally: &mut Tally) -> Result<StatusResponse, Stop> {
    let (tree, keeper, udid) = (
        Arc::clone(hands.tree),
        hands.keeper.clone(),
        hands.udid.clone(),
    );
    let done = blocking(move || chores::run(&tree, &keeper, &udid, chore)).await?;
    for error in done.refused {
        tally.seen.trouble |= matches!(error.code, StatusCode::Io | StatusCode::NoSpace);
        if error.code == StatusCode::NoSpace {
            tally.seen.disk_full = tally.seen.disk_full.or_else(|| Some(hands.pool.free()));
        }
        tally
            .seen
            .host_error
            .get_or_insert_with(|| format!("failed to change the backup: {}", error.text));
        tally.refused(&error.path, error.code, &error.text);
    }
    Ok(done.answer)
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
    limit: std::time::Duration,
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
