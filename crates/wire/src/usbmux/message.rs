//! What the bodies of usbmuxd's packets say: requests, replies and events.
//!
//! A reply carries no word for what it answers: a device list is known by its only key. So a reply is read by its
//! content, and the caller, who knows what it asked, decides whether it fits.
//!
//! Not here: framing, and what a pair record holds (`lockdown::PairRecord`).

use plist::{Dictionary, Value};

use super::attachment::{Attachment, MuxDeviceId};
use super::client::{Client, Listener};
use super::{MAX_PACKET, MESSAGE_PLIST, Packet};
use crate::codec::{self, DecodeError, Limits};
use crate::fields::{self, FieldError};
use crate::udid::BadUdid;

/// What one message may cost. A device list has some 20 values for each attachment.
const LIMITS: Limits = Limits {
    bytes: MAX_PACKET,
    depth: Limits::DEPTH,
    values: 1 << 17,
};

/// A packet whose body is not a message that we know how to read. The stream itself is still good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    #[error("a usbmux packet of kind {message} instead of a plist")]
    NotPlist { message: u32 },
    #[error(transparent)]
    Plist(#[from] DecodeError),
    #[error("a usbmux message that is not a dictionary")]
    NotDictionary,
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    Udid(#[from] BadUdid),
    #[error("a device on a kind of connection that is neither USB nor Network")]
    UnknownConnectionType,
}

/// A request of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    ListDevices,
    Listen,
    /// `port` is the port on the device in the ordinary order of bytes; the wire has it the other way round.
    Connect {
        device: MuxDeviceId,
        port: u16,
    },
    ReadBuid,
    ReadPairRecord {
        udid: String,
    },
    SavePairRecord {
        udid: String,
        record: PairRecordData,
        device: Option<MuxDeviceId>,
    },
    DeletePairRecord {
        udid: String,
    },
    ListListeners,
    /// A request by another name. A daemon answers it with [`ResultCode::BadCommand`].
    Unknown {
        message_type: String,
    },
}

/// The bytes of a pair record: private keys. Its `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct PairRecordData(pub Vec<u8>);

impl std::fmt::Debug for PairRecordData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairRecordData(..)")
    }
}

/// What a daemon sends: the answer to a request, or an event on a listening connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Result(ResultCode),
    /// `unreadable` counts entries that are not as the protocol has them; the others are good all the same.
    Devices {
        attachments: Vec<Attachment>,
        unreadable: usize,
    },
    Buid(String),
    PairRecord(PairRecordData),
    Listeners(Vec<Listener>),
    Event(Event),
    /// A message that we do not know; `message_type` when it says one.
    Unknown {
        message_type: Option<String>,
    },
}

/// News on a listening connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Attached(Attachment),
    Detached(MuxDeviceId),
    /// A pair record of this attachment's device was saved.
    Paired(MuxDeviceId),
}

/// The number of a Result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultCode {
    Ok,
    BadCommand,
    /// No such attachment; in answer to a pair-record request of Linux's daemon: no such record.
    BadDevice,
    /// The device has nothing on that port.
    ConnectionRefused,
    NoSuchService,
    BadVersion,
    Other(i64),
}

impl ResultCode {
    /// The number as it travels.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Ok => 0,
            Self::BadCommand => 1,
            Self::BadDevice => 2,
            Self::ConnectionRefused => 3,
            Self::NoSuchService => 4,
            Self::BadVersion => 6,
            Self::Other(number) => number,
        }
    }

    /// The meaning of a number.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::BadCommand,
            2 => Self::BadDevice,
            3 => Self::ConnectionRefused,
            4 => Self::NoSuchService,
            6 => Self::BadVersion,
            other => Self::Other(other),
        }
    }
}

/// A port as `PortNumber` has it: network byte order, taken for a number by a little-endian machine. 62078 is 32498.
#[must_use]
pub const fn port_to_wire(port: u16) -> u16 {
    port.swap_bytes()
}

