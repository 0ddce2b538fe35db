//! A phone as the backup engine wants it: four services on authenticated streams, opened in one lockdown session.
//!
//! Not here: what is said on the streams (`backup`).

use backupwatch_backup::{About, OpenError, Opened, Phone};
use backupwatch_core::Udid;
use backupwatch_wire::{afc, installation_proxy, mobilebackup2, notification_proxy, springboard};
use plist::Dictionary;

use crate::error::DeviceError;
use crate::list::attachments_of;
use crate::listen::Attached;
use crate::lockdown::{Lockdown, Started};
use crate::mux;
use crate::pair_record::Credentials;
use crate::service;
use crate::stream::DeviceStream;
use crate::timeouts::Timeouts;
use crate::tls::Reads;
use crate::transport::Transport;

/// A phone that usbmuxd knows by this UDID, by cable where there is one.
#[derive(Clone, Debug)]
pub struct IdevicePhone {
    transport: Transport,
    udid: Udid,
    timeouts: Timeouts,
}

impl IdevicePhone {
    #[must_use]
    pub fn new(transport: impl Into<Transport>, udid: Udid, timeouts: Timeouts) -> Self {
        Self {
            transport: transport.into(),
            udid,
            timeouts,
        }
    }

    /// A session over the best attachment that answers. What a phone refuses over one link it refuses over the other, so
    /// only an attachment that does not answer sends us to the next.
    async fn session(
        &self,
        credentials: &Credentials,
    ) -> Result<(Attached, Lockdown), DeviceError> {
        let mut last = DeviceError::NotAttached;
        for attached in attachments_of(self.transport.address(), &self.udid, &self.timeouts).await?
        {
            match Lockdown::connect(&self.transport, &attached, &self.timeouts).await {
                Ok(lockdown) => {
                    let session = lockdown.start_session(credentials).await?;
                    return Ok((attached, session));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn open_services(&self) -> Result<Opened<DeviceStream>, OpenError> {
        let plain = |error: DeviceError| error.open_error(None);
        let credentials = mux::credentials(self.transport.address(), &self.udid, self.timeouts.mux)
            .await
            .map_err(plain)?;
        let (attached, mut lockdown) = self.session(&credentials).await.map_err(plain)?;
        let about = about(&mut lockdown).await.map_err(plain)?;

        let backup = start_backup(&mut lockdown, &credentials).await?;
        let notifications = start(&mut lockdown, notification_proxy::SERVICE).await?;
        let afc = start_afc(&mut lockdown, &credentials).await?;
        let apps = start_if_allowed(&mut lockdown, installation_proxy::SERVICE).await?;
        let icons = start_if_allowed(&mut lockdown, springboard::SERVICE).await?;

        let connect = |name: &'static str, started: Started| {
            let (lockdown, attached, credentials) = (&lockdown, &attached, &credentials);
            let reads = if name == mobilebackup2::SERVICE {
                Reads::Much
            } else {
                Reads::Little
            };
            async move {
                service::connect(
                    lockdown,
                    &self.transport,
                    attached,
                    started,
                    credentials,
                    reads,
                    &self.timeouts,
                )
                .await
                .map_err(|error| error.open_error(Some(name)))
            }
        };
        // All at once, while the session is still there: on Wi-Fi a handshake takes its time.
        let connect_if_started = |name: &'static str, started: Option<Started>| {
            let connect = &connect;
            async move {
                match started {
                    Some(started) => connect(name, started).await.map(Some),
                    None => Ok(None),
                }
            }
        };
        let (backup, notifications, afc, apps, icons) = tokio::try_join!(
            connect(mobilebackup2::SERVICE, backup),
            connect(notification_proxy::SERVICE, notifications),
            connect(afc::SERVICE, afc),
            connect_if_started(installation_proxy::SERVICE, apps),
            connect_if_started(springboard::SERVICE, icons),
        )?;
        lockdown.end().await;
        Ok(Opened {
            about,
            backup,
            notifications,
            afc,
            apps,
            icons,
        })
    }
}

impl Phone for IdevicePhone {
    type Stream = DeviceStream;

    fn udid(&self) -> &Udid {
        &self.udid
    }

    async fn open(&self) -> Result<Opened<DeviceStream>, OpenError> {
        let speaker = self.transport.speaker(&self.udid);
        let opened = self.open_services().await;
        if self.transport.speaker(&self.udid) == speaker {
            opened
        } else {
            self.open_services().await
        }
    }
}

/// What Info.plist needs. Only the root domain must be there.
async fn about(lockdown: &mut Lockdown) -> Result<About, DeviceError> {
    Ok(About {
        root: lockdown.domain(None).await?,
        itunes: domain_if_there(lockdown, "com.apple.iTunes").await?,
        mobile_itunes: domain_if_there(lockdown, "com.apple.mobile.iTunes").await?,
        backup_domain: domain_if_there(lockdown, "com.apple.mobile.backup").await?,
    })
}

async fn domain_if_there(lockdown: &mut Lockdown, domain: &str) -> Result<Dictionary, DeviceError> {
    match lockdown.domain(Some(domain)).await {
        Err(DeviceError::Refused { error, .. }) => {
            tracing::debug!(domain, %error, "the phone does not tell a domain");
            Ok(Dictionary::new())
        }
        other => other,
    }
}

/// mobilebackup2 with the escrow bag: without it the backup breaks when the screen locks (protocol.md 9.1).
async fn start_backup(
    lockdown: &mut Lockdown,
    credentials: &Credentials,
) -> Result<Started, OpenError> {
    let bag = credentials.escrow_bag.as_ref();
    if bag.is_none() {
        tracing::warn!("the pair record has no escrow bag: keep the phone unlocked, or pair again");
    }
    lockdown
        .start_service(mobilebackup2::SERVICE, bag)
        .await
        .map_err(
            |error| match (error.open_error(Some(mobilebackup2::SERVICE)), bag) {
                // A phone that is only locked takes the bag; one that was never unlocked cannot (protocol.md 4.2).
                (OpenError::Locked, Some(_)) => OpenError::NeverUnlocked,
                (error, _) => error,
            },
        )
}

/// AFC as others start it, without the bag; a phone whose screen is locked may want to see it here, too.
async fn start_afc(
    lockdown: &mut Lockdown,
    credentials: &Credentials,
) -> Result<Started, OpenError> {
    match (start(lockdown, afc::SERVICE).await, &credentials.escrow_bag) {
        (Err(OpenError::Locked), Some(bag)) => lockdown
            .start_service(afc::SERVICE, Some(bag))
            .await
            .map_err(|error| error.open_error(Some(afc::SERVICE))),
        (result, _) => result,
    }
}

async fn start(lockdown: &mut Lockdown, service: &'static str) -> Result<Started, OpenError> {
    lockdown
        .start_service(service, None)
        .await
        .map_err(|error| error.open_error(Some(service)))
}

/// A service that the backup can do without.
async fn start_if_allowed(
    lockdown: &mut Lockdown,
    service: &'static str,
) -> Result<Option<Started>, OpenError> {
    match lockdown.start_service(service, None).await {
        Ok(started) => Ok(Some(started)),
        Err(DeviceError::Refused { error, .. }) => {
            tracing::debug!(service, %error, "the phone does not start a service");
            Ok(None)
        }
        Err(error) => Err(error.open_error(Some(service))),
    }
}
