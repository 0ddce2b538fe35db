//! lockdownd's requests and replies.
//!
//! A reply is read with its request at hand, because its keys do not say what it answers.
//!
//! Not here: framing, and which request is allowed in which state of a session.

use plist::{Dictionary, Value};

use super::{LockdownError, MAX_FRAME, PairRecord, Secret, encode_frame};
use crate::codec::{self, DecodeError, Limits};
use crate::fields::{self, FieldError};

/// A frame whose body is not a message that we know how to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    #[error(transparent)]
    Plist(#[from] DecodeError),
    #[error("a lockdown message that is not a dictionary")]
    NotDictionary,
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// A request of a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    QueryType,
    /// Without a key, the whole domain; without a domain, the root one.
    GetValue {
        domain: Option<String>,
        key: Option<String>,
    },
    SetValue {
        domain: Option<String>,
        key: Option<String>,
        value: Value,
    },
    RemoveValue {
        domain: Option<String>,
        key: Option<String>,
    },
    Pair(PairCall),
    ValidatePair(PairCall),
    Unpair(PairCall),
    StartSession {
        host_id: String,
        system_buid: Option<String>,
    },
    StopSession {
        session_id: String,
    },
    StartService {
        service: String,
        escrow_bag: Option<Secret>,
    },
    Goodbye,
    /// A request by another name.
    Unknown {
        request: String,
    },
}

/// What Pair, ValidatePair and Unpair carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairCall {
    pub record: PairRecord,
    /// The host wants `PairingDialogResponsePending` and its like. Without it a device says less.
    pub extended_errors: bool,
    /// How the trust dialog names the host.
    pub host_name: Option<String>,
    /// "2" in every present host.
    pub protocol_version: Option<String>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To QueryType; [`super::TYPE`] unless in restore mode.
    Type(String),
    /// To GetValue.
    Value(Value),
    /// To StartSession; with `tls`, the handshake follows at once on the same socket, the host being the client.
    Session { id: String, tls: bool },
    /// To StartService: connect anew to `port`, and wrap it if `tls`.
    Service { port: u16, tls: bool },
    /// To Pair.
    Paired { escrow_bag: Option<Secret> },
    /// To everything else, when it went well.
    Done,
    /// To anything.
    Refused(LockdownError),
}

impl Request {
    /// The value of `Request`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::QueryType => "QueryType",
            Self::GetValue { .. } => "GetValue",
            Self::SetValue { .. } => "SetValue",
            Self::RemoveValue { .. } => "RemoveValue",
            Self::Pair(_) => "Pair",
            Self::ValidatePair(_) => "ValidatePair",
            Self::Unpair(_) => "Unpair",
            Self::StartSession { .. } => "StartSession",
            Self::StopSession { .. } => "StopSession",
            Self::StartService { .. } => "StartService",
            Self::Goodbye => "Goodbye",
            Self::Unknown { request } => request,
        }
    }

    /// The whole frame of this request; `label` is the host program's name.
    #[must_use]
    pub fn encode(&self, label: Option<&str>) -> Vec<u8> {
        let mut dict = Dictionary::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                dict.insert(key.to_owned(), value);
            }
        };
        let text = |value: &Option<String>| value.as_deref().map(Value::from);
        put("Label", label.map(Value::from));
        put("Request", Some(self.name().into()));
        match self {
            Self::GetValue { domain, key } | Self::RemoveValue { domain, key } => {
                put("Domain", text(domain));
                put("Key", text(key));
            }
            Self::SetValue { domain, key, value } => {
                put("Domain", text(domain));
                put("Key", text(key));
                put("Value", Some(value.clone()));
            }
            Self::Pair(call) | Self::ValidatePair(call) | Self::Unpair(call) => {
                put(
                    "PairRecord",
                    Some(call.record.for_device().to_dictionary().into()),
                );
                put("ProtocolVersion", text(&call.protocol_version));
                put("HostName", text(&call.host_name));
                let options = Dictionary::from_iter([("ExtendedPairingErrors", Value::from(true))]);
                put(
                    "PairingOptions",
                    call.extended_errors.then(|| options.into()),
                );
            }
            Self::StartSession {
                host_id,
                system_buid,
            } => {
                put("HostID", Some(host_id.as_str().into()));
                put("SystemBUID", text(system_buid));
            }
            Self::StopSession { session_id } => put("SessionID", Some(session_id.as_str().into())),
            Self::StartService {
                service,
                escrow_bag,
            } => {
                put("Service", Some(service.as_str().into()));
                put(
                    "EscrowBag",
                    escrow_bag.as_ref().map(|bag| Value::Data(bag.0.clone())),
                );
            }
            Self::QueryType | Self::Goodbye | Self::Unknown { .. } => {}
        }
        to_frame(dict)
    }

    /// Reads a request, and the label of who makes it, from the body of a frame.
    ///
    /// # Errors
    /// When the body is no dictionary with a `Request`, or lacks what that request needs.
    pub fn decode(body: &[u8]) -> Result<(Self, Option<String>), MessageError> {
        let dict = decode_body(body)?;
        let text = |key| Ok::<_, FieldError>(fields::string(&dict, key)?.map(str::to_owned));
        let needed = |key| fields::required(key, text(key)?);
        let request = match needed("Request")?.as_str() {
            "QueryType" => Self::QueryType,
            "GetValue" => Self::GetValue {
                domain: text("Domain")?,
                key: text("Key")?,
            },
            "SetValue" => Self::SetValue {
                domain: text("Domain")?,
                key: text("Key")?,
                value: fields::required("Value", dict.get("Value").cloned())?,
            },
            "RemoveValue" => Self::RemoveValue {
                domain: text("Domain")?,
                key: text("Key")?,
            },
            "Pair" => Self::Pair(PairCall::decode(&dict)?),
            "ValidatePair" => Self::ValidatePair(PairCall::decode(&dict)?),
            "Unpair" => Self::Unpair(PairCall::decode(&dict)?),
            "StartSession" => Self::StartSession {
                host_id: needed("HostID")?,
                system_buid: text("SystemBUID")?,
            },
            "StopSession" => Self::StopSession {
                session_id: needed("SessionID")?,
            },
            "StartService" => Self::StartService {
                service: needed("Service")?,
                escrow_bag: fields::data(&dict, "EscrowBag")?.map(|bag| Secret(bag.to_vec())),
            },
            "Goodbye" => Self::Goodbye,
            other => Self::Unknown {
                request: other.to_owned(),
            },
        };
        Ok((request, text("Label").ok().flatten()))
    }
}