/// The port that a `PortNumber` means.
#[must_use]
pub const fn port_from_wire(number: u16) -> u16 {
    number.swap_bytes()
}

impl Request {
    /// The value of `MessageType`.
    #[must_use]
    pub fn message_type(&self) -> &str {
        match self {
            Self::ListDevices => "ListDevices",
            Self::Listen => "Listen",
            Self::Connect { .. } => "Connect",
            Self::ReadBuid => "ReadBUID",
            Self::ReadPairRecord { .. } => "ReadPairRecord",
            Self::SavePairRecord { .. } => "SavePairRecord",
            Self::DeletePairRecord { .. } => "DeletePairRecord",
            Self::ListListeners => "ListListeners",
            Self::Unknown { message_type } => message_type,
        }
    }

    /// The whole packet of this request.
    #[must_use]
    pub fn encode(&self, client: &Client, tag: u32) -> Vec<u8> {
        let mut dict = client.encode();
        let mut put = |key: &str, value: Value| dict.insert(key.to_owned(), value);
        put("MessageType", self.message_type().into());
        match self {
            Self::Connect { device, port } => {
                put("DeviceID", device.0.into());
                put("PortNumber", port_to_wire(*port).into());
            }
            Self::ReadPairRecord { udid } | Self::DeletePairRecord { udid } => {
                put("PairRecordID", udid.as_str().into());
            }
            Self::SavePairRecord {
                udid,
                record,
                device,
            } => {
                put("PairRecordID", udid.as_str().into());
                put("PairRecordData", Value::Data(record.0.clone()));
                if let Some(device) = device {
                    put("DeviceID", device.0.into());
                }
            }
            Self::ListDevices
            | Self::Listen
            | Self::ReadBuid
            | Self::ListListeners
            | Self::Unknown { .. } => {}
        }
        to_packet(tag, dict)
    }

    /// Reads a request, and who makes it.
    ///
    /// # Errors
    /// When the body is no dictionary with a `MessageType`, or lacks what that type needs.
    pub fn decode(packet: &Packet) -> Result<(Self, Client), MessageError> {
        let dict = from_packet(packet)?;
        let udid = || -> Result<String, FieldError> {
            Ok(
                fields::required("PairRecordID", fields::string(&dict, "PairRecordID")?)?
                    .to_owned(),
            )
        };
        let message_type = fields::required("MessageType", fields::string(&dict, "MessageType")?)?;
        let request = match message_type {
            "ListDevices" => Self::ListDevices,
            "Listen" => Self::Listen,
            "Connect" => Self::Connect {
                device: device(&dict)?,
                port: port_from_wire(fields::required(
                    "PortNumber",
                    fields::integer(&dict, "PortNumber")?,
                )?),
            },
            "ReadBUID" => Self::ReadBuid,
            "ReadPairRecord" => Self::ReadPairRecord { udid: udid()? },
            "SavePairRecord" => Self::SavePairRecord {
                udid: udid()?,
                record: PairRecordData(
                    fields::required("PairRecordData", fields::data(&dict, "PairRecordData")?)?
                        .to_vec(),
                ),
                device: fields::integer(&dict, "DeviceID")?.map(MuxDeviceId),
            },
            "DeletePairRecord" => Self::DeletePairRecord { udid: udid()? },
            "ListListeners" => Self::ListListeners,
            other => Self::Unknown {
                message_type: other.to_owned(),
            },
        };
        Ok((request, Client::decode(&dict)))
    }
}

