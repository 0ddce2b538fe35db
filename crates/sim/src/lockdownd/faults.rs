//! Answers that are broken on purpose, as the persona's `[[lockdown.fault]]` says.

use std::time::Duration;

use backupwatch_wire::codec;
use backupwatch_wire::lockdown::{LockdownError, Reply, Request, encode_frame};
use plist::Value;

use crate::persona::{LockdownFault, LockdownFaultKind};
use crate::phone::{Phone, seconds};

/// What goes out in place of the answer.
pub(super) enum Sent {
    /// The answer.
    Whole,
    Instead(Vec<u8>),
    Late(Duration),
    /// Nothing ever again on this connection.
    Nothing,
    /// These bytes, then the connection closes.
    Last(Vec<u8>),
    /// These bytes, then the phone is gone.
    LastAndGone(Vec<u8>),
}

/// Decides what becomes of the answer `bytes` to `request`, and counts.
pub(super) fn befall(phone: &Phone, request: &Request, bytes: &[u8]) -> Sent {
    let faults = &phone.persona().lockdown.fault;
    let hit = faults.iter().enumerate().find(|(number, fault)| {
        concerns(fault, request) && {
            let met = phone.meet_fault(*number);
            let due = met >= fault.after;
            due && fault.times.is_none_or(|times| met - fault.after < times)
        }
    });
    let half = || bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec();
    match hit.map(|(_, fault)| &fault.kind) {
        None => Sent::Whole,
        Some(LockdownFaultKind::Stall) => Sent::Nothing,
        Some(LockdownFaultKind::Close) => Sent::Last(Vec::new()),
        Some(LockdownFaultKind::Cut) => Sent::Last(half()),
        Some(LockdownFaultKind::Unplug) => Sent::LastAndGone(half()),
        Some(LockdownFaultKind::Rubbish) => {
            Sent::Instead(encode_frame(b"\x7fELF this is no property list"))
        }
        Some(LockdownFaultKind::NotADictionary) => {
            Sent::Instead(encode_frame(&codec::to_xml(&Value::from("hello"))))
        }
        Some(LockdownFaultKind::HugeLength) => {
            Sent::Instead([&0xFFFF_FFF0_u32.to_be_bytes()[..], b"bplist00"].concat())
        }
        Some(LockdownFaultKind::Error(word)) => {
            Sent::Instead(Reply::Refused(LockdownError::from(word.as_str())).encode(request))
        }
        Some(LockdownFaultKind::Slow(by)) => Sent::Late(seconds(*by)),
    }
}

fn concerns(fault: &LockdownFault, request: &Request) -> bool {
    let domain = match request {
        Request::GetValue { domain, .. }
        | Request::SetValue { domain, .. }
        | Request::RemoveValue { domain, .. } => domain.as_deref(),
        Request::QueryType
        | Request::Pair(_)
        | Request::ValidatePair(_)
        | Request::Unpair(_)
        | Request::StartSession { .. }
        | Request::StopSession { .. }
        | Request::StartService { .. }
        | Request::Goodbye
        | Request::Unknown { .. } => None,
    };
    fault
        .request
        .as_deref()
        .is_none_or(|name| name == request.name())
        && fault
            .domain
            .as_deref()
            .is_none_or(|name| Some(name) == domain)
}