impl PairCall {
    fn decode(dict: &Dictionary) -> Result<Self, MessageError> {
        let record = fields::required("PairRecord", fields::dictionary(dict, "PairRecord")?)?;
        let options = fields::dictionary(dict, "PairingOptions")?;
        let extended = options
            .map(|options| fields::boolean(options, "ExtendedPairingErrors"))
            .transpose()?;
        let text = |key| Ok::<_, FieldError>(fields::string(dict, key)?.map(str::to_owned));
        Ok(Self {
            record: PairRecord::from_dictionary(record)?,
            extended_errors: extended.flatten().unwrap_or(false),
            host_name: text("HostName")?,
            protocol_version: text("ProtocolVersion")?,
        })
    }
}

impl Reply {
    /// The whole frame of this reply to `request`, whose name (and domain, key, service) it repeats as a device does.
    #[must_use]
    pub fn encode(&self, request: &Request) -> Vec<u8> {
        let mut dict = Dictionary::from_iter([("Request", Value::from(request.name()))]);
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                dict.insert(key.to_owned(), value);
            }
        };
        match request {
            Request::GetValue { domain, key }
            | Request::SetValue { domain, key, .. }
            | Request::RemoveValue { domain, key } => {
                put("Domain", domain.as_deref().map(Value::from));
                put("Key", key.as_deref().map(Value::from));
            }
            Request::StartService { service, .. } => put("Service", Some(service.as_str().into())),
            Request::QueryType
            | Request::Pair(_)
            | Request::ValidatePair(_)
            | Request::Unpair(_)
            | Request::StartSession { .. }
            | Request::StopSession { .. }
            | Request::Goodbye
            | Request::Unknown { .. } => {}
        }
        match self {
            Self::Type(name) => put("Type", Some(name.as_str().into())),
            Self::Value(value) => put("Value", Some(value.clone())),
            Self::Session { id, tls } => {
                put("SessionID", Some(id.as_str().into()));
                put("EnableSessionSSL", Some((*tls).into()));
            }
            Self::Service { port, tls } => {
                put("Port", Some((*port).into()));
                put("EnableServiceSSL", tls.then(|| true.into()));
            }
            Self::Paired { escrow_bag } => {
                put(
                    "EscrowBag",
                    escrow_bag.as_ref().map(|bag| Value::Data(bag.0.clone())),
                );
            }
            Self::Done => {}
            Self::Refused(error) => put("Error", Some(error.as_str().into())),
        }
        to_frame(dict)
    }

    /// Reads the reply to `request` from the body of a frame.
    ///
    /// # Errors
    /// When the body is no dictionary, or a success lacks what `request` asked for.
    pub fn decode(request: &Request, body: &[u8]) -> Result<Self, MessageError> {
        let dict = decode_body(body)?;
        if let Some(word) = fields::string(&dict, "Error")? {
            return Ok(Self::Refused(word.into()));
        }
        // Before iOS 5 every reply had a Result; since then a reply without Error is a success.
        if let Some(result) = fields::string(&dict, "Result")?
            && result != "Success"
        {
            return Ok(Self::Refused(LockdownError::Other(result.to_owned())));
        }
        let text = |key| {
            Ok::<_, FieldError>(fields::required(key, fields::string(&dict, key)?)?.to_owned())
        };
        Ok(match request {
            Request::QueryType => Self::Type(text("Type")?),
            Request::GetValue { .. } => {
                Self::Value(fields::required("Value", dict.get("Value").cloned())?)
            }
            Request::StartSession { .. } => Self::Session {
                id: text("SessionID")?,
                tls: fields::boolean(&dict, "EnableSessionSSL")?.unwrap_or(false),
            },
            Request::StartService { .. } => Self::Service {
                port: fields::required("Port", fields::integer(&dict, "Port")?)?,
                tls: fields::boolean(&dict, "EnableServiceSSL")?.unwrap_or(false),
            },
            Request::Pair(_) => Self::Paired {
                escrow_bag: fields::data(&dict, "EscrowBag")?.map(|bag| Secret(bag.to_vec())),
            },
            Request::SetValue { .. }
            | Request::RemoveValue { .. }
            | Request::ValidatePair(_)
            | Request::Unpair(_)
            | Request::StopSession { .. }
            | Request::Goodbye
            | Request::Unknown { .. } => Self::Done,
        })
    }
}

fn to_frame(dict: Dictionary) -> Vec<u8> {
    encode_frame(&codec::to_xml(&Value::Dictionary(dict)))
}

fn decode_body(body: &[u8]) -> Result<Dictionary, MessageError> {
    let value = codec::decode(body, Limits::of_bytes(MAX_FRAME))?;
    value.into_dictionary().ok_or(MessageError::NotDictionary)
}
