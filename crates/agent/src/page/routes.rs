//! The routes: each reads what is known, or asks the loop, and has it drawn. What may reach them is `guard`'s business.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use backupwatch_core::ladder::Mark;
use backupwatch_core::steps::StepId;
use backupwatch_core::{HostTime, Period, Udid};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::entrance::Secret;
use super::guard::{self, Form, Visit};
use super::hearing::Hearings;
use super::{Context, Place, draw, live, timeline};
use crate::agent::Refusal;
use crate::api;
use crate::state::{self, StateError};
use crate::status::DeviceStatus;

/// The one route without a cookie.
pub(super) const ENTER: &str = "/enter";

#[derive(Clone)]
pub(super) struct App {
    pub(super) context: Context,
    pub(super) shutdown: CancellationToken,
    pub(super) watchers: live::Watchers,
    pub(super) hearings: Hearings,
}

pub(super) fn router(context: Context, shutdown: CancellationToken) -> Router {
    let app = App {
        context: context.clone(),
        shutdown,
        watchers: live::Watchers::default(),
        hearings: Hearings::default(),
    };
    Router::new()
        .route(ENTER, get(enter))
        .route("/", get(devices))
        .route("/check", post(check))
        .route("/devices/{udid}", get(device))
        .route("/devices/{udid}/events", get(live::events))
        .route("/devices/{udid}/backup", post(backup))
        .route("/devices/{udid}/cancel", post(cancel))
        .route("/devices/{udid}/listen", post(listen))
        .route("/devices/{udid}/stop-listening", post(stop_listening))
        .route("/devices/{udid}/snooze", post(snooze))
        .route("/devices/{udid}/local-only", post(local_only))
        .route("/devices/{udid}/steps/{step}", post(mark))
        .fallback(async || no(StatusCode::NOT_FOUND, "There is no such page."))
        .method_not_allowed_fallback(async || {
            no(
                StatusCode::METHOD_NOT_ALLOWED,
                "The page knows no such request.",
            )
        })
        .layer(middleware::from_fn_with_state(context, guard::guard))
        .with_state(app)
}

/// The device in the path. Not unwrapped by axum, whose refusals are no pages.
pub(super) type Named = Result<Path<String>, PathRejection>;
type Answer = Result<Response, No>;

/// An answer that is not the page that was asked for. Boxed, because it is larger than that.
#[derive(Debug)]
pub(super) struct No(Box<Response>);

impl IntoResponse for No {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        no(api::status_of(&refusal), &sentence(&refusal))
    }
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

/// The cookie is set on a page of its own, which leads on. On a redirect that began in another site's page, or in a mail, browsers do
/// not send a cookie of `SameSite=Strict`; a page that was answered is this site's own, and what it leads to is too.
async fn enter(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    key: Result<Query<Key>, QueryRejection>,
) -> Answer {
    // A browser that only looks ahead, or a program that only asks whether there is something, must not use up the key.
    if method != Method::GET || headers.contains_key("sec-purpose") {
        return Err(no(
            StatusCode::METHOD_NOT_ALLOWED,
            "The link is to be opened.",
        ));
    }
    let secrets = (Secret::random(), Secret::random());
    let (Ok(session), Ok(token)) = secrets else {
        return Err(no(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This computer gives no random numbers, so nobody can be let in safely.",
        ));
    };
    let door = &app.context.door;
    let now = app.context.clock.now();
    let leads = key
        .ok()
        .and_then(|Query(Key { key })| Secret::parse(&key))
        .and_then(|key| door.entrance().enter(&key, session, token, now));
    let Some(place) = leads else {
        return Ok(draw::page(StatusCode::FORBIDDEN, draw::used_up()).into_response());
    };
    let name = guard::cookie_name(door.port());
    let cookie = format!("{name}={session}; HttpOnly; SameSite=Strict; Path=/");
    let page = draw::page(StatusCode::OK, draw::entered(&place.to_string()));
    Ok(([(header::SET_COOKIE, cookie)], page).into_response())
}

