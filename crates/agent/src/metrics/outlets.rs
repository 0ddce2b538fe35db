//! Brings the numbers to where nobody fetches them: into the folder of node_exporter, and to an OpenTelemetry receiver. When
//! something has changed, and often enough that somebody notices if it stops.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::listen::{TokenError, token};
use super::measure::farewell;
use super::otlp::{self, Sender};
use super::pulse::Outlet;
use super::sheet::Sheet;
use super::{Source, text};
use crate::clock::Clock;
use crate::config::MetricsOwn;
use crate::medium::in_full;
use crate::outside::http::{self, Plain, Url, UrlError};

/// The textfile is never older while the agent runs.
const FILE_EVERY: Duration = Duration::from_secs(5 * 60);
/// What is pushed goes out of sight after five minutes in many a server.
const PUSH_EVERY: Duration = Duration::from_secs(60);
/// Between two at the least, however much happens.
const GAP: Duration = Duration::from_secs(5);

/// Where numbers are brought to.
pub(super) struct Outlets {
    textfile: Option<PathBuf>,
    otlp: Option<Push>,
}

struct Push {
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    sender: Sender,
    last: Option<Instant>,
}

/// Why nothing can be pushed. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPush {
    #[error("use metrics.otlp")]
    Url(#[source] UrlError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("use the token for metrics.otlp")]
    Header(#[source] header::InvalidHeaderValue),
}

impl Outlets {
    /// What is configured; and why not all of it can be had, in a sentence.
    pub(super) fn of(config: &MetricsOwn, sender: Sender) -> (Self, Option<String>) {
        let sender = Sender {
            host: sender.host.filter(|_| config.names),
            ..sender
        };
        let otlp = config.otlp.as_deref();
        let push = otlp.map(|url| Push::of(url, config.otlp_token_file.as_deref(), sender));
        let (otlp, remark) = match push.transpose() {
            Ok(otlp) => (otlp, None),
            Err(error) => {
                let why = in_full(&error);
                (
                    None,
                    Some(format!("Metrics are not pushed: failed to {why}.")),
                )
            }
        };
        let textfile = config.textfile.clone();
        (Self { textfile, otlp }, remark)
    }

    /// The file, where there is one.
    pub(super) fn textfile(&self) -> Option<&Path> {
        self.textfile.as_deref()
    }

    fn every(&self) -> Option<Duration> {
        match (&self.otlp, &self.textfile) {
            (Some(_), _) => Some(PUSH_EVERY),
            (None, Some(_)) => Some(FILE_EVERY),
            (None, None) => None,
        }
    }
}

impl Push {
    fn of(url: &str, token_file: Option<&Path>, sender: Sender) -> Result<Self, NoPush> {
        // Numbers without a secret may go as they are; a token may not.
        let plain = match token_file {
            Some(_) => Plain::Loopback,
            None => Plain::Anywhere,
        };
        let url = Url::parse(url, plain).map_err(NoPush::Url)?;
        let mut headers = vec![(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )];
        if let Some(file) = token_file {
            let bearer = format!("Bearer {}", token(file)?);
            let mut value = HeaderValue::from_str(&bearer).map_err(NoPush::Header)?;
            value.set_sensitive(true);
            headers.push((header::AUTHORIZATION, value));
        }
        Ok(Self {
            url,
            headers,
            sender,
            last: None,
        })
    }

    fn is_due(&self) -> bool {
        // A little early is in time: the loop below sleeps as long as this.
        self.last
            .is_none_or(|last| last.elapsed() + GAP >= PUSH_EVERY)
    }

    async fn send(&mut self, sheet: &Sheet, clock: &dyn Clock) -> Result<(), String> {
        self.last = Some(Instant::now());
        let body = otlp::request(sheet, &self.sender, clock.now().0);
        let body = body.map_err(|error| error.to_string())?;
        let answer = http::post(&self.url, &self.headers, Bytes::from(body)).await;
        match answer {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(format!("it answers with status {}", answer.status)),
            Err(error) => Err(format!("failed to {}", in_full(&error))),
        }
    }
}

/// Brings them there until `shutdown`. Ends at once where nothing is configured.
pub(super) async fn run(outlets: &mut Outlets, source: &Source, shutdown: CancellationToken) {
    let Some(every) = outlets.every() else {
        return;
    };
    while !shutdown.is_cancelled() {
        match source.sheet().await {
            Ok(sheet) => bring(outlets, source, sheet, &shutdown).await,
            // What is not written grows old, and that shows.
            Err(error) => tracing::warn!(error = in_full(&error), "there are no metrics now"),
        }
        let news = async {
            tokio::time::sleep(GAP).await;
            source.pulse.news().await;
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            _either = tokio::time::timeout(every, news) => {}
        }
    }
}

/// Leaves in the file no more than that nobody writes it any more.
pub(super) fn take_leave(path: &Path, clock: &dyn Clock) {
    let last = text::open_metrics(Arc::new(farewell(clock.now().0)));
    if let Ok(last) = last
        && let Err(error) = put(path, text::classic(&last).as_bytes())
    {
        tracing::warn!(%error, "the metrics still say that the agent runs");
    }
}

async fn bring(outlets: &mut Outlets, source: &Source, sheet: Sheet, shutdown: &CancellationToken) {
    let sheet = Arc::new(sheet);
    // The file first: a server that does not answer keeps nobody else waiting.
    if let Some(path) = outlets.textfile.clone() {
        let written = match text::open_metrics(Arc::clone(&sheet)) {
            Ok(open) => {
                let put = move || put(&path, text::classic(&open).as_bytes());
                let put = tokio::task::spawn_blocking(put).await;
                put.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(io::Error::other(error)),
        };
        let trouble = written
            .err()
            .map(|why| format!("The file of metrics cannot be written (metrics.textfile): {why}."));
        tell(source, Outlet::Textfile, trouble);
    }
    if let Some(push) = outlets.otlp.as_mut().filter(|push| push.is_due()) {
        let host = push.url.host();
        let sent = tokio::select! {
            sent = push.send(&sheet, &*source.clock) => sent,
            () = shutdown.cancelled() => return,
        };
        let trouble = sent.err();
        let trouble = trouble.map(|why| format!("Metrics do not reach {host}: {why}."));
        tell(source, Outlet::Otlp, trouble);
    }
}

fn tell(source: &Source, outlet: Outlet, trouble: Option<String>) {
    let words = trouble.clone();
    if source.pulse.went(outlet, trouble) {
        match words {
            Some(words) => tracing::warn!(words, "metrics do not arrive"),
            None => tracing::info!(?outlet, "metrics arrive again"),
        }
    }
}

/// Replaces the file whole, so that nobody reads a half of it. Everybody may read it: node_exporter is another user.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // node_exporter reads what ends in .prom, and this does not.
    let mut beside = name.to_owned();
    beside.push(".new");
    let beside = folder.join(beside);
    let mut file = match File::create_new(&beside) {
        // Of an agent that was killed. A link is not followed but removed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&beside)?;
            File::create_new(&beside)?
        }
        made => made?,
    };
    file.write_all(text)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    drop(file);
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_left_over_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backupwatch.prom");
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("backupwatch.prom.new")).unwrap();
        put(&path, b"one 1\n").unwrap();
        put(&path, b"two 2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two 2\n");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "another user reads it");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
