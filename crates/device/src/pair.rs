//! Asking a phone to trust this computer: once, and then patiently until somebody has answered on the phone.
//!
//! Not here: keys and certificates (`certificates`), the words for the person (`core`), and whether asking is wanted.

use std::time::Duration;

use backupwatch_backup::Clock;
use backupwatch_core::{LinkKind, NoAnswer, Trust};
use backupwatch_wire::lockdown::{LockdownError, PairCall, PairRecord, Reply, Request, Secret};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::address::MuxAddress;
use crate::certificates::{Identity, make_identity};
use crate::error::DeviceError;
use crate::listen::Attached;
use crate::lockdown::{Lockdown, Spoken};
use crate::mux::{self, Mux};
use crate::timeouts::Timeouts;
use crate::transport::Transport;

/// How a phone is asked.
#[derive(Clone, Debug)]
pub struct PairOptions {
    /// How the phone may name this computer.
    pub host_name: Option<String>,
    /// How long to wait for somebody to tap.
    pub patience: Duration,
}

/// Asks a phone to trust this computer, waits for the answer, and has usbmuxd keep the pair record.
///
/// A phone that trusts us already is not asked. `pending` is called once, when the question is on the phone's screen.
///
/// The question is ours on both ways: libimobiledevice makes new keys each time when it asks (`docs/adr/0014`).
///
/// Every answer of the phone is a [`Trust`]; [`Trust::DialogPending`] is a question that nobody has answered in time.
///
/// # Errors
/// When the phone or usbmuxd could not be asked, or on `cancel`.
pub async fn pair(
    transport: &Transport,
    attached: &Attached,
    options: &PairOptions,
    clock: &dyn Clock,
    timeouts: &Timeouts,
    pending: impl FnOnce(),
    cancel: CancellationToken,
) -> Result<Trust, DeviceError> {
    // Phones show the question only to a computer on the cable (protocol.md 6).
    if attached.link != LinkKind::Usb {
        return Ok(Trust::CableNeeded);
    }
    let work = async {
        let speaker = transport.speaker(&attached.udid);
        let mut trust = trusts_already(transport, attached, timeouts).await;
        if transport.speaker(&attached.udid) != speaker {
            trust = trusts_already(transport, attached, timeouts).await;
        }
        if let Some(trust) = trust? {
            return Ok(trust);
        }
        let address = transport.address();
        let question = Question::prepare(address, attached, options, clock, timeouts).await?;
        question
            .ask(address, attached, options, timeouts, pending)
            .await
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(DeviceError::Cancelled),
        answer = work => answer,
    }
}

