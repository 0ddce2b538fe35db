//! The connection to a service that lockdownd has started: a tunnel of its own, in TLS where the phone asks for it, made by us or
//! by libimobiledevice.
//!
//! The flag decides, not the kind of link: over the cable some phones want TLS for services and some do not
//! (protocol.md 6). Not here: starting services (`lockdown`).

use backupwatch_imobiledevice::{Connection, Device};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::error::DeviceError;
use crate::library::as_ours;
use crate::listen::Attached;
use crate::lockdown::{Lockdown, Started};
use crate::mux::{self, Mux};
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::tls::{self, Reads};
use crate::transport::Transport;

/// A service that is used by itself. The lockdown session ends as soon as it is there.
pub(crate) async fn open(
    transport: &Transport,
    attached: &Attached,
    service: &str,
    timeouts: &Timeouts,
) -> Result<DeviceStream, DeviceError> {
    let speaker = transport.speaker(&attached.udid);
    let opened = in_a_session(transport, attached, service, timeouts).await;
    if transport.speaker(&attached.udid) == speaker {
        opened
    } else {
        in_a_session(transport, attached, service, timeouts).await
    }
}

async fn in_a_session(
    transport: &Transport,
    attached: &Attached,
    service: &str,
    timeouts: &Timeouts,
) -> Result<DeviceStream, DeviceError> {
    let credentials = mux::credentials(transport.address(), &attached.udid, timeouts.mux).await?;
    let mut lockdown = Lockdown::connect(transport, attached, timeouts)
        .await?
        .start_session(&credentials)
        .await?;
    let started = lockdown.start_service(service, None).await?;
    let stream = connect(
        &lockdown,
        transport,
        attached,
        started,
        &credentials,
        Reads::Little,
        timeouts,
    )
    .await;
    lockdown.end().await;
    stream
}

/// The connection to what lockdownd has started, by whoever speaks to lockdownd.
pub(crate) async fn connect(
    lockdown: &Lockdown,
    transport: &Transport,
    attached: &Attached,
    started: Started,
    credentials: &Credentials,
    reads: Reads,
    timeouts: &Timeouts,
) -> Result<DeviceStream, DeviceError> {
    let stream = match lockdown.device() {
        None => by_idevice(transport, attached, started, credentials, reads, timeouts).await,
        Some(device) => by_libimobiledevice(transport, attached, started, device, timeouts).await,
    };
    if let Err(error) = &stream {
        transport.note(&attached.udid, error).await;
    }
    stream
}

async fn by_idevice(
    transport: &Transport,
    attached: &Attached,
    started: Started,
    credentials: &Credentials,
    reads: Reads,
    timeouts: &Timeouts,
) -> Result<DeviceStream, DeviceError> {
    let stream = Mux::open(transport.address(), timeouts.mux)
        .await?
        .connect(attached.device_id(), started.port)
        .await?;
    if started.tls {
        tls::wrap(stream, credentials, reads, timeouts.tls).await
    } else {
        Ok(stream)
    }
}

async fn by_libimobiledevice(
    transport: &Transport,
    attached: &Attached,
    started: Started,
    device: &Device,
    timeouts: &Timeouts,
) -> Result<DeviceStream, DeviceError> {
    const DOING: &str = "connecting to a service";
    let lane = transport.library().lane::<()>(&attached.udid)?;
    let device = device.clone();
    let within = timeouts.mux + timeouts.tls;
    let (within_reach, mut breaker) = oneshot::channel();
    let opened = lane.run(DOING, within, move |_| {
        let failed = |error| as_ours(error, DOING);
        let mut connection = Connection::open(&device, started.port).map_err(failed)?;
        // Nobody waits for what comes back too late, so the thread need not either.
        let _ = within_reach.send(connection.breaker().map_err(failed)?);
        if started.tls {
            connection.enable_tls().map_err(failed)?;
        }
        let (stream, _ending) = connection.into_stream().map_err(failed)?;
        Ok(stream)
    });
    let opened = opened.await;
    if matches!(opened, Err(DeviceError::Silent { .. }))
        && let Ok(breaker) = breaker.try_recv()
    {
        breaker.break_off();
    }
    let stream = opened?;
    stream
        .set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(stream))
        .map(|stream| DeviceStream::new(Box::new(stream)))
        .map_err(|source| DeviceError::link(DOING, source))
}
