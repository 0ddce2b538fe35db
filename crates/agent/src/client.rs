//! A small typed client of the local API, for the command line and the menu bar: HTTP over the Unix socket, one
//! connection a question. It knows no defaults and no terminal.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backupwatch_core::Udid;
use backupwatch_core::evidence::Books;
use backupwatch_core::ladder::Mark;
use backupwatch_core::steps::StepId;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::words::{
    BackupEvent, BackupRequest, Failure, History, LocalOnlyRequest, MarkRequest, PageAnswer,
    PageRequest, PairAnswer, PairRequest, SnoozeRequest, TestNotice, Version,
};
use crate::diagnosis::{DiagnosisDocument, ListenEvent};
use crate::doctor::Report;
use crate::ladder::LadderDocument;
use crate::status::Status;
use crate::verification::Verification;

/// More than any answer: 500 devices are about 500 KiB.
const ANSWER_MAX: usize = 16 << 20;
/// More than any line of a progress stream.
const LINE_MAX: usize = 1 << 20;
/// For questions that the agent answers from memory.
const QUICK: Duration = Duration::from_secs(10);
/// For those that wait for a phone, or for a person at one.
const PATIENT: Duration = Duration::from_secs(180);

/// Asks the agent of one state folder.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: no agent runs on this state folder.
    #[error("reach the agent: it is not running")]
    NotRunning,
    /// The socket belongs to another user, or the like.
    #[error("reach the agent at {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke, most likely because the agent ended.
    #[error("talk to the agent: the connection broke")]
    Broken(#[source] hyper::Error),
    /// The agent did not answer in time.
    #[error("get an answer from the agent within {} s", .0.as_secs())]
    Late(Duration),
    /// The agent said no.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// The answer is not what this release expects.
    #[error(
        "understand the agent's answer (is another version of it running? `backupwatch agent` restarts it)"
    )]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Client {
    /// A client of the agent behind `socket`. Does not connect yet.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Who answers.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.ask(Method::GET, "/v1/version", &(), QUICK).await
    }

    /// Everything that is known.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status", &(), QUICK).await
    }

    /// Looks at everything that is attached, now, and waits for it.
    pub async fn check(&self) -> Result<Status, ClientError> {
        self.ask(Method::POST, "/v1/check", &(), PATIENT).await
    }

    /// What happened, newest first.
    pub async fn history(&self, udid: Option<&Udid>, limit: u32) -> Result<History, ClientError> {
        let device = udid.map(|udid| format!("&udid={udid}")).unwrap_or_default();
        self.ask(
            Method::GET,
            &format!("/v1/history?limit={limit}{device}"),
            &(),
            QUICK,
        )
        .await
    }

    /// Asks a device to trust this computer, and waits for the person at it.
    pub async fn pair(&self, udid: &Udid) -> Result<PairAnswer, ClientError> {
        self.ask(
            Method::POST,
            "/v1/pair",
            &PairRequest {
                udid: udid.to_string(),
            },
            PATIENT,
        )
        .await
    }

    /// Says nothing about a device until then.
    pub async fn snooze(&self, udid: &Udid, until: Timestamp) -> Result<Status, ClientError> {
        self.ask(
            Method::POST,
            "/v1/snooze",
            &SnoozeRequest {
                udid: udid.to_string(),
                until,
            },
            QUICK,
        )
        .await
    }

    /// Has the agent read its configuration again. Where that has a mistake, the old one stays at work.
    pub async fn reload(&self) -> Result<Status, ClientError> {
        self.ask(Method::POST, "/v1/reload", &(), QUICK).await
    }

    /// Why a device's iCloud Backup fails, and what to do.
    pub async fn ladder(&self, udid: &Udid) -> Result<LadderDocument, ClientError> {
        let path = format!("/v1/devices/{udid}/ladder");
        self.ask(Method::GET, &path, &(), QUICK).await
    }

    /// What is known of why a device's iCloud Backup fails.
    pub async fn diagnosis(&self, udid: &Udid) -> Result<DiagnosisDocument, ClientError> {
        let path = format!("/v1/devices/{udid}/diagnosis");
        self.ask(Method::GET, &path, &(), QUICK).await
    }

    /// Tells what a device noted of its iCloud backups, and what follows from it.
    pub async fn books(
        &self,
        udid: &Udid,
        books: &Books,
    ) -> Result<DiagnosisDocument, ClientError> {
        let path = format!("/v1/devices/{udid}/books");
        self.ask(Method::POST, &path, books, QUICK).await
    }

    /// Listens to a device's log. It ends when the answer is dropped.
    pub async fn listen(&self, udid: &Udid) -> Result<Events<ListenEvent>, ClientError> {
        self.follow(&format!("/v1/devices/{udid}/listen"), &())
            .await
    }

    /// Stops listening; the follower sees it end.
    pub async fn stop_listening(&self, udid: &Udid) -> Result<(), ClientError> {
        let path = format!("/v1/devices/{udid}/listen");
        let _: serde::de::IgnoredAny = self.ask(Method::DELETE, &path, &(), QUICK).await?;
        Ok(())
    }

    /// Says something of a step.
    pub async fn mark(
        &self,
        udid: &Udid,
        step: StepId,
        mark: Mark,
    ) -> Result<LadderDocument, ClientError> {
        let path = format!("/v1/devices/{udid}/steps/{step}");
        self.ask(Method::POST, &path, &MarkRequest { mark }, QUICK)
            .await
    }

    /// Says whether local backups are enough for a device.
    pub async fn local_only(&self, udid: &Udid, chosen: bool) -> Result<Status, ClientError> {
        let request = LocalOnlyRequest {
            udid: udid.to_string(),
            chosen,
        };
        self.ask(Method::POST, "/v1/local-only", &request, QUICK)
            .await
    }

    /// A link to the page, at a device if one is named, and at a step of its ladder.
    pub async fn page(
        &self,
        udid: Option<&Udid>,
        step: Option<StepId>,
    ) -> Result<PageAnswer, ClientError> {
        let request = PageRequest {
            udid: udid.map(Udid::to_string),
            step: step.map(|step| step.to_string()),
        };
        self.ask(Method::POST, "/v1/page", &request, QUICK).await
    }

    /// The agent's own part of `backupwatch doctor`.
    pub async fn doctor(&self) -> Result<Report, ClientError> {
        self.ask(Method::GET, "/v1/doctor", &(), QUICK).await
    }

    /// Shows one harmless notice, and waits until it is on the screen or why it is not is known.
    pub async fn test_notice(&self) -> Result<TestNotice, ClientError> {
        self.ask(Method::POST, "/v1/test-notice", &(), QUICK).await
    }

    /// Tells of a look at a backup, and waits until the agent has looked at the store.
    pub async fn verified(&self, check: &Verification) -> Result<Status, ClientError> {
        let path = format!("/v1/devices/{}/verified", check.udid);
        self.ask(Method::POST, &path, check, QUICK).await
    }

    /// Starts a backup, or joins the one that runs, and follows it. It goes on when the answer is dropped.
    pub async fn backup(
        &self,
        udid: &Udid,
        request: &BackupRequest,
    ) -> Result<BackupEvents, ClientError> {
        self.follow(&format!("/v1/devices/{udid}/backup"), request)
            .await
    }

    async fn follow<B: Serialize, E: DeserializeOwned>(
        &self,
        path: &str,
        request: &B,
    ) -> Result<Events<E>, ClientError> {
        let response = within(QUICK, self.send(Method::POST, path, request)).await??;
        if response.status().is_success() {
            Ok(Events {
                body: response.into_body(),
                buffer: Vec::new(),
                of: PhantomData,
            })
        } else {
            Err(refused(response).await)
        }
    }

    /// Stops a running backup; its followers see it end.
    pub async fn cancel_backup(&self, udid: &Udid) -> Result<(), ClientError> {
        let _: serde::de::IgnoredAny = self
            .ask(
                Method::DELETE,
                &format!("/v1/devices/{udid}/backup"),
                &(),
                QUICK,
            )
            .await?;
        Ok(())
    }

    async fn ask<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        patience: Duration,
    ) -> Result<A, ClientError> {
        within(patience, async {
            let response = self.send(method, path, body).await?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            let bytes = collect(response.into_body()).await?;
            serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer(error.into()))
        })
        .await?
    }

    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| {
            // In a state folder that is none there is no agent; whoever wants to use the folder says what is wrong with it.
            let nobody = [
                io::ErrorKind::NotFound,
                io::ErrorKind::ConnectionRefused,
                io::ErrorKind::NotADirectory,
            ];
            if nobody.contains(&source.kind()) {
                ClientError::NotRunning
            } else {
                ClientError::Connect {
                    path: self.socket.clone(),
                    source,
                }
            }
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ClientError::Broken)?;
        // Ends with the connection, that is when `sender` and the body are dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the agent broke");
            }
        });
        let json = match method {
            Method::GET => Vec::new(),
            _ => serde_json::to_vec(body).map_err(|error| ClientError::Answer(error.into()))?,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "backupwatch")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| ClientError::Answer(error.into()))?;
        sender
            .send_request(request)
            .await
            .map_err(ClientError::Broken)
    }
}

