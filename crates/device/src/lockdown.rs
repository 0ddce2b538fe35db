//! One connection to lockdownd: open, ask, close. The phone drops an idle one after about 10 s (protocol.md 4.1), so
//! nobody holds one.
//!
//! Spoken by our own codec over `idevice`'s TLS (`spoken`), or by libimobiledevice (`library`); the rest of this crate does not
//! know which. Not here: what the values mean (`reading`).

mod library;
mod spoken;

use std::time::Duration;

use backupwatch_core::{LinkKind, Udid};
use backupwatch_wire::lockdown::Secret;
use plist::{Dictionary, Value};

use self::library::Called;
pub(crate) use self::spoken::{Spoken, read_frame};
use crate::error::DeviceError;
use crate::listen::Attached;
use crate::pair_record::Credentials;
use crate::timeouts::Timeouts;
use crate::transport::{Speaker, Transport};

/// How we name ourselves to lockdownd.
const LABEL: &str = "backupwatch";
/// How long the goodbyes may take. The phone has told all that we asked; nothing depends on them.
const FAREWELL: Duration = Duration::from_secs(2);

/// A service that the phone has started for us, waiting for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    pub port: u16,
    pub tls: bool,
}

pub(crate) struct Lockdown {
    line: Line,
    transport: Transport,
    udid: Udid,
}

enum Line {
    Idevice(Spoken),
    Libimobiledevice(Called),
}

impl Lockdown {
    /// Connects and makes sure that a phone is at the other end. On Wi-Fi the wait is short: usbmuxd lists phones that
    /// have long left the house (protocol.md 6).
    pub(crate) async fn connect(
        transport: &Transport,
        attached: &Attached,
        timeouts: &Timeouts,
    ) -> Result<Self, DeviceError> {
        let line = match transport.speaker(&attached.udid) {
            Speaker::Idevice => Spoken::connect(transport.address(), attached, timeouts)
                .await
                .map(Line::Idevice),
            Speaker::Libimobiledevice => Called::connect(transport, attached, timeouts)
                .await
                .map(Line::Libimobiledevice),
        };
        noted(transport, &attached.udid, line)
            .await
            .map(|line| Self {
                line,
                transport: transport.clone(),
                udid: attached.udid.clone(),
            })
    }

    /// Starts a session: from here on everything is inside TLS, and every value is open to us.
    pub(crate) async fn start_session(
        self,
        credentials: &Credentials,
    ) -> Result<Self, SessionFailure> {
        let Self {
            line,
            transport,
            udid,
        } = self;
        let begun = match line {
            Line::Idevice(spoken) => spoken
                .start_session(credentials)
                .await
                .map(Line::Idevice)
                .map_err(|(error, spoken)| (error, spoken.map(Line::Idevice))),
            Line::Libimobiledevice(called) => called
                .start_session(credentials)
                .await
                .map(Line::Libimobiledevice)
                .map_err(|(error, called)| (error, called.map(Line::Libimobiledevice))),
        };
        if let Err((error, _)) = &begun {
            transport.note(&udid, error).await;
        }
        let with = |line| Self {
            line,
            transport,
            udid,
        };
        match begun {
            Ok(line) => Ok(with(line)),
            Err((error, line)) => Err(SessionFailure {
                error,
                lockdown: line.map(with).map(Box::new),
            }),
        }
    }

    /// A whole domain; the root one without a name.
    pub(crate) async fn domain(&mut self, domain: Option<&str>) -> Result<Dictionary, DeviceError> {
        let values = match self.get(domain, None).await {
            Ok(Value::Dictionary(values)) => Ok(values),
            Ok(_) => Err(unexpected("GetValue")),
            Err(error) => Err(error),
        };
        noted(&self.transport, &self.udid, values).await
    }

    /// One value of the root domain.
    pub(crate) async fn value(&mut self, key: &str) -> Result<Value, DeviceError> {
        let value = self.get(None, Some(key)).await;
        noted(&self.transport, &self.udid, value).await
    }

    async fn get(&mut self, domain: Option<&str>, key: Option<&str>) -> Result<Value, DeviceError> {
        match &mut self.line {
            Line::Idevice(spoken) => spoken.get(domain, key).await,
            Line::Libimobiledevice(called) => called.get(domain, key).await,
        }
    }

    pub(crate) async fn start_service(
        &mut self,
        service: &str,
        escrow_bag: Option<&Secret>,
    ) -> Result<Started, DeviceError> {
        let started = match &mut self.line {
            Line::Idevice(spoken) => spoken.start_service(service, escrow_bag).await,
            // It takes the bag out of the pair record by itself.
            Line::Libimobiledevice(called) => {
                called.start_service(service, escrow_bag.is_some()).await
            }
        };
        noted(&self.transport, &self.udid, started).await
    }

    /// The library, where it is what speaks to the phone.
    pub(crate) fn library(&self) -> Option<&Called> {
        match &self.line {
            Line::Idevice(_) => None,
            Line::Libimobiledevice(called) => Some(called),
        }
    }

    /// Ends the session, if there is one, and the connection. What goes wrong here harms nobody.
    pub(crate) async fn end(self) {
        match self.line {
            Line::Idevice(spoken) => spoken.end().await,
            Line::Libimobiledevice(called) => called.end().await,
        }
    }
}

/// Why there is no session, and the connection where the phone still listens: without a session it tells its name.
pub(crate) struct SessionFailure {
    pub error: DeviceError,
    pub lockdown: Option<Box<Lockdown>>,
}

impl From<SessionFailure> for DeviceError {
    fn from(failure: SessionFailure) -> Self {
        failure.error
    }
}

async fn noted<T>(
    transport: &Transport,
    udid: &Udid,
    result: Result<T, DeviceError>,
) -> Result<T, DeviceError> {
    if let Err(error) = &result {
        transport.note(udid, error).await;
    }
    result
}

/// How long the first answer may take.
fn hello(attached: &Attached, timeouts: &Timeouts) -> Duration {
    match attached.link {
        LinkKind::Usb => timeouts.request,
        LinkKind::Network => timeouts.network_hello,
    }
}

fn unexpected(request: &str) -> DeviceError {
    DeviceError::Unexpected {
        request: request.to_owned(),
    }
}