async fn devices(State(app): State<App>, Extension(visit): Extension<Visit>) -> Answer {
    let status = app.context.desk.status().await?;
    let mut scene = app.scene(&visit);
    scene.said = visit.said(&app.context.door);
    Ok(draw::page(StatusCode::OK, draw::devices::page(&scene, &status)).into_response())
}

async fn device(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    RawQuery(query): RawQuery,
    udid: Named,
) -> Answer {
    let udid = device_of(udid)?;
    let context = &app.context;
    let status = context.desk.status().await?;
    let device = find(&status.devices, &udid)?;
    let ladder = context.desk.ladder(udid.clone()).await?;
    let diagnosis = context.desk.diagnosis(udid.clone()).await?;
    let hearing = app.hearings.of(&udid);
    let (database, zone) = (context.database.clone(), context.zone.clone());
    let now = context.clock.now();
    let reading = move || -> Result<_, StateError> {
        let state = state::open_read_only(&database)?;
        timeline::Rows::read(&state, &udid, now, &zone)
    };
    // What happened before is no reason to hide what is so now.
    let rows = match tokio::task::spawn_blocking(reading).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(StateError::Missing { .. })) => timeline::Rows::default(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the past of a device cannot be read");
            timeline::Rows::default()
        }
        Err(error) => {
            tracing::error!(%error, "reading the past of a device broke");
            timeline::Rows::default()
        }
    };
    let mut scene = app.scene(&visit);
    // The script only fetches what has changed; what is said once is for the page that the person sees next.
    if query.as_deref() != Some("live") {
        scene.said = visit.said(&app.context.door);
    }
    let known = draw::device::Known {
        agent: &status.agent,
        device,
        ladder: &ladder,
        diagnosis: &diagnosis,
        hearing: hearing.as_ref(),
        rows: &rows,
    };
    let page = draw::device::page(&scene, &known);
    Ok(draw::page(StatusCode::OK, page).into_response())
}

async fn check(State(app): State<App>, Extension(visit): Extension<Visit>) -> Answer {
    app.context.desk.check(None).await?;
    app.tell(
        &visit,
        Ok("Everything that is connected was looked at.".to_owned()),
    );
    Ok(to("/"))
}

async fn backup(State(app): State<App>, Extension(visit): Extension<Visit>, udid: Named) -> Answer {
    let udid = device_of(udid)?;
    let begun = app.context.desk.backup(udid.clone(), false).await;
    let said = begun.map(|_| {
        "A local backup has begun. Have the phone in your hand: it asks for its passcode."
            .to_owned()
    });
    app.tell(&visit, said);
    Ok(to(&format!("/devices/{udid}#backup")))
}

async fn cancel(State(app): State<App>, Extension(visit): Extension<Visit>, udid: Named) -> Answer {
    let udid = device_of(udid)?;
    let said = app.context.desk.cancel(udid.clone()).await;
    app.tell(
        &visit,
        said.map(|()| "The backup is being stopped. What has arrived is kept.".to_owned()),
    );
    Ok(to(&format!("/devices/{udid}#backup")))
}

/// The loop listens while somebody takes what is heard; that is not the page, which may be reloaded.
async fn listen(State(app): State<App>, Extension(visit): Extension<Visit>, udid: Named) -> Answer {
    let udid = device_of(udid)?;
    let said = app.context.desk.listen(udid.clone()).await.map(|events| {
        // Ends with the listening, and that with the loop.
        tokio::spawn(app.hearings.clone().take(udid.clone(), events));
        "Its log is listened to. Tap Back Up Now on its iCloud Backup page.".to_owned()
    });
    app.tell(&visit, said);
    Ok(to(&format!("/devices/{udid}#evidence")))
}

async fn stop_listening(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    udid: Named,
) -> Answer {
    let udid = device_of(udid)?;
    let said = app.context.desk.stop_listening(udid.clone()).await;
    app.tell(
        &visit,
        said.map(|()| "Its log is not listened to any more.".to_owned()),
    );
    Ok(to(&format!("/devices/{udid}#evidence")))
}