/// The events of a backup, as they come. The last is [`BackupEvent::Ended`] unless the agent ended first.
pub type BackupEvents = Events<BackupEvent>;

/// The lines of an answer, as they come.
#[derive(Debug)]
pub struct Events<E> {
    body: Incoming,
    buffer: Vec<u8>,
    of: PhantomData<E>,
}

impl<E: DeserializeOwned> Events<E> {
    /// The next one; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<E>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event = serde_json::from_slice(&line)
                    .map_err(|error| ClientError::Answer(error.into()))?;
                return Ok(Some(event));
            }
            if self.buffer.len() > LINE_MAX {
                return Err(ClientError::Answer("a line without an end".into()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(patience, work)
        .await
        .map_err(|_| ClientError::Late(patience))
}

async fn collect(body: Incoming) -> Result<Bytes, ClientError> {
    let collected = Limited::new(body, ANSWER_MAX)
        .collect()
        .await
        .map_err(ClientError::Answer)?;
    Ok(collected.to_bytes())
}

async fn refused(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    match collect(response.into_body()).await {
        Err(error) => error,
        Ok(bytes) => match serde_json::from_slice::<Failure>(&bytes) {
            Ok(failure) => ClientError::Refused(failure),
            Err(_) => ClientError::Answer(format!("HTTP status {status} without a reason").into()),
        },
    }
}
