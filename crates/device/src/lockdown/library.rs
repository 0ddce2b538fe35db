//! lockdownd as libimobiledevice asks it, on a thread of its own.

use std::io;

use backupwatch_imobiledevice::{
    self as imobiledevice, Connection, Device, Error, IdeviceError, LockdownError,
};
use backupwatch_wire::lockdown::TYPE;
use plist::Value;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::{FAREWELL, LABEL, Started, hello, unexpected};
use crate::error::DeviceError;
use crate::library::{Held, Lane, as_ours, lookup, unknown_word};
use crate::list::list;
use crate::listen::Attached;
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::transport::Transport;

const DOING: &str = "a question to lockdownd";

/// A connection that the library has open.
pub(crate) struct Called {
    lane: Lane<imobiledevice::Lockdown>,
    transport: Transport,
    attached: Attached,
    timeouts: Timeouts,
    device: Device,
}

impl Called {
    pub(super) async fn connect(
        transport: &Transport,
        attached: &Attached,
        timeouts: &Timeouts,
    ) -> Result<Self, DeviceError> {
        let within = hello(attached, timeouts);
        let lane = transport.library().lane(&attached.udid, within).await?;
        let device = greet(&lane, transport, attached, timeouts).await?;
        Ok(Self {
            lane,
            transport: transport.clone(),
            attached: attached.clone(),
            timeouts: *timeouts,
            device,
        })
    }

    /// A failure comes with the connection where the phone still listens.
    ///
    /// To the library a handshake that the phone refuses is the same as one that broke off. What happens twice, while the phone
    /// answers in between, was no accident.
    pub(super) async fn start_session(
        mut self,
        credentials: &Credentials,
    ) -> Result<Self, (DeviceError, Option<Self>)> {
        let mut again = false;
        loop {
            match self.begin(credentials).await {
                Ok(()) => return Ok(self),
                Err(error @ DeviceError::Refused { .. }) => return Err((error, Some(self))),
                Err(DeviceError::TlsRefused { .. }) if !again => {
                    again = true;
                    let greeted =
                        greet(&self.lane, &self.transport, &self.attached, &self.timeouts);
                    self.device = greeted.await.map_err(|error| (error, None))?;
                }
                Err(error) => return Err((error, None)),
            }
        }
    }

    async fn begin(&self, credentials: &Credentials) -> Result<(), DeviceError> {
        let host_id = credentials.host_id.clone();
        let within = self.timeouts.request + self.timeouts.tls;
        let begun = self.lane.run("the TLS handshake", within, move |held| {
            let lockdown = open(held)?;
            // The library asks for it, too, and would not tell a refusal of it from one of the session.
            value(lockdown, None, Some("ProductVersion"))?;
            lockdown
                .start_session(&host_id)
                .map_err(|error| handshake(error, "StartSession"))?;
            // In TLS 1.3 a phone refuses a certificate only at the first question.
            let proof = lockdown
                .value(None, Some("UniqueDeviceID"))
                .map_err(|error| handshake(error, "GetValue"));
            let answered = |error: &DeviceError| matches!(error, DeviceError::Refused { .. });
            proof
                .err()
                .filter(|error| !answered(error))
                .map_or(Ok(()), Err)
        });
        begun.await
    }

    pub(super) async fn get(
        &mut self,
        domain: Option<&str>,
        key: Option<&str>,
    ) -> Result<Value, DeviceError> {
        let (domain, key) = (domain.map(str::to_owned), key.map(str::to_owned));
        let got = self.lane.run(DOING, self.timeouts.request, move |held| {
            value(open(held)?, domain.as_deref(), key.as_deref())
        });
        got.await
    }

    pub(super) async fn start_service(
        &mut self,
        service: &str,
        with_escrow_bag: bool,
    ) -> Result<Started, DeviceError> {
        let service = service.to_owned();
        let started = self.lane.run(DOING, self.timeouts.request, move |held| {
            let lockdown = open(held)?;
            match lockdown.start_service(&service, with_escrow_bag) {
                Ok(started) => Ok(Started {
                    port: started.port,
                    tls: started.tls,
                }),
                Err(error) => Err(told(lockdown, error, "StartService")),
            }
        });
        started.await
    }

