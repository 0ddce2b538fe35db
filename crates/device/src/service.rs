//! The connection to a service that lockdownd has started: a tunnel of its own, in TLS where the phone asks for it.
//!
//! The flag decides, not the kind of link: over the cable some phones want TLS for services and some do not
//! (protocol.md 6). Not here: starting services (`lockdown`).

use crate::address::MuxAddress;
use crate::error::DeviceError;
use crate::listen::Attached;
use crate::lockdown::Started;
use crate::mux::Mux;
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::tls;

pub(crate) async fn connect(
    address: &MuxAddress,
    attached: &Attached,
    started: Started,
    credentials: &Credentials,
    timeouts: &Timeouts,
) -> Result<DeviceStream, DeviceError> {
    let stream = Mux::open(address, timeouts.mux)
        .await?
        .connect(attached.device_id(), started.port)
        .await?;
    if started.tls {
        tls::wrap(stream, credentials, timeouts.tls).await
    } else {
        Ok(stream)
    }
}
