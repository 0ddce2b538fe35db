//! The one way to a server on the network: a POST over HTTP/1.1, and the first few kilobytes of its answer.
//!
//! Whose certificate is good, the system says. No proxy, no redirect, no cookie, no connection that is kept; everything has a limit,
//! because the other end may be broken or a liar. An address may be a secret (that of a ping service is), so it shows its host alone.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// From the name of the host to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// For one address of a host; the next one may be reachable.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(5);
/// Addresses of a host that are tried.
const ADDRESSES: usize = 4;
/// For the body after the head, which has said already what counts.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// As much of the body as anybody looks at.
const BODY_MAX: usize = 4 << 10;
/// The head of an answer is shorter, and has fewer lines.
const HEAD_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;
/// An address longer than this is a paste accident.
const URL_MAX: usize = 2_000;
/// Longer than any pause that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const USER_AGENT: &str = concat!("backupwatch/", env!("CARGO_PKG_VERSION"));

/// Where `http://` is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// On this computer only.
    Loopback,
    /// Anywhere: the person said so.
    Anywhere,
}

/// An address, of which only the host is ever shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Url {
    tls: bool,
    host: String,
    port: u16,
    /// Path and query.
    target: String,
}

/// Why a text is not an address that may be used. A sentence about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an address at all.
    #[error("it is not an address such as https://host/path")]
    Malformed,
    /// Another scheme.
    #[error("it must begin with https://")]
    Scheme,
    /// A name and a password in it.
    #[error("it has a user name in it, which is not sent")]
    User,
    /// Not encrypted.
    #[error(
        "it is not encrypted: use https://, or say `plain_http = true` if nobody else can listen there"
    )]
    Plain,
}

impl Url {
    /// The address that `text` is.
    pub fn parse(text: &str, plain: Plain) -> Result<Self, UrlError> {
        if text.len() > URL_MAX {
            return Err(UrlError::Malformed);
        }
        let uri: Uri = text.trim().parse().map_err(|_| UrlError::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Malformed),
        };
        let authority = uri.authority().ok_or(UrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let host = authority.host().trim_matches(['[', ']']).to_lowercase();
        if host.is_empty() || ServerName::try_from(host.as_str()).is_err() {
            return Err(UrlError::Malformed);
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => return Err(UrlError::Malformed),
            None if tls => 443,
            None => 80,
        };
        let url = Self {
            tls,
            host,
            port,
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        };
        match plain {
            Plain::Loopback if !url.tls && !url.is_loopback() => Err(UrlError::Plain),
            Plain::Loopback | Plain::Anywhere => Ok(url),
        }
    }

    /// Its host, with the port where that is an unusual one. This may be shown.
    pub fn host(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The same place, with more of a path, and a pair more in its query. Neither may need escaping.
    pub fn with(&self, path: &str, pair: Option<&str>) -> Self {
        let (before, asked) = match self.target.split_once('?') {
            Some((before, asked)) => (before, Some(asked)),
            None => (self.target.as_str(), None),
        };
        let before = if path.is_empty() {
            before
        } else {
            before.trim_end_matches('/')
        };
        let asked = asked.filter(|asked| !asked.is_empty());
        let asked: Vec<&str> = asked.into_iter().chain(pair).collect();
        let mark = if asked.is_empty() { "" } else { "?" };
        Self {
            target: format!("{before}{path}{mark}{}", asked.join("&")),
            ..self.clone()
        }
    }

    /// All of it. Not to be shown.
    pub fn secret(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host(), self.target)
    }

    fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }
}

/// What may be shown of it; it reads back as an address, of which nothing is known but the host.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/...", self.host())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, as far as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether what was sent was taken.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it is a no: sending the same again would have the same end. A redirect is none, because the network of a hotel gives one
    /// for everything; it is not followed.
    pub fn is_refusal(&self) -> bool {
        matches!(self.status, 400..500) && !matches!(self.status, 408 | 425 | 429)
    }
}

/// Why there is no answer. The message follows "failed to", and has nothing of the address in it.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A header that cannot be sent.
    #[error("say the request")]
    Request(#[source] hyper::http::Error),
    /// The name leads nowhere.
    #[error("find the server")]
    Resolve(#[source] io::Error),
    /// Nobody answers there.
    #[error("reach the server")]
    Connect(#[source] io::Error),
    /// Whom to trust cannot be told on this computer.
    #[error("use this computer's list of trusted certificates")]
    Trust(#[source] rustls::Error),
    /// Its certificate is not good, or it does not speak TLS.
    #[error("make sure who the server is")]
    Tls(#[source] io::Error),
    /// What it says is not HTTP.
    #[error("understand the server")]
    Http(#[source] hyper::Error),
    /// It takes too long.
    #[error("get an answer from the server within {} s", .0.as_secs())]
    Late(Duration),
}

/// Sends `body` with these headers, and waits for the answer. It ends within a minute, and at once when it is dropped.
pub async fn post(
    url: &Url,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Answer, HttpError> {
    let request = request(url, headers, body)?;
    let sent = tokio::time::timeout(PATIENCE, send(url, request)).await;
    let (response, _connection) = sent.map_err(|_| HttpError::Late(PATIENCE))??;
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut start = Vec::new();
    // The head has said what counts: a body without end, or one that breaks off, takes nothing back.
    let reading = read(response.into_body(), &mut start);
    let _late = tokio::time::timeout(BODY_PATIENCE, reading).await;
    Ok(Answer {
        status,
        retry_after,
        body: start,
    })
}

fn request(
    url: &Url,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, HttpError> {
    let mut request = Request::post(url.target.as_str())
        .header(header::HOST, url.host())
        .header(header::USER_AGENT, USER_AGENT);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(HttpError::Request)
}

type Sent = (Response<Incoming>, AbortOnDropHandle<()>);

async fn send(url: &Url, request: Request<Full<Bytes>>) -> Result<Sent, HttpError> {
    let stream = connect(url).await?;
    if !url.tls {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| HttpError::Tls(io::Error::other(error)))?;
    let connector = TlsConnector::from(trust().await?);
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(HttpError::Tls)?;
    exchange(stream, request).await
}

async fn connect(url: &Url) -> Result<TcpStream, HttpError> {
    let found = tokio::net::lookup_host((url.host.as_str(), url.port))
        .await
        .map_err(HttpError::Resolve)?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES).collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match tokio::time::timeout(ADDRESS_PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(HttpError::Connect(last))
}

/// Asked for anew each time: certificates come and go on a computer, and an agent that lives for months needs no list of them in
/// between.
async fn trust() -> Result<Arc<ClientConfig>, HttpError> {
    let make = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Ok(Arc::new(config))
    };
    tokio::task::spawn_blocking(make)
        .await
        .unwrap_or_else(|error| Err(rustls::Error::General(error.to_string())))
        .map_err(HttpError::Trust)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Sent, HttpError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(HttpError::Http)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a server outside broke");
        }
    }));
    let response = sender
        .send_request(request)
        .await
        .map_err(HttpError::Http)?;
    Ok((response, connection))
}

async fn read(mut body: Incoming, start: &mut Vec<u8>) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let room = BODY_MAX.saturating_sub(start.len());
        start.extend(data.iter().take(room));
        if start.len() >= BODY_MAX {
            return;
        }
    }
}

/// Only the form in seconds: a date would have to be read by this computer's clock, which the server does not know.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests;
