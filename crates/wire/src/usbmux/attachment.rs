//! One attachment of a device, as usbmuxd describes it in events and device lists.
//!
//! Not here: which of a phone's attachments to use. A phone on cable and Wi-Fi has two, with one UDID.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use bytes::Buf;
use plist::{Dictionary, Value};

use super::message::MessageError;
use crate::{fields, udid};

/// usbmuxd's number of one attachment. It changes at every replug and is never the identity of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MuxDeviceId(pub u32);

impl std::fmt::Display for MuxDeviceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A device that is reachable through usbmuxd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub device_id: MuxDeviceId,
    /// In the spelling of [`udid::normalise`].
    pub udid: String,
    pub link: Link,
}

/// How a device is reached. Numbers that a daemon left out are absent, not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Usb {
        /// The port of the bus; stable while the cable stays in the same socket.
        location_id: Option<u32>,
        /// USB product id: 0x1290 to 0x12af are phones and tablets.
        product_id: Option<u32>,
        /// Bits a second.
        speed: Option<u64>,
    },
    Network {
        /// Bonjour instance name: Wi-Fi address, `@`, link-local address, service.
        service_name: String,
        /// Index of the host's network interface.
        interface: Option<u32>,
        address: NetworkAddress,
    },
}

/// A raw `sockaddr` in the layout of the daemon's system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkAddress(pub Vec<u8>);

const LINUX_INET: [u8; 2] = [2, 0];
const LINUX_INET6: [u8; 2] = [10, 0];
const WINDOWS_INET6: [u8; 2] = [23, 0];
const BSD_INET: [u8; 2] = [16, 2];
const BSD_INET6: [u8; 2] = [28, 30];

impl NetworkAddress {
    /// An address in the layout of macOS: a length byte, then a family byte.
    #[must_use]
    pub fn bsd(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() {
            BSD_INET
        } else {
            BSD_INET6
        };
        Self::with_family(family, address)
    }

    /// An address in the layout of Linux: the family in two bytes.
    #[must_use]
    pub fn linux(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() {
            LINUX_INET
        } else {
            LINUX_INET6
        };
        Self::with_family(family, address)
    }

    /// The address, in whichever of the layouts it is. What follows the structure is padding.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let (family, mut rest) = self.0.split_first_chunk::<2>()?;
        let port = rest.try_get_u16().ok()?;
        match *family {
            LINUX_INET | BSD_INET => {
                let ip = Ipv4Addr::from_bits(rest.try_get_u32().ok()?);
                Some(SocketAddr::new(IpAddr::V4(ip), port))
            }
            LINUX_INET6 | WINDOWS_INET6 | BSD_INET6 => {
                let flow = rest.try_get_u32().ok()?;
                let ip = Ipv6Addr::from_bits(rest.try_get_u128().ok()?);
                let scope = rest.try_get_u32_le().ok()?;
                Some(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
            }
            _ => None,
        }
    }

    fn with_family(family: [u8; 2], address: SocketAddr) -> Self {
        let mut out = family.to_vec();
        out.extend(address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                out.extend(SocketAddrV4::ip(&v4).octets());
                out.extend([0; 8]);
            }
            SocketAddr::V6(v6) => {
                out.extend(v6.flowinfo().to_be_bytes());
                out.extend(v6.ip().octets());
                out.extend(v6.scope_id().to_le_bytes());
            }
        }
        Self(out)
    }
}

impl Attachment {
    /// The dictionary of an Attached event, which is also the entry of a device list.
    #[must_use]
    pub fn encode(&self) -> Dictionary {
        let id = Value::from(self.device_id.0);
        let mut properties = Dictionary::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                properties.insert(key.to_owned(), value);
            }
        };
        put("DeviceID", Some(id.clone()));
        put("SerialNumber", Some(self.udid.as_str().into()));
        match &self.link {
            Link::Usb {
                location_id,
                product_id,
                speed,
            } => {
                put("ConnectionType", Some("USB".into()));
                put("ConnectionSpeed", speed.map(Value::from));
                put("LocationID", location_id.map(Value::from));
                put("ProductID", product_id.map(Value::from));
            }
            Link::Network {
                service_name,
                interface,
                address,
            } => {
                put("ConnectionType", Some("Network".into()));
                put("EscapedFullServiceName", Some(service_name.as_str().into()));
                put("InterfaceIndex", interface.map(Value::from));
                put("NetworkAddress", Some(Value::Data(address.0.clone())));
            }
        }
        Dictionary::from_iter([
            ("DeviceID", id),
            ("MessageType", Value::from("Attached")),
            ("Properties", properties.into()),
        ])
    }

    /// Reads what [`Attachment::encode`] makes.
    ///
    /// # Errors
    /// When the number, the UDID or the kind of connection is missing or of an unknown form.
    pub fn decode(dict: &Dictionary) -> Result<Self, MessageError> {
        let properties = fields::required("Properties", fields::dictionary(dict, "Properties")?)?;
        let device_id = match fields::integer(dict, "DeviceID")? {
            Some(id) => id,
            None => fields::required("DeviceID", fields::integer(properties, "DeviceID")?)?,
        };
        let serial = fields::required("SerialNumber", fields::string(properties, "SerialNumber")?)?;
        let kind = fields::required(
            "ConnectionType",
            fields::string(properties, "ConnectionType")?,
        )?;
        let link = match kind {
            "USB" => Link::Usb {
                location_id: bits32(properties, "LocationID")?,
                product_id: fields::integer(properties, "ProductID")?,
                speed: fields::integer(properties, "ConnectionSpeed")?,
            },
            "Network" => Link::Network {
                service_name: fields::string(properties, "EscapedFullServiceName")?
                    .unwrap_or_default()
                    .to_owned(),
                interface: fields::integer(properties, "InterfaceIndex")?,
                address: NetworkAddress(
                    fields::data(properties, "NetworkAddress")?
                        .unwrap_or_default()
                        .to_vec(),
                ),
            },
            _ => return Err(MessageError::UnknownConnectionType),
        };
        Ok(Self {
            device_id: MuxDeviceId(device_id),
            udid: udid::normalise(serial)?,
            link,
        })
    }
}

/// A pattern of 32 bits that some senders write as a signed number.
fn bits32(dict: &Dictionary, key: &'static str) -> Result<Option<u32>, fields::FieldError> {
    match fields::integer::<i32>(dict, key) {
        Ok(signed) => Ok(signed.map(i32::cast_unsigned)),
        Err(_) => fields::integer(dict, key),
    }
}
