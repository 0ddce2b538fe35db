//! The TCP socket for a Prometheus, where one is configured: only `GET /metrics`, and only for who may have them. On this
//! computer's own address that is everybody who asks it by its number, so that no web page gets at them by a name of its own
//! (DNS rebinding); anywhere else it takes the token.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::Source;
use crate::serving::Socket;

/// A token is shorter.
const TOKEN_MAX: u64 = 4 << 10;
/// And one that nobody guesses is longer.
const TOKEN_MIN: usize = 16;

/// What has to be shown, kept so that comparing takes as long whatever the difference.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(blake3::Hash);

impl Token {
    fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }
}

/// A socket for a Prometheus. A clone is the same socket.
#[derive(Clone)]
pub(super) struct Listener {
    at: SocketAddr,
    inner: Arc<TcpListener>,
    token: Option<Token>,
}

/// Why there is none. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum NoListener {
    /// The system says no.
    #[error("listen on {at}")]
    Io {
        /// Where.
        at: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No good token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Why a file has no token. The message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    /// It cannot be read.
    #[error("read the token in {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no secret.
    #[error("use the token in {path}: others can read it; close it with `chmod 600`")]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It is not one.
    #[error(
        "use the token in {path}: a token is one line of at least {TOKEN_MIN} letters and digits"
    )]
    Bad {
        /// The file.
        path: PathBuf,
    },
}

/// The token that a file holds: one line, of what may stand in a header.
pub(super) fn token(path: &Path) -> Result<String, TokenError> {
    let fail = |source| TokenError::Io {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(TokenError::Open {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    file.take(TOKEN_MAX)
        .read_to_string(&mut text)
        .map_err(fail)?;
    let token = text.trim();
    if token.len() < TOKEN_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Bad {
            path: path.to_owned(),
        });
    }
    Ok(token.to_owned())
}

impl Listener {
    /// Binds the address, or takes the socket that is bound to it already; whoever asks there must show the token in the file, where
    /// there is one.
    pub(super) async fn bind(
        at: SocketAddr,
        token_file: Option<&Path>,
        before: Option<&Self>,
    ) -> Result<Self, NoListener> {
        let token = token_file.map(token).transpose()?;
        let inner = match before.filter(|before| before.at == at) {
            Some(before) => Arc::clone(&before.inner),
            None => {
                let bound = TcpListener::bind(at).await;
                Arc::new(bound.map_err(|source| NoListener::Io { at, source })?)
            }
        };
        Ok(Self {
            at,
            inner,
            token: token.as_deref().map(Token::of),
        })
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Socket for Listener {
    type Stream = TcpStream;
    // Two servers that keep each other company, and somebody with curl.
    const CONNECTIONS: usize = 16;

    async fn accept(&self) -> io::Result<TcpStream> {
        Ok(self.inner.accept().await?.0)
    }

    /// Everybody: who may have an answer shows in the request.
    async fn admits(_: &TcpStream) -> bool {
        true
    }
}

/// Serves until `shutdown`.
pub(super) async fn serve(listener: Listener, source: Source, shutdown: CancellationToken) {
    let router = router(source, listener.token.clone());
    crate::serving::serve(&listener, router, shutdown).await;
}

fn router(source: Source, token: Option<Token>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(Arc::new(token), guard))
        .with_state(source)
}

async fn metrics(State(source): State<Source>, headers: HeaderMap) -> Response {
    super::answer(&source, &headers).await
}

async fn guard(State(token): State<Arc<Option<Token>>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let refused = match &*token {
        Some(token) if is_shown(headers, token) => None,
        Some(_) => Some((
            StatusCode::UNAUTHORIZED,
            "these metrics take the token of metrics.token_file\n",
        )),
        None if is_asked_by_number(headers) => None,
        None => Some((
            StatusCode::MISDIRECTED_REQUEST,
            "without a token, ask by address: http://127.0.0.1:PORT/metrics\n",
        )),
    };
    match refused {
        Some((StatusCode::UNAUTHORIZED, words)) => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            words,
        )
            .into_response(),
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    }
}

fn is_shown(headers: &HeaderMap, token: &Token) -> bool {
    let shown = headers.get(header::AUTHORIZATION);
    let shown = shown.and_then(|shown| shown.to_str().ok());
    let shown = shown.and_then(|shown| shown.split_once(' '));
    shown.is_some_and(|(scheme, shown)| {
        scheme.eq_ignore_ascii_case("bearer") && Token::of(shown.trim()) == *token
    })
}

fn is_asked_by_number(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    host.parse::<SocketAddr>().is_ok()
        || host.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host.strip_prefix("localhost:").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_name_that_somebody_points_here_leads_nowhere() {
        let asked = |host: &str| is_asked_by_number(&headers(header::HOST, host));
        for host in [
            "127.0.0.1:9877",
            "127.0.0.1",
            "[::1]:9877",
            "localhost:9877",
        ] {
            assert!(asked(host), "{host}");
        }
        for host in [
            "evil.example:9877",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
        ] {
            assert!(!asked(host), "{host}");
        }
        assert!(!is_asked_by_number(&HeaderMap::new()));
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token::of("correct-horse-battery");
        let shown = |value: &str| is_shown(&headers(header::AUTHORIZATION, value), &token);
        assert!(shown("Bearer correct-horse-battery"));
        assert!(shown("bearer correct-horse-battery"));
        for wrong in [
            "Bearer correct-horse-batter",
            "Bearer correct-horse-battery2",
            "Basic correct-horse-battery",
            "correct-horse-battery",
            "Bearer ",
            "",
        ] {
            assert!(!shown(wrong), "{wrong}");
        }
        assert!(!is_shown(&HeaderMap::new(), &token));
    }

    #[test]
    fn a_token_that_is_no_secret_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let said = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            token(&path).map_err(|error| error.to_string())
        };
        let good = "correct-horse-battery\n";
        assert_eq!(said(good, 0o600).unwrap(), good.trim());
        assert!(said(good, 0o640).unwrap_err().contains("chmod 600"));
        assert!(said(good, 0o604).unwrap_err().contains("chmod 600"));
        for bad in [
            "short",
            "two words in here, alas",
            "",
            "two-lines-of-it\nand-another",
        ] {
            let words = said(bad, 0o600).unwrap_err();
            assert!(words.contains("at least 16"), "{bad:?}: {words}");
        }
        assert!(token(&dir.path().join("none")).is_err());
    }
}
