//! What lockdownd answers in which state of a session (protocol.md 4.1 to 4.3).

use std::sync::Arc;

use backupwatch_wire::lockdown::{LockdownError, Reply, Request, Secret, TYPE};
use rustls::ServerConfig;

use super::{Tunnel, trust, values};
use crate::persona::{BeforeFirstUnlock, LinkKind, ServiceSsl};
use crate::phone::{Phone, StartedService, lock};
use crate::services;

/// What happens to the connection after the reply.
pub(super) enum Then {
    GoOn,
    StartTls(Arc<ServerConfig>),
    Close,
}

/// One connection's session, if it has one.
pub(super) struct Session<'a> {
    tunnel: &'a Tunnel,
    state: State,
}

enum State {
    None,
    Started { id: String, host_id: String },
    Stopped,
}

type Refusable = Result<(Reply, Then), LockdownError>;

impl<'a> Session<'a> {
    pub(super) fn new(tunnel: &'a Tunnel) -> Self {
        Self {
            tunnel,
            state: State::None,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    pub(super) fn answer(&mut self, request: &Request) -> (Reply, Then) {
        self.decide(request)
            .unwrap_or_else(|error| (Reply::Refused(error), Then::GoOn))
    }

    fn decide(&mut self, request: &Request) -> Refusable {
        let go_on = |reply| Ok((reply, Then::GoOn));
        let paired = self.host().is_some();
        let phone = &self.tunnel.phone;
        match request {
            Request::QueryType => go_on(Reply::Type(TYPE.to_owned())),
            Request::GetValue { domain, key } => go_on(Reply::Value(values::get(
                phone,
                domain.as_deref(),
                key.as_deref(),
                paired,
            )?)),
            Request::SetValue { domain, key, value } => {
                values::set(
                    phone,
                    domain.as_deref(),
                    key.as_deref(),
                    Some(value),
                    paired,
                )?;
                go_on(Reply::Done)
            }
            Request::RemoveValue { domain, key } => {
                values::set(phone, domain.as_deref(), key.as_deref(), None, paired)?;
                go_on(Reply::Done)
            }
            Request::Pair(call) => go_on(trust::pair(self.tunnel, call)?),
            Request::ValidatePair(call) => {
                trust::validate(phone, &call.record)?;
                go_on(Reply::Done)
            }
            Request::Unpair(call) => {
                trust::unpair(phone, &call.record)?;
                go_on(Reply::Done)
            }
            Request::StartSession {
                host_id,
                system_buid,
            } => self.start(host_id, system_buid.as_deref()),
            Request::StopSession { session_id } => self.stop(session_id),
            Request::StartService {
                service,
                escrow_bag,
            } => go_on(self.start_service(service, escrow_bag.as_ref())?),
            Request::Goodbye => Ok((Reply::Done, Then::Close)),
            Request::Unknown { .. } => Err(LockdownError::Other("InvalidRequest".to_owned())),
        }
    }

    fn host(&self) -> Option<&str> {
        match &self.state {
            State::Started { host_id, .. } => Some(host_id),
            State::None | State::Stopped => None,
        }
    }

    fn start(&mut self, host_id: &str, system_buid: Option<&str>) -> Refusable {
        if self.host().is_some() {
            return Err(LockdownError::SessionActive);
        }
        let phone = &self.tunnel.phone;
        if !phone.state().unlocked_since_boot {
            match phone.persona().passcode.before_first_unlock {
                BeforeFirstUnlock::PasswordProtected => {
                    return Err(LockdownError::PasswordProtected);
                }
                BeforeFirstUnlock::InvalidHostId => return Err(LockdownError::InvalidHostID),
                BeforeFirstUnlock::Session => {}
            }
        }
        let tls = {
            let pairings = lock(phone.pairings());
            let pairing = pairings.get(host_id).ok_or(LockdownError::InvalidHostID)?;
            if system_buid.is_some_and(|buid| buid != pairing.system_buid) {
                return Err(LockdownError::InvalidHostID);
            }
            Arc::clone(&pairing.tls)
        };
        let id = session_id(phone);
        self.state = State::Started {
            id: id.clone(),
            host_id: host_id.to_owned(),
        };
        let ssl = phone.persona().lockdown.session_ssl;
        let then = if ssl { Then::StartTls(tls) } else { Then::GoOn };
        Ok((Reply::Session { id, tls: ssl }, then))
    }

    fn stop(&mut self, session_id: &str) -> Refusable {
        match &self.state {
            State::Started { id, .. } if id == session_id => {
                self.state = State::Stopped;
                Ok((Reply::Done, Then::GoOn))
            }
            State::Started { .. } => Err(LockdownError::InvalidSessionID),
            State::None | State::Stopped => Err(LockdownError::SessionInactive),
        }
    }

    fn start_service(
        &self,
        service: &str,
        escrow_bag: Option<&Secret>,
    ) -> Result<Reply, LockdownError> {
        let host_id = self.host().ok_or(LockdownError::SessionInactive)?;
        let phone = &self.tunnel.phone;
        let spec = &phone.persona().services;
        if let Some(word) = spec.refuse.get(service) {
            return Err(LockdownError::from(word.as_str()));
        }
        let kind = services::Kind::of(service).ok_or(LockdownError::InvalidService)?;
        let escrow = {
            let pairings = lock(phone.pairings());
            let ours = pairings.get(host_id).map(|pairing| &pairing.escrow_bag);
            escrow_bag.is_some() && escrow_bag == ours
        };
        if kind.needs_unlocked() {
            let state = phone.state();
            if !state.unlocked_since_boot {
                return Err(match escrow_bag {
                    Some(_) => LockdownError::EscrowLocked,
                    None => LockdownError::PasswordProtected,
                });
            }
            if state.locked && !escrow {
                return Err(LockdownError::PasswordProtected);
            }
        }
        let ssl = match spec.ssl {
            ServiceSsl::Always => true,
            ServiceSsl::WifiOnly => self.tunnel.kind == LinkKind::Network,
            ServiceSsl::Never => false,
        };
        let port = phone.open_port(StartedService {
            name: service.to_owned(),
            ssl,
            escrow,
            host_id: host_id.to_owned(),
        });
        Ok(Reply::Service { port, tls: ssl })
    }
}

/// Unique within a phone; nobody reads more into it.
fn session_id(phone: &Phone) -> String {
    format!("0FA4E000-0000-4000-8000-{:012X}", phone.next_session())
}
