//! lockdownd on port 62078 (protocol.md section 4): one connection, its session, its switch to TLS and back.
//!
//! `session` decides what is answered; `values` what is readable; `faults` breaks answers on purpose. This file reads,
//! writes, and changes between plain and TLS.

mod faults;
mod session;
mod trust;
mod values;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use backupwatch_wire::lockdown::{MAX_FRAME, Request};
use bytes::Bytes;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::io::{BoxStream, Frames, Prefixed};
use crate::persona::LinkKind;
use crate::phone::{Channel, Phone, seconds};
use crate::tls::Aligned;

use session::{Session, Then};

/// A usbmuxd connection that has become a way to a phone.
pub(crate) struct Tunnel {
    pub phone: Arc<Phone>,
    pub kind: LinkKind,
    pub gone: CancellationToken,
}

/// Serves one lockdown connection to its end.
pub(crate) async fn serve(stream: BoxStream, tunnel: Tunnel) {
    if let Err(error) = talk(stream, &tunnel).await {
        tracing::debug!(%error, "a lockdown connection broke");
    }
}

/// The line, plain or inside TLS.
enum Line {
    Plain(Frames<BoxStream>),
    Tls(Box<Frames<TlsStream<Aligned<BoxStream>>>>),
}

impl Line {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Plain(frames) => frames.next().await,
            Self::Tls(frames) => frames.next().await,
        }
    }

    async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(frames) => frames.send_raw(bytes).await,
            Self::Tls(frames) => frames.send_raw(bytes).await,
        }
    }

    async fn start_tls(self, config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        match self {
            Self::Plain(frames) => {
                let (stream, rest) = frames.into_parts();
                let stream = Aligned::new(Prefixed::around(rest, stream));
                let stream = TlsAcceptor::from(config).accept(stream).await?;
                Ok(Self::Tls(Box::new(Frames::new(stream, MAX_FRAME))))
            }
            Self::Tls(_) => Err(io::Error::other("TLS within TLS")),
        }
    }

    /// After the host's close_notify: answer it, and go on in the open.
    async fn stop_tls(self) -> Self {
        match self {
            Self::Plain(_) => self,
            Self::Tls(frames) => {
                let (mut stream, _) = frames.into_parts();
                let (_, session) = stream.get_mut();
                session.send_close_notify();
                drop(tokio::io::AsyncWriteExt::flush(&mut stream).await);
                let (stream, _) = stream.into_inner();
                Self::Plain(Frames::new(stream.into_inner(), MAX_FRAME))
            }
        }
    }
}

async fn talk(stream: BoxStream, tunnel: &Tunnel) -> io::Result<()> {
    let idle = idle(&tunnel.phone);
    let mut line = Line::Plain(Frames::new(stream, MAX_FRAME));
    let mut session = Session::new(tunnel);
    loop {
        // Nobody asking for ten seconds is the end (protocol.md 4.1).
        let Ok(frame) = tokio::time::timeout(idle, line.next()).await else {
            return Ok(());
        };
        let Some(frame) = frame? else {
            // A host that has stopped its session ends TLS and may go on without (LIM does).
            if matches!(line, Line::Tls(_)) && session.is_stopped() {
                line = line.stop_tls().await;
                continue;
            }
            return Ok(());
        };
        // What is no request ends the connection, as what is no plist does.
        let (request, _label) = Request::decode(&frame).map_err(io::Error::other)?;
        let body = backupwatch_wire::codec::decode(
            &frame,
            backupwatch_wire::codec::Limits::of_bytes(MAX_FRAME),
        );
        tunnel
            .phone
            .journal()
            .note(Channel::Lockdown, request.name(), body.ok());
        let (reply, then) = session.answer(&request);
        let bytes = reply.encode(&request);
        tunnel.phone.gate().pass(request.name()).await;
        match faults::befall(&tunnel.phone, &request, &bytes) {
            faults::Sent::Whole => line.send_raw(&bytes).await?,
            faults::Sent::Instead(bytes) => {
                line.send_raw(&bytes).await?;
                continue;
            }
            faults::Sent::Late(by) => {
                tokio::time::sleep(by).await;
                line.send_raw(&bytes).await?;
            }
            faults::Sent::Nothing => {
                // Silence, until the host goes.
                while line.next().await?.is_some() {}
                return Ok(());
            }
            faults::Sent::Last(bytes) => {
                line.send_raw(&bytes).await?;
                return Ok(());
            }
            faults::Sent::LastAndGone(bytes) => {
                line.send_raw(&bytes).await?;
                tunnel.phone.unplug_all();
                return Ok(());
            }
        }
        match then {
            Then::GoOn => {}
            Then::StartTls(config) => {
                let Ok(secured) = tokio::time::timeout(idle, line.start_tls(config)).await else {
                    return Ok(());
                };
                line = secured?;
            }
            Then::Close => return Ok(()),
        }
    }
}

fn idle(phone: &Phone) -> Duration {
    seconds(phone.persona().lockdown.idle_s)
}
