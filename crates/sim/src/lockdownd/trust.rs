//! Pair, ValidatePair and Unpair, with the dialog on the screen between host and owner (protocol.md 4.2, 4.3).

use backupwatch_wire::lockdown::{LockdownError, PairCall, PairRecord, Reply};

use tokio::time::Instant;

use super::Tunnel;
use crate::pairing::{Pairing, PairingError};
use crate::persona::{Dialog, LinkKind, PairingPolicy};
use crate::phone::{Phone, TrustDialog, lock, seconds};

pub(super) fn pair(tunnel: &Tunnel, call: &PairCall) -> Result<Reply, LockdownError> {
    let phone = &tunnel.phone;
    if tunnel.kind == LinkKind::Network {
        return Err(LockdownError::PairingProhibitedOverThisConnection);
    }
    match phone.persona().trust.pairing {
        PairingPolicy::Allowed => {}
        PairingPolicy::Managed => return Err(LockdownError::MCProtected),
        PairingPolicy::ManagedChallenge => return Err(LockdownError::MCChallengeRequired),
    }
    if phone.state().locked {
        return Err(LockdownError::PasswordProtected);
    }
    let pairing = Pairing::from_record(&call.record).map_err(|error| match error {
        PairingError::Missing { .. }
        | PairingError::NotACertificate { .. }
        | PairingError::Tls(_) => LockdownError::InvalidPairRecord,
        PairingError::Key(_)
        | PairingError::Encoding(_)
        | PairingError::Certificate(_)
        | PairingError::Random => LockdownError::SavePairRecordFailed,
    })?;
    // A host that is trusted already is not asked about again.
    if let Some(known) = lock(phone.pairings()).get(&pairing.host_id) {
        return Ok(Reply::Paired {
            escrow_bag: Some(known.escrow_bag.clone()),
        });
    }
    owner_answers(phone);
    match phone.state().trust_dialog {
        TrustDialog::Hidden => {
            phone.change(|state| {
                state.trust_dialog = TrustDialog::Shown {
                    since: Instant::now(),
                };
            });
            Err(LockdownError::PairingDialogResponsePending)
        }
        TrustDialog::Shown { .. } => Err(LockdownError::PairingDialogResponsePending),
        TrustDialog::Denied => Err(LockdownError::UserDeniedPairing),
        TrustDialog::Trusted => {
            let escrow_bag = pairing.escrow_bag.clone();
            lock(phone.pairings()).insert(pairing.host_id.clone(), pairing);
            phone.change(|state| state.trust_dialog = TrustDialog::Hidden);
            Ok(Reply::Paired {
                escrow_bag: Some(escrow_bag),
            })
        }
    }
}

/// The persona's own hand on the dialog. Nobody but a host that asks again can see when it came, so it comes then.
fn owner_answers(phone: &Phone) {
    let (after, answer) = match phone.persona().trust.dialog {
        Dialog::Wait => return,
        Dialog::TapAfter(after) => (after, TrustDialog::Trusted),
        Dialog::DenyAfter(after) => (after, TrustDialog::Denied),
    };
    phone.change(|state| {
        if let TrustDialog::Shown { since } = state.trust_dialog
            && since.elapsed() >= seconds(after)
        {
            state.trust_dialog = answer;
        }
    });
}

pub(super) fn validate(phone: &Phone, record: &PairRecord) -> Result<(), LockdownError> {
    if !phone.state().unlocked_since_boot {
        return Err(LockdownError::PasswordProtected);
    }
    if lock(phone.pairings()).contains_key(&record.host_id) {
        Ok(())
    } else {
        Err(LockdownError::InvalidHostID)
    }
}

pub(super) fn unpair(phone: &Phone, record: &PairRecord) -> Result<(), LockdownError> {
    match lock(phone.pairings()).remove(&record.host_id) {
        Some(_) => Ok(()),
        None => Err(LockdownError::InvalidHostID),
    }
}