    /// Connects to a service, on the same thread: the library has noted in its device how this phone's TLS is to be spoken.
    pub(crate) async fn connect_service(
        &self,
        started: Started,
    ) -> Result<DeviceStream, DeviceError> {
        const DOING: &str = "connecting to a service";
        let device = self.device.clone();
        let (within_reach, mut breaker) = oneshot::channel();
        let within = self.timeouts.mux + self.timeouts.tls;
        let opened = self.lane.run(DOING, within, move |_| {
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

    pub(super) async fn end(self) {
        let ended = self.lane.run("the goodbye", FAREWELL, |held| {
            // It ends its session by itself.
            held.state = None;
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::trace!(%error, "the phone did not say goodbye");
        }
    }
}

/// Opens a connection, in the place of the one that there was.
async fn greet(
    lane: &Lane<imobiledevice::Lockdown>,
    transport: &Transport,
    attached: &Attached,
    timeouts: &Timeouts,
) -> Result<Device, DeviceError> {
    let (udid, lookup) = (attached.udid.clone(), lookup(attached));
    let greeted = lane.run(
        "the first question",
        hello(attached, timeouts),
        move |held| {
            held.state = None;
            let failed = |error| as_ours(error, "QueryType");
            let device = Device::open(held.library, udid.as_str(), lookup).map_err(failed)?;
            let mut lockdown = imobiledevice::Lockdown::connect(&device, LABEL).map_err(failed)?;
            let kind = lockdown.query_type().map_err(failed)?;
            held.state = Some(lockdown);
            Ok((device, kind))
        },
    );
    match greeted.await {
        Ok((device, Some(kind))) if kind == TYPE => Ok(device),
        Ok(_) => Err(DeviceError::NotInService),
        Err(error) => Err(explained(error, transport, attached, timeouts).await),
    }
}

/// The library does not tell apart a usbmuxd that does not answer, a phone that is gone, and one that does not listen.
async fn explained(
    error: DeviceError,
    transport: &Transport,
    attached: &Attached,
    timeouts: &Timeouts,
) -> DeviceError {
    match list(transport.address(), timeouts).await {
        Err(why) => why,
        Ok(there) if !there.contains(attached) => DeviceError::NotAttached,
        Ok(_) => error,
    }
}

/// The connection, which is there unless the library has lost it.
fn open(
    held: &mut Held<imobiledevice::Lockdown>,
) -> Result<&mut imobiledevice::Lockdown, DeviceError> {
    held.state.as_mut().ok_or(DeviceError::NotAttached)
}

fn value(
    lockdown: &mut imobiledevice::Lockdown,
    domain: Option<&str>,
    key: Option<&str>,
) -> Result<Value, DeviceError> {
    match lockdown.value(domain, key) {
        Ok(value) => value.ok_or_else(|| unexpected("GetValue")),
        Err(error) => Err(told(lockdown, error, "GetValue")),
    }
}

/// The library has one number for a word that it does not know and for a connection that is gone; on the latter nothing is answered.
fn told(
    lockdown: &mut imobiledevice::Lockdown,
    error: Error,
    request: &'static str,
) -> DeviceError {
    let unknown = matches!(error, Error::Lockdown(LockdownError::Unknown));
    if unknown && matches!(lockdown.query_type(), Ok(Some(_))) {
        unknown_word(request)
    } else {
        as_ours(error, request)
    }
}

/// What came of TLS, or of the first question in it.
fn handshake(error: Error, request: &'static str) -> DeviceError {
    if matches!(
        error,
        Error::Lockdown(LockdownError::Ssl) | Error::Idevice(IdeviceError::Ssl)
    ) {
        return DeviceError::TlsRefused {
            source: io::Error::other(error),
        };
    }
    if matches!(error, Error::Lockdown(LockdownError::Plist)) {
        // In 1.3 this is any answer to StartSession that did not come.
        return DeviceError::Link {
            doing: request,
            source: io::Error::other(error),
        };
    }
    as_ours(error, request)
}
