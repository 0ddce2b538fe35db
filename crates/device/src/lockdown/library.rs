//! lockdownd as libimobiledevice asks it, on a thread of its own.

use std::io;

use backupwatch_imobiledevice::{
    self as imobiledevice, Device, Error, IdeviceError, LockdownError,
};
use backupwatch_wire::lockdown::TYPE;
use plist::Value;

use super::{FAREWELL, LABEL, Started, hello, unexpected};
use crate::error::DeviceError;
use crate::library::{Held, Lane, as_ours, lookup};
use crate::list::list;
use crate::listen::Attached;
use crate::pair_record::Credentials;
use crate::timeouts::Timeouts;
use crate::transport::Transport;

const DOING: &str = "a question to lockdownd";

/// A connection that the library has open.
pub(super) struct Called {
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
        let lane = transport.library().lane(&attached.udid)?;
        let device = greet(&lane, transport, attached, timeouts).await?;
        Ok(Self {
            lane,
            transport: transport.clone(),
            attached: attached.clone(),
            timeouts: *timeouts,
            device,
        })
    }

    /// For connections to services. The library has noted in it how this phone's TLS is to be spoken.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// A failure comes with the connection where the phone still listens.
    ///
    /// To the library a handshake that the phone refuses is the same as one that broke off, and an answer that is unreadable the same
    /// as one that never came. What happens twice, while the phone answers in between, was no accident.
    pub(super) async fn start_session(
        mut self,
        credentials: &Credentials,
    ) -> Result<Self, (DeviceError, Option<Self>)> {
        let mut again = false;
        loop {
            match self.begin(credentials).await {
                Ok(()) => return Ok(self),
                Err(error @ DeviceError::Refused { .. }) => return Err((error, Some(self))),
                Err(DeviceError::TlsRefused { .. } | DeviceError::Unexpected { .. }) if !again => {
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
            let value = open(held)?.value(domain.as_deref(), key.as_deref());
            value
                .map_err(|error| as_ours(error, "GetValue"))?
                .ok_or_else(|| unexpected("GetValue"))
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
            open(held)?
                .start_service(&service, with_escrow_bag)
                .map(|started| Started {
                    port: started.port,
                    tls: started.tls,
                })
                .map_err(|error| as_ours(error, "StartService"))
        });
        started.await
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
        // The second is what 1.3 says where the answer has no type.
        Ok(_) | Err(DeviceError::Refused { .. }) => Err(DeviceError::NotInService),
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
    as_ours(error, request)
}
