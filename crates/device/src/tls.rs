//! TLS towards the phone, rented from `idevice`: the computer is the client and shows the certificate of the pair record;
//! nobody checks the phone's (protocol.md 4.4).
//!
//! Not here: when TLS is due (`lockdown` for the session, `phone` and `observe` for a service).

use std::time::Duration;

use idevice::{Idevice, IdeviceError};
use tokio::io::BufReader;

use crate::error::DeviceError;
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;

/// Bytes that are taken from the tunnel at a time, and kept for as long as the stream lives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reads {
    /// Questions and answers, and hints that are waited for as long as a phone is attached, of each phone.
    Little,
    /// Files. rustls asks for 4 KiB: four calls for each record.
    Much,
}

impl Reads {
    fn bytes(self) -> usize {
        match self {
            Self::Little => 4 << 10,
            Self::Much => 32 << 10,
        }
    }
}

pub(crate) async fn wrap(
    stream: DeviceStream,
    credentials: &Credentials,
    reads: Reads,
    within: Duration,
) -> Result<DeviceStream, DeviceError> {
    let buffered = BufReader::with_capacity(reads.bytes(), stream.into_inner());
    let mut idevice = Idevice::new(Box::new(buffered), "backupwatch");
    tokio::time::timeout(within, idevice.start_session(credentials.for_tls(), false))
        .await
        .map_err(|_| DeviceError::Silent {
            doing: "the TLS handshake",
            after: within,
        })?
        .map_err(handshake_failure)?;
    idevice
        .get_socket()
        .map(DeviceStream::new)
        .ok_or_else(|| DeviceError::Tls {
            source: Box::new(IdeviceError::NoEstablishedConnection),
        })
}

/// A handshake that the phone breaks off is a lost link; one that it refuses is a matter of trust.
fn handshake_failure(error: IdeviceError) -> DeviceError {
    if let IdeviceError::Socket(source) = error {
        return DeviceError::link("the TLS handshake", source);
    }
    DeviceError::Tls {
        source: Box::new(error),
    }
}
