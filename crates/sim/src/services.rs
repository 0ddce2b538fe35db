//! The services behind the ports that StartService opens: TLS where it was promised, then the service by its name.

mod afc;
mod heartbeat;
mod installation_proxy;
mod log;
mod notification_proxy;
mod springboard;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::io::BoxStream;
use crate::lockdownd::Tunnel;
use crate::mobilebackup2;
use crate::phone::{Channel, Phone, StartedService, lock};

/// A host that has not finished its handshake by then never will.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// The services that this phone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Afc,
    Heartbeat,
    InstallationProxy,
    MobileBackup2,
    NotificationProxy,
    OsTrace,
    SpringBoard,
    Syslog,
}

impl Kind {
    /// The service of this name, if the phone has it. Hosts that trust nobody ask for notification_proxy's insecure twin.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            backupwatch_wire::afc::SERVICE => Self::Afc,
            backupwatch_wire::heartbeat::SERVICE => Self::Heartbeat,
            backupwatch_wire::installation_proxy::SERVICE => Self::InstallationProxy,
            backupwatch_wire::mobilebackup2::SERVICE => Self::MobileBackup2,
            backupwatch_wire::notification_proxy::SERVICE => Self::NotificationProxy,
            backupwatch_wire::os_trace::SERVICE => Self::OsTrace,
            backupwatch_wire::syslog::SERVICE => Self::Syslog,
            springboard::SERVICE => Self::SpringBoard,
            _ => return None,
        })
    }

    /// Whether a locked phone without a valid escrow bag refuses it (protocol.md 4.2, 9.1). A phone that was locked only
    /// keeps files back; what needs none starts.
    pub fn needs_unlocked(self) -> bool {
        match self {
            Self::Afc | Self::MobileBackup2 => true,
            Self::Heartbeat
            | Self::InstallationProxy
            | Self::NotificationProxy
            | Self::OsTrace
            | Self::SpringBoard
            | Self::Syslog => false,
        }
    }
}

/// Serves one connection of a started service to its end.
pub(crate) async fn serve(stream: BoxStream, service: StartedService, tunnel: Tunnel) {
    let name = service.name.clone();
    tunnel.phone.journal().note(Channel::Service, &name, None);
    let _open = Open::new(&tunnel.phone, &name);
    let Some(kind) = Kind::of(&name) else {
        return;
    };
    let stream = match secure(stream, &service, &tunnel.phone).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, service = name, "a host could not start TLS");
            return;
        }
    };
    let phone = Arc::clone(&tunnel.phone);
    let ended = match kind {
        Kind::Afc => afc::serve(stream, &phone).await,
        Kind::Heartbeat => heartbeat::serve(stream, &phone).await,
        Kind::InstallationProxy => installation_proxy::serve(stream, &phone).await,
        Kind::MobileBackup2 => {
            mobilebackup2::serve(stream, phone, service.escrow).await;
            Ok(())
        }
        Kind::NotificationProxy => notification_proxy::serve(stream, &phone).await,
        Kind::OsTrace => log::trace(stream, &phone).await,
        Kind::SpringBoard => springboard::serve(stream, &phone).await,
        Kind::Syslog => log::lines(stream, &phone).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, service = name, "a service connection broke");
    }
}

async fn secure(
    stream: BoxStream,
    service: &StartedService,
    phone: &Phone,
) -> io::Result<ServiceStream> {
    if !service.ssl {
        return Ok(ServiceStream::Plain(stream));
    }
    let config = lock(phone.pairings())
        .get(&service.host_id)
        .map(|pairing| Arc::clone(&pairing.tls))
        .ok_or_else(|| io::Error::other("the host is no longer trusted"))?;
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE, handshake).await??;
    Ok(ServiceStream::Tls(Box::new(stream)))
}

/// A service's stream, as StartService promised it.
pub(crate) enum ServiceStream {
    Plain(BoxStream),
    Tls(Box<TlsStream<BoxStream>>),
}

impl AsyncRead for ServiceStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Counts a service's open connections in the phone's state, as long as they live.
struct Open<'a> {
    phone: &'a Phone,
    name: &'a str,
}

impl<'a> Open<'a> {
    fn new(phone: &'a Phone, name: &'a str) -> Self {
        phone.change(|state| *state.open.entry(name.to_owned()).or_default() += 1);
        Self { phone, name }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.phone.change(|state| {
            if let Some(count) = state.open.get_mut(self.name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    state.open.remove(self.name);
                }
            }
        });
    }
}
