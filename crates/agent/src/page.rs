//! The page for people: the devices, one device with its timeline and its ladder, and what they can do about it. It is drawn on the
//! server, asks nothing of the network, and works without its script, which only keeps it fresh. It decides nothing: what is shown
//! is the loop's answer or the state's rows, and what is pressed becomes a question to the loop.
//!
//! Served on 127.0.0.1 only. Whose connection it is, `peer` looks; who may come in is `entrance`'s business, which requests are heeded
//! is `guard`'s.
//!
//! | route | what |
//! |---|---|
//! | `GET /enter?key=…` | exchanges the one-time key of a link for a cookie, and leads on |
//! | `GET /static/{page.css, page.js, icon.svg}` | the only routes beside it that need no cookie |
//! | `GET /` | all devices |
//! | `GET /devices/{udid}` | one device; `#S4` is a step of its ladder |
//! | `GET /devices/{udid}/events` | what changes there, as server-sent events: `progress`, `changed` |
//! | `POST /check` | look at everything that is attached |
//! | `POST /devices/{udid}/backup` · `…/cancel` | begin a local backup, stop it |
//! | `POST /devices/{udid}/listen` · `…/stop-listening` | listen to its log while somebody taps *Back Up Now* on it |
//! | `POST /devices/{udid}/snooze` (`days`: 0, 1, 3, 7) | say nothing about it |
//! | `POST /devices/{udid}/local-only` (`chosen`) | local backups are enough for it |
//! | `POST /devices/{udid}/steps/{step}` (`mark`) | `did`, `did_not_help`, `not_for_me`, `undo` |
//!
//! Each form carries the session's `token`; each POST answers 303 to the page it came from, which then says what came of it.
//!
//! What tests and helpers may hold on to: the steps are `li#S0` … `li#S9` with `data-state`; the verdict is `#verdict` with
//! `data-protection`; the sections are `#backup`, `#timeline`, `#steps`, `#causes`, `#evidence`, `#notices`; the word that follows a POST
//! is `#said`; a running backup is `#progress`; buttons have the names that a person reads.

mod assets;
mod door;
mod draw;
mod entrance;
mod guard;
mod hearing;
mod listen;
mod live;
mod peer;
mod qr;
mod routes;
mod timeline;
pub(crate) mod words;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::agent::Desk;
use crate::clock::Clock;
pub use door::{Door, Place};
pub use listen::{Listener, NoPage};

/// What the routes need.
#[derive(Clone)]
pub struct Context {
    /// Where questions to the loop are handed in.
    pub desk: Desk,
    /// The state file, for what happened before.
    pub database: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// In which dates are said.
    pub zone: TimeZone,
    /// Who may come in.
    pub door: Door,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Serves until `shutdown`; then answers what is being asked, and ends. Whoever has to be quicker drops the future.
pub async fn serve(listener: Listener, context: Context, shutdown: CancellationToken) {
    let router = routes::router(context, shutdown.clone());
    crate::serving::serve(&listener, router, shutdown).await;
}