impl Reply {
    /// The whole packet of this reply. Events carry the tag 0.
    #[must_use]
    pub fn encode(&self, tag: u32) -> Vec<u8> {
        let only = |key: &str, value: Value| Dictionary::from_iter([(key, value)]);
        let about = |message: &str, device: MuxDeviceId| {
            Dictionary::from_iter([
                ("MessageType", Value::from(message)),
                ("DeviceID", device.0.into()),
            ])
        };
        let dict = match self {
            Self::Result(code) => Dictionary::from_iter([
                ("MessageType", Value::from("Result")),
                ("Number", code.number().into()),
            ]),
            Self::Devices {
                attachments,
                unreadable: _,
            } => only(
                "DeviceList",
                attachments
                    .iter()
                    .map(|one| Value::from(one.encode()))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            Self::Buid(buid) => only("BUID", buid.as_str().into()),
            Self::PairRecord(record) => only("PairRecordData", Value::Data(record.0.clone())),
            Self::Listeners(listeners) => only(
                "ListenerList",
                listeners
                    .iter()
                    .map(|one| Value::from(one.encode()))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            Self::Event(Event::Attached(attachment)) => attachment.encode(),
            Self::Event(Event::Detached(device)) => about("Detached", *device),
            Self::Event(Event::Paired(device)) => about("Paired", *device),
            Self::Unknown { message_type } => message_type
                .iter()
                .map(|name| ("MessageType", Value::from(name.as_str())))
                .collect(),
        };
        to_packet(tag, dict)
    }

    /// Reads a reply or event by its content.
    ///
    /// # Errors
    /// When the body is no dictionary, or a message of a known kind lacks what it needs.
    pub fn decode(packet: &Packet) -> Result<Self, MessageError> {
        let dict = from_packet(packet)?;
        match fields::string(&dict, "MessageType")? {
            Some("Result") => {
                let number = fields::required("Number", fields::integer(&dict, "Number")?)?;
                Ok(Self::Result(ResultCode::from_number(number)))
            }
            Some("Attached") => Ok(Self::Event(Event::Attached(Attachment::decode(&dict)?))),
            Some("Detached") => Ok(Self::Event(Event::Detached(device(&dict)?))),
            Some("Paired") => Ok(Self::Event(Event::Paired(device(&dict)?))),
            message_type => Self::decode_answer(&dict, message_type),
        }
    }

    /// The answers that have no `MessageType`. Whether one is there all the same does not matter.
    fn decode_answer(dict: &Dictionary, message_type: Option<&str>) -> Result<Self, MessageError> {
        if let Some(entries) = fields::array(dict, "DeviceList")? {
            let attachments: Vec<_> = entries
                .iter()
                .filter_map(|entry| Attachment::decode(entry.as_dictionary()?).ok())
                .collect();
            let unreadable = entries.len().saturating_sub(attachments.len());
            return Ok(Self::Devices {
                attachments,
                unreadable,
            });
        }
        if let Some(buid) = fields::string(dict, "BUID")? {
            return Ok(Self::Buid(buid.to_owned()));
        }
        if let Some(record) = fields::data(dict, "PairRecordData")? {
            return Ok(Self::PairRecord(PairRecordData(record.to_vec())));
        }
        if let Some(entries) = fields::array(dict, "ListenerList")? {
            let listeners = entries
                .iter()
                .filter_map(Value::as_dictionary)
                .map(Listener::decode)
                .collect();
            return Ok(Self::Listeners(listeners));
        }
        Ok(Self::Unknown {
            message_type: message_type.map(str::to_owned),
        })
    }
}

fn device(dict: &Dictionary) -> Result<MuxDeviceId, FieldError> {
    fields::required("DeviceID", fields::integer(dict, "DeviceID")?).map(MuxDeviceId)
}

fn to_packet(tag: u32, dict: Dictionary) -> Vec<u8> {
    Packet::plist(tag, codec::to_xml(&Value::Dictionary(dict))).encode()
}

fn from_packet(packet: &Packet) -> Result<Dictionary, MessageError> {
    if packet.message != MESSAGE_PLIST {
        return Err(MessageError::NotPlist {
            message: packet.message,
        });
    }
    let value = codec::decode(&packet.body, LIMITS)?;
    value.into_dictionary().ok_or(MessageError::NotDictionary)
}