/// What trying the record that we have tells; `None` where the phone must be asked.
async fn trusts_already(
    transport: &Transport,
    attached: &Attached,
    timeouts: &Timeouts,
) -> Result<Option<Trust>, DeviceError> {
    let record = mux::credentials(transport.address(), &attached.udid, timeouts.mux).await;
    let credentials = match record {
        Ok(credentials) => credentials,
        Err(DeviceError::NoPairRecord | DeviceError::PairRecord(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let lockdown = Lockdown::connect(transport, attached, timeouts).await?;
    let refusal = match lockdown.start_session(&credentials).await {
        Ok(mut session) => {
            // In TLS 1.3 a phone refuses a certificate only at the first question.
            let proof = session.value("UniqueDeviceID").await;
            session.end().await;
            match proof {
                Err(error @ DeviceError::TlsRefused { .. }) => error,
                Ok(_) | Err(_) => return Ok(Some(Trust::Trusted)),
            }
        }
        Err(failure) => failure.error,
    };
    match refusal.no_answer() {
        NoAnswer::NotTrusted => Ok(None),
        // It knows us, but cannot say so before it has been unlocked.
        NoAnswer::Locked | NoAnswer::NeverUnlocked => Ok(Some(Trust::LockedForPairing)),
        NoAnswer::LinkLost
        | NoAnswer::Prohibited
        | NoAnswer::Missing
        | NoAnswer::Unreadable { .. } => Err(refusal),
    }
}

/// A pairing that is about to be asked for. Its keys are made once: all the repeated questions are the same one.
struct Question {
    record: PairRecord,
    host_name: Option<String>,
}

impl Question {
    async fn prepare(
        address: &MuxAddress,
        attached: &Attached,
        options: &PairOptions,
        clock: &dyn Clock,
        timeouts: &Timeouts,
    ) -> Result<Self, DeviceError> {
        let system_buid = Mux::open(address, timeouts.mux).await?.buid().await?;
        let mut lockdown = Spoken::connect(address, attached, timeouts).await?;
        let public_key = lockdown.get(None, Some("DevicePublicKey")).await?;
        let wifi_mac = lockdown.get(None, Some("WiFiAddress")).await;
        // Making keys may take longer than an idle connection lives.
        lockdown.end().await;
        let public_key = public_key
            .into_data()
            .ok_or_else(|| DeviceError::Unexpected {
                request: "GetValue DevicePublicKey".to_owned(),
            })?;
        let Identity {
            host_id,
            device_certificate,
            host_certificate,
            host_private_key,
            root_certificate,
            root_private_key,
        } = make_identity(public_key, clock.now())
            .await
            .map_err(DeviceError::Certificates)?;
        let pem = |text: String| Some(Secret(text.into_bytes()));
        Ok(Self {
            record: PairRecord {
                host_id,
                system_buid: Some(system_buid),
                device_certificate: pem(device_certificate),
                host_certificate: pem(host_certificate),
                root_certificate: pem(root_certificate),
                host_private_key: pem(host_private_key),
                root_private_key: pem(root_private_key),
                escrow_bag: None,
                // Only the record of other programs wants it; an iPod of the cable age has none.
                wifi_mac_address: wifi_mac.ok().and_then(plist::Value::into_string),
                udid: Some(attached.udid.as_str().to_owned()),
            },
            host_name: options.host_name.clone(),
        })
    }

    async fn ask(
        self,
        address: &MuxAddress,
        attached: &Attached,
        options: &PairOptions,
        timeouts: &Timeouts,
        pending: impl FnOnce(),
    ) -> Result<Trust, DeviceError> {
        let request = Request::Pair(PairCall {
            // Encoding leaves the private keys out: they never go to a phone (protocol.md 4.1).
            record: self.record.clone(),
            extended_errors: true,
            host_name: self.host_name.clone(),
            protocol_version: Some("2".to_owned()),
        });
        let until = Instant::now() + options.patience;
        let mut pending = Some(pending);
        let mut lockdown = Spoken::connect(address, attached, timeouts).await?;
        loop {
            match lockdown.ask(&request).await {
                Ok(Reply::Paired { escrow_bag }) => {
                    lockdown.end().await;
                    self.keep(escrow_bag, address, attached, timeouts).await?;
                    return Ok(Trust::Trusted);
                }
                Ok(_) => {
                    return Err(DeviceError::Unexpected {
                        request: request.name().to_owned(),
                    });
                }
                Err(DeviceError::Refused {
                    error: LockdownError::PairingDialogResponsePending,
                    ..
                }) => {
                    if let Some(pending) = pending.take() {
                        pending();
                    }
                }
                // The question stays on the screen when a phone drops the connection; the same keys ask on.
                Err(DeviceError::Link { .. }) if pending.is_none() => {
                    lockdown = Spoken::connect(address, attached, timeouts).await?;
                }
                Err(error) => {
                    return match error.trust() {
                        Some(trust) => {
                            lockdown.end().await;
                            Ok(trust)
                        }
                        None => Err(error),
                    };
                }
            }
            if Instant::now() + timeouts.pair_repeat > until {
                lockdown.end().await;
                return Ok(Trust::DialogPending);
            }
            tokio::time::sleep(timeouts.pair_repeat).await;
        }
    }

    /// The phone trusts us; from here on a failure would leave it trusting a computer that has lost the key.
    async fn keep(
        self,
        escrow_bag: Option<Secret>,
        address: &MuxAddress,
        attached: &Attached,
        timeouts: &Timeouts,
    ) -> Result<(), DeviceError> {
        let record = PairRecord {
            escrow_bag,
            ..self.record
        };
        Mux::open(address, timeouts.mux)
            .await?
            .save_pair_record(&attached.udid, record.encode(), attached.device_id())
            .await?;
        Ok(())
    }
}
