//! The connection to a service that lockdownd has started: a tunnel of its own, in TLS where the phone asks for it, made by us or
//! by libimobiledevice.
//!
//! The flag decides, not the kind of link: over the cable some phones want TLS for services and some do not
//! (protocol.md 6). Not here: starting services (`lockdown`).

use crate::error::DeviceError;
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
    let stream = match lockdown.library() {
        None => by_idevice(transport, attached, started, credentials, reads, timeouts).await,
        Some(called) => called.connect_service(started).await,
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
