//! The routes, version 1. Each is a few lines: read the request, ask, answer in JSON. Errors are JSON too.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use backupwatch_core::evidence::Books;
use backupwatch_core::steps::StepId;
use backupwatch_core::{HostTime, Period, Udid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::words::{
    BackupRequest, Failure, HistoryQuery, LocalOnlyRequest, MarkRequest, PageAnswer, PageRequest,
    PairAnswer, PairRequest, SCHEMA, SnoozeRequest, TestNotice, Version,
};
use super::{Context, story};
use crate::agent::Refusal;
use crate::doctor;
use crate::history;
use crate::medium::in_full;
use crate::metrics;
use crate::page::Place;
use crate::reload::NoReload;
use crate::serving::Story;
use crate::state::{self, StateError};
use crate::status::trust_code;
use crate::verification::Verification;

/// No request is longer, but for a phone's notes.
const BODY_MAX: usize = 16 << 10;
/// Ten attempts with all that is kept of them.
const BOOKS_MAX: usize = 64 << 10;
/// How long a desktop may take to show a notice.
const ON_SCREEN: Duration = Duration::from_secs(5);
/// Two clocks of one computer rarely agree.
const AHEAD: Period = Period::minutes(5);

#[derive(Clone)]
struct App {
    context: Context,
    shutdown: CancellationToken,
}

pub(super) fn router(context: Context, shutdown: CancellationToken) -> Router {
    Router::new()
        // Where every scraper looks, and in a format that has a version of its own.
        .route("/metrics", get(metrics))
        .route("/v1/version", get(version))
        .route("/v1/status", get(status))
        .route("/v1/check", post(check))
        .route("/v1/history", get(show_history))
        .route("/v1/pair", post(pair))
        .route("/v1/snooze", post(snooze))
        .route("/v1/local-only", post(local_only))
        .route("/v1/reload", post(reload))
        .route("/v1/page", post(page))
        .route("/v1/test-notice", post(test_notice))
        .route("/v1/doctor", get(examine))
        .route("/v1/devices/{udid}/backup", post(backup).delete(cancel))
        .route("/v1/devices/{udid}/verified", post(verified))
        .route("/v1/devices/{udid}/diagnosis", get(diagnosis))
        .route(
            "/v1/devices/{udid}/books",
            post(books).layer(DefaultBodyLimit::max(BOOKS_MAX)),
        )
        .route(
            "/v1/devices/{udid}/listen",
            post(listen).delete(stop_listening),
        )
        .route("/v1/devices/{udid}/ladder", get(ladder))
        .route("/v1/devices/{udid}/steps/{step}", post(mark))
        .fallback(async || {
            failure(
                StatusCode::NOT_FOUND,
                "no_such_route",
                "there is no such route",
                None,
            )
        })
        .method_not_allowed_fallback(async || {
            failure(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "the route has another method",
                None,
            )
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(App { context, shutdown })
}

/// What a client sent, or why it could not be taken. Not unwrapped by axum, whose refusals are not JSON.
type Sent = Result<Bytes, BytesRejection>;
/// The device in the path, likewise.
type Named = Result<Path<String>, PathRejection>;

/// An answer that is not the one that was asked for. Boxed, because it is larger than what is asked for.
struct No(Box<Response>);

impl No {
    fn of(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::of(failure(
            super::status_of(&refusal),
            refusal.code(),
            &refusal.to_string(),
            refusal.next(),
        ))
    }
}

impl From<StateError> for No {
    fn from(error: StateError) -> Self {
        let message = format!("failed to {}", in_full(&error));
        Self::of(failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "state",
            &message,
            None,
        ))
    }
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    metrics::answer(&app.context.metrics, &headers).await
}

async fn version(State(app): State<App>) -> Response {
    json(&Version {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: app.context.started,
    })
}

async fn status(State(app): State<App>) -> Result<Response, No> {
    Ok(json(&app.context.desk.status().await?))
}

async fn check(State(app): State<App>) -> Result<Response, No> {
    Ok(json(&app.context.desk.check(None).await?))
}

async fn show_history(
    State(app): State<App>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Response, No> {
    let Query(query) = query.map_err(|error| bad_request(&error.body_text()))?;
    let udid = query.udid.as_deref().map(parse_udid).transpose()?;
    let now = app.context.clock.now();
    let path = app.context.database.clone();
    let read = tokio::task::spawn_blocking(move || {
        let state = state::open_read_only(&path)?;
        history::history(&state, udid.as_ref(), query.limit.unwrap_or(100), now)
    });
    match read.await {
        Ok(history) => Ok(json(&history?)),
        Err(error) => {
            tracing::error!(%error, "reading the history broke");
            Err(No::of(failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "reading the history broke",
                None,
            )))
        }
    }
}

async fn pair(State(app): State<App>, body: Sent) -> Result<Response, No> {
    let PairRequest { udid } = parse(body)?;
    let device = parse_udid(&udid)?;
    let trust = app.context.desk.pair(device).await?;
    Ok(json(&PairAnswer {
        schema: SCHEMA,
        udid,
        trust: trust_code(trust).to_owned(),
    }))
}

async fn snooze(State(app): State<App>, body: Sent) -> Result<Response, No> {
    let SnoozeRequest { udid, until } = parse(body)?;
    Ok(json(
        &app.context
            .desk
            .snooze(parse_udid(&udid)?, HostTime(until))
            .await?,
    ))
}

async fn local_only(State(app): State<App>, body: Sent) -> Result<Response, No> {
    let LocalOnlyRequest { udid, chosen } = parse(body)?;
    Ok(json(
        &app.context
            .desk
            .local_only(parse_udid(&udid)?, chosen)
            .await?,
    ))
}

/// Reads the configuration again. Where there is a mistake in it, the old one stays at work.
async fn reload(State(app): State<App>) -> Result<Response, No> {
    match app.context.reload.reload().await {
        Ok(status) => Ok(json(&status)),
        Err(NoReload::Refused(refusal)) => Err(refusal.into()),
        Err(NoReload::Broken(error)) => {
            tracing::error!(%error, "reading the configuration broke");
            Err(Refusal::Ending.into())
        }
        Err(
            error @ (NoReload::Config(_)
            | NoReload::Roots(_)
            | NoReload::Outside(_)
            | NoReload::Metrics(_)),
        ) => {
            let why = in_full(&error);
            tracing::error!(why, "the old configuration stays at work");
            Err(No::of(failure(
                StatusCode::CONFLICT,
                "config",
                &format!("failed to {why}"),
                Some(
                    "Correct it, or see what `backupwatch config check` says. Until then the old configuration stays at work.",
                ),
            )))
        }
    }
}

/// A link to the page. It is the only thing here that lets somebody else in, so it is made anew each time.
async fn page(State(app): State<App>, body: Sent) -> Result<Response, No> {
    let PageRequest { udid, step } = parse_or_default(body)?;
    let step =
        step.map(|step| StepId::parse(&step).ok_or_else(|| bad_request("there is no such step")));
    let place = match (udid, step.transpose()?) {
        (Some(udid), step) => {
            let udid = parse_udid(&udid)?;
            let known = app.context.desk.status().await?.devices;
            if !known.iter().any(|device| device.udid == udid.as_str()) {
                return Err(Refusal::UnknownDevice.into());
            }
            Place::Device(udid, step)
        }
        (None, None) => Place::Devices,
        (None, Some(_)) => return Err(bad_request("a step is of a device")),
    };
    let no_page = |why: &str, next| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        No::of(failure(status, "no_page", why, next))
    };
    let Some(door) = &app.context.door else {
        let next = "Set `page.enabled = true` in the configuration, and see `backupwatch status`.";
        return Err(no_page("the agent serves no page", Some(next)));
    };
    let url = door.link(place);
    let url = url.map_err(|error| no_page(&format!("no link can be made: {error}"), None))?;
    Ok(json(&PageAnswer {
        schema: SCHEMA,
        url,
    }))
}

/// The agent's own part of `backupwatch doctor`. Takes as long as its checks may.
async fn examine(State(app): State<App>) -> Response {
    let mut place = app.context.place;
    if let Ok(places) = app.context.desk.places().await {
        place.own.clone_from(places.own());
    }
    json(&doctor::examine(place).await)
}

/// One harmless notice, so that a person sees that notices arrive.
async fn test_notice(State(app): State<App>) -> Result<Response, No> {
    let posted = app.context.desk.test_notice().await?;
    let why = match tokio::time::timeout(ON_SCREEN, posted).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(why))) => Some(why),
        Ok(Err(_gone)) => Some("another test took its place".to_owned()),
        Err(_late) => Some(format!(
            "the desktop did not answer within {} s",
            ON_SCREEN.as_secs()
        )),
    };
    Ok(json(&TestNotice {
        schema: SCHEMA,
        shown: why.is_none(),
        why,
    }))
}

