//! What keeps an open page fresh: server-sent events of one device. `progress` while a backup runs, `changed` when there is something
//! else to be seen, upon which the script fetches the page again. Nothing runs while no page is open.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use backupwatch_core::Udid;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::hearing::Hearing;
use super::routes::{App, Named, No, device_of};
use super::words;
use crate::api::story;
use crate::api::words::{BackupEvent, Progress};
use crate::ladder::LadderDocument;
use crate::serving::Story;
use crate::status::DeviceStatus;

/// Pages that are kept fresh at once; further ones have their reload button.
const WATCHERS: usize = 24;
/// Between two looks at a device.
const EVERY: Duration = Duration::from_secs(2);
/// Looks after which the browser has to ask anew, so that a page that nobody reads gives its place back.
const LOOKS: usize = 1800;

/// What a page is told.
#[derive(Debug)]
enum News {
    /// Where the backup is that runs now.
    Progress(Progress),
    /// There is something else to be seen.
    Changed,
}

/// The places of those who watch.
#[derive(Clone)]
pub(super) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WATCHERS)))
    }
}

pub(super) async fn events(State(app): State<App>, udid: Named) -> Result<Response, No> {
    let udid = device_of(udid)?;
    let Ok(place) = Arc::clone(&app.watchers.0).try_acquire_owned() else {
        // Tells the browser not to ask again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let (news, receiver) = mpsc::channel(4);
    // Ends with the agent, or when nobody reads any more.
    tokio::spawn(tell(app, udid, news, place));
    let sort = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((sort, Body::new(Story::new(receiver, line))).into_response())
}

async fn tell(app: App, udid: Udid, news: mpsc::Sender<News>, _place: OwnedSemaphorePermit) {
    let desk = &app.context.desk;
    let mut last = look(&app, &udid).await;
    for _ in 0..LOOKS {
        if let Ok(following) = desk.follow(udid.clone()).await {
            let mut story = story::events(following, app.shutdown.clone());
            while let Some(event) = story.recv().await {
                let event = match event {
                    BackupEvent::Progress(now) => News::Progress(now),
                    BackupEvent::Ended(_) => News::Changed,
                };
                if news.send(event).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = news.closed() => return,
            () = app.shutdown.cancelled() => return,
        }
        let now = look(&app, &udid).await;
        if now != last {
            last = now;
            if news.send(News::Changed).await.is_err() {
                return;
            }
        }
    }
}

/// What is to be seen of a device, without what changes by itself.
async fn look(app: &App, udid: &Udid) -> Option<(DeviceStatus, LadderDocument, Option<Hearing>)> {
    let desk = &app.context.desk;
    let status = desk.status().await.ok()?;
    let mut devices = status.devices.into_iter();
    let mut device = devices.find(|device| device.udid == udid.as_str())?;
    device.icloud.age_s = None;
    device.local.age_s = None;
    device.backup = None;
    let mut ladder = desk.ladder(udid.clone()).await.ok()?;
    ladder.as_of = jiff::Timestamp::UNIX_EPOCH;
    Some((device, ladder, app.hearings.of(udid)))
}

fn line(news: &News) -> Bytes {
    match news {
        News::Progress(now) => {
            let data = json!({
                "phase": words::phase(&now.phase),
                "percent": now.percent,
                "amount": words::amount(now),
            });
            Bytes::from(format!("event: progress\ndata: {data}\n\n"))
        }
        News::Changed => Bytes::from_static(b"event: changed\ndata: {}\n\n"),
    }
}