async fn snooze(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(form): Extension<Form>,
    udid: Named,
) -> Answer {
    let udid = device_of(udid)?;
    let days = match form.get("days") {
        Some("0") => 0,
        Some("1") => 1,
        Some("3") => 3,
        Some("7") => 7,
        Some(_) | None => return Err(misunderstood()),
    };
    let now: HostTime = app.context.clock.now();
    let until = now.plus(Period::days(days));
    let said = app.context.desk.snooze(udid.clone(), until).await;
    app.tell(
        &visit,
        said.map(|_| match days {
            0 => "Notices about it are shown again.".to_owned(),
            1 => "Nothing is said about it for a day.".to_owned(),
            days => format!("Nothing is said about it for {days} days."),
        }),
    );
    Ok(to(&format!("/devices/{udid}")))
}

async fn local_only(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(form): Extension<Form>,
    udid: Named,
) -> Answer {
    let udid = device_of(udid)?;
    let chosen = match form.get("chosen") {
        Some("yes") => true,
        Some("no") => false,
        Some(_) | None => return Err(misunderstood()),
    };
    let said = app.context.desk.local_only(udid.clone(), chosen).await;
    app.tell(
        &visit,
        said.map(|_| match chosen {
            true => "Local backups are enough for it from now on.".to_owned(),
            false => "Its iCloud backup is watched again.".to_owned(),
        }),
    );
    Ok(to(&format!("/devices/{udid}")))
}

async fn mark(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(form): Extension<Form>,
    named: Result<Path<(String, String)>, PathRejection>,
) -> Answer {
    let Path((udid, step)) = named.map_err(|_| misunderstood())?;
    let udid = Udid::parse(&udid).map_err(|_| misunderstood())?;
    let step = StepId::parse(&step).ok_or_else(misunderstood)?;
    let (mark, words) = match form.get("mark") {
        Some("did") => (
            Mark::Did,
            "Noted. When the date of the iCloud backup moves, it is said here.",
        ),
        Some("did_not_help") => (Mark::DidNotHelp, "Noted. The next step is below."),
        Some("not_for_me") => (Mark::NotForMe, "Noted. The step is left out."),
        Some("undo") => (Mark::Undo, "That is taken back."),
        Some(_) | None => return Err(misunderstood()),
    };
    let said = app.context.desk.mark(udid.clone(), step, mark).await;
    app.tell(&visit, said.map(|_| words.to_owned()));
    Ok(to(&Place::Device(udid, Some(step)).to_string()))
}

impl App {
    fn scene(&self, visit: &Visit) -> draw::Scene {
        draw::Scene {
            token: visit.token,
            said: None,
            now: self.context.clock.now().0,
            zone: self.context.zone.clone(),
        }
    }

    fn tell(&self, visit: &Visit, said: Result<String, Refusal>) {
        let (good, words) = match said {
            Ok(words) => (true, words),
            Err(refusal) => (false, sentence(&refusal)),
        };
        visit.say(&self.context.door, good, words);
    }
}

/// Why the loop does not do it, and what to do about that.
fn sentence(refusal: &Refusal) -> String {
    let why = backupwatch_core::words::capital(&refusal.to_string());
    match refusal.next() {
        Some(next) => format!("{why}. {next}"),
        None => format!("{why}."),
    }
}

pub(super) fn device_of(named: Named) -> Result<Udid, No> {
    let Path(name) = named.map_err(|_| misunderstood())?;
    Udid::parse(&name).map_err(|_| unknown())
}

pub(super) fn find<'d>(devices: &'d [DeviceStatus], udid: &Udid) -> Result<&'d DeviceStatus, No> {
    let found = devices.iter().find(|device| device.udid == udid.as_str());
    found.ok_or_else(unknown)
}

fn to(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

fn unknown() -> No {
    no(StatusCode::NOT_FOUND, "No such device is known.")
}

fn misunderstood() -> No {
    no(
        StatusCode::BAD_REQUEST,
        "The page does not understand this. Go back, reload the page, and try again.",
    )
}

fn no(status: StatusCode, words: &str) -> No {
    No(Box::new(
        draw::page(status, draw::refusal(words)).into_response(),
    ))
}