async fn backup(State(app): State<App>, udid: Named, body: Sent) -> Result<Response, No> {
    let request: BackupRequest = parse_or_default(body)?;
    let following = app
        .context
        .desk
        .backup(device_of(udid)?, request.full)
        .await?;
    let body = Body::new(Story::new(
        story::events(following, app.shutdown),
        story::line,
    ));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Another process of this user has looked at a backup. What it says goes into the history; what counts is what the store
/// says then.
async fn verified(State(app): State<App>, udid: Named, body: Sent) -> Result<Response, No> {
    let (udid, check) = (device_of(udid)?, parse::<Verification>(body)?);
    if check.udid != udid {
        return Err(bad_request("it speaks of another device"));
    }
    Ok(json(&app.context.desk.verified(check).await?))
}

async fn diagnosis(State(app): State<App>, udid: Named) -> Result<Response, No> {
    Ok(json(&app.context.desk.diagnosis(device_of(udid)?).await?))
}

/// Another process of this user has read the phone's notes out of a backup of ours. They are a stranger's all the same.
async fn books(State(app): State<App>, udid: Named, body: Sent) -> Result<Response, No> {
    let (udid, books) = (device_of(udid)?, parse::<Books>(body)?.bounded());
    if books.at > app.context.clock.now().plus(AHEAD) {
        return Err(bad_request("they are of a backup that is not made yet"));
    }
    Ok(json(&app.context.desk.books(udid, books).await?))
}

async fn listen(State(app): State<App>, udid: Named) -> Result<Response, No> {
    let events = app.context.desk.listen(device_of(udid)?).await?;
    let body = Body::new(Story::new(events, story::line));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn stop_listening(State(app): State<App>, udid: Named) -> Result<Response, No> {
    app.context.desk.stop_listening(device_of(udid)?).await?;
    Ok(json(&serde_json::json!({ "schema": SCHEMA })))
}

async fn ladder(State(app): State<App>, udid: Named) -> Result<Response, No> {
    Ok(json(&app.context.desk.ladder(device_of(udid)?).await?))
}

async fn mark(
    State(app): State<App>,
    named: Result<Path<(String, String)>, PathRejection>,
    body: Sent,
) -> Result<Response, No> {
    let Path((udid, step)) = named.map_err(|error| rejected(error.status(), &error.body_text()))?;
    let MarkRequest { mark } = parse(body)?;
    let step = StepId::parse(&step).ok_or_else(|| bad_request("there is no such step"))?;
    Ok(json(
        &app.context
            .desk
            .mark(parse_udid(&udid)?, step, mark)
            .await?,
    ))
}

async fn cancel(State(app): State<App>, udid: Named) -> Result<Response, No> {
    app.context.desk.cancel(device_of(udid)?).await?;
    Ok(json(&serde_json::json!({ "schema": SCHEMA })))
}

fn parse<T: DeserializeOwned>(body: Sent) -> Result<T, No> {
    let body = body.map_err(|error| rejected(error.status(), &error.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| bad_request(&error.to_string()))
}

/// An empty body is the default.
fn parse_or_default<T: DeserializeOwned + Default>(body: Sent) -> Result<T, No> {
    match body {
        Ok(empty) if empty.is_empty() => Ok(T::default()),
        other => parse(other),
    }
}

fn device_of(named: Named) -> Result<Udid, No> {
    let Path(name) = named.map_err(|error| rejected(error.status(), &error.body_text()))?;
    parse_udid(&name)
}

fn parse_udid(text: &str) -> Result<Udid, No> {
    Udid::parse(text).map_err(|error| bad_request(&error.to_string()))
}

fn bad_request(why: &str) -> No {
    rejected(StatusCode::BAD_REQUEST, why)
}

fn rejected(status: StatusCode, why: &str) -> No {
    No::of(failure(
        status,
        "bad_request",
        &format!("the request cannot be understood: {why}"),
        None,
    ))
}

fn failure(status: StatusCode, code: &str, message: &str, next: Option<&str>) -> Response {
    let body = Failure {
        schema: SCHEMA,
        error: code.to_owned(),
        message: message.to_owned(),
        next: next.map(str::to_owned),
    };
    (status, json(&body)).into_response()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer has no JSON form");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
