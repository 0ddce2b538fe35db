//! The usbmuxd that all phones of one simulator hang on (protocol.md section 3), with the answers of Linux's daemon.
//!
//! [`Hub`] is what outlives a connection: the phones, the pair records, who listens. `client` speaks to one client.

mod client;

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backupwatch_wire::usbmux::{Attachment, Client, Link, Listener, MuxDeviceId, NetworkAddress};
use tokio::sync::broadcast;

use crate::pairing::{self, PairingError};
use crate::persona::{LinkKind, Persona};
use crate::phone::{Attached, LinkChange, MuxSide, Phone, lock};

pub(crate) use client::serve;

/// The host's own identity, which every pair record of this host repeats.
const BUID: &str = "0FA4E000-0000-4000-8000-00000000B01D";

/// How usbmuxd breaks, while a driver has it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MuxFault {
    #[default]
    None,
    /// Answers with bytes of another protocol.
    Rubbish,
    /// Takes every request and answers none.
    Stall,
    /// Closes instead of answering.
    Close,
    /// A header that claims nearly 4 GiB.
    HugeLength,
    /// A header that claims less than itself.
    ShortLength,
    /// A well-framed packet that is no plist.
    NotAPlist,
    /// A well-framed plist that is no dictionary.
    NotADictionary,
    /// Half of the answer, then the end.
    Cut,
    /// The old protocol's version number.
    BinaryVersion,
}

/// What the connections of one usbmuxd share.
#[derive(Debug)]
pub struct Hub {
    side: MuxSide,
    phones: Mutex<Vec<Arc<Phone>>>,
    records: Mutex<BTreeMap<String, Vec<u8>>>,
    listeners: Mutex<BTreeMap<u64, Client>>,
    next_listener: AtomicU64,
    fault: Mutex<MuxFault>,
}

impl Hub {
    #[must_use]
    pub fn new() -> Self {
        Self {
            side: MuxSide::new(),
            phones: Mutex::default(),
            records: Mutex::default(),
            listeners: Mutex::default(),
            next_listener: AtomicU64::new(1),
            fault: Mutex::default(),
        }
    }

    /// Brings a phone to life and plugs the links that its persona has plugged.
    pub fn add(&self, persona: Persona) -> Result<Arc<Phone>, PairingError> {
        let phone = Arc::new(Phone::new(persona, self.side.clone()));
        if phone.persona().trust.paired {
            let identity = &phone.persona().identity;
            let (record, pairing) =
                pairing::past_pairing(&identity.udid, &identity.wifi_address(), BUID)?;
            lock(&self.records).insert(identity.udid.clone(), record.encode());
            if !phone.persona().trust.expired {
                lock(phone.pairings()).insert(pairing.host_id.clone(), pairing);
            }
        }
        lock(&self.phones).push(Arc::clone(&phone));
        for kind in [LinkKind::Usb, LinkKind::Network] {
            if phone
                .persona()
                .link
                .iter()
                .any(|link| link.kind == kind && link.plugged)
            {
                phone.plug(kind);
            }
        }
        Ok(phone)
    }

    #[must_use]
    pub fn phones(&self) -> Vec<Arc<Phone>> {
        lock(&self.phones).clone()
    }

    /// The pair record that this usbmuxd holds for a device.
    #[must_use]
    pub fn pair_record(&self, udid: &str) -> Option<Vec<u8>> {
        lock(&self.records).get(udid).cloned()
    }

    /// Replaces or removes a pair record behind everybody's back.
    pub fn set_pair_record(&self, udid: &str, record: Option<Vec<u8>>) {
        let mut records = lock(&self.records);
        match record {
            Some(record) => {
                records.insert(udid.to_owned(), record);
            }
            None => {
                records.remove(udid);
            }
        }
    }

    pub fn set_fault(&self, fault: MuxFault) {
        *lock(&self.fault) = fault;
    }

    fn fault(&self) -> MuxFault {
        *lock(&self.fault)
    }

    fn changes(&self) -> broadcast::Receiver<LinkChange> {
        self.side.changes.subscribe()
    }

    /// Everything attached now, in the order in which it was attached.
    fn attachments(&self) -> Vec<Attachment> {
        let mut all: Vec<Attachment> = self
            .phones()
            .iter()
            .flat_map(|phone| {
                phone
                    .attachments()
                    .into_iter()
                    .map(|attached| describe(phone, &attached))
            })
            .collect();
        all.sort_by_key(|attachment| attachment.device_id);
        all
    }

    /// The phone behind an attachment.
    fn attached(&self, device: MuxDeviceId) -> Option<(Arc<Phone>, Attached)> {
        self.phones().into_iter().find_map(|phone| {
            let found = phone
                .attachments()
                .into_iter()
                .find(|one| one.device_id == device.0)?;
            Some((phone, found))
        })
    }

    fn listen(&self, client: &Client) -> Listening<'_> {
        let number = self.next_listener.fetch_add(1, Ordering::Relaxed);
        lock(&self.listeners).insert(number, client.clone());
        Listening { hub: self, number }
    }

    fn listeners(&self) -> Vec<Listener> {
        lock(&self.listeners)
            .iter()
            .map(|(number, client)| Listener {
                client: client.clone(),
                id: format!("{}-{number}", client.prog_name),
                connection_type: 0,
                blacklisted: false,
            })
            .collect()
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

/// An entry of the list of listeners, as long as the connection lives.
struct Listening<'a> {
    hub: &'a Hub,
    number: u64,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        lock(&self.hub.listeners).remove(&self.number);
    }
}

/// What usbmuxd says about one attachment (protocol.md 3.3).
fn describe(phone: &Phone, attached: &Attached) -> Attachment {
    let identity = &phone.persona().identity;
    let link = match attached.kind {
        LinkKind::Usb => Link::Usb {
            location_id: Some(0x0010_0000_u32.wrapping_add(attached.device_id)),
            product_id: Some(if identity.device_class() == "iPad" {
                0x12ab
            } else {
                0x12a8
            }),
            speed: Some(480_000_000),
        },
        LinkKind::Network => Link::Network {
            service_name: format!(
                "{}@fe80::1._apple-mobdev2._tcp.local.",
                identity.wifi_address()
            ),
            interface: Some(1),
            address: link_local(identity.seed()),
        },
    };
    Attachment {
        device_id: MuxDeviceId(attached.device_id),
        udid: if identity.listed_without_hyphen {
            identity.udid.replace('-', "")
        } else {
            identity.udid.clone()
        },
        link,
    }
}

/// A made-up address in the layout of the system that we run on.
fn link_local(seed: u64) -> NetworkAddress {
    let [a, b, c, d, ..] = seed.to_be_bytes();
    let ip = Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        0,
        0,
        u16::from_be_bytes([a, b]),
        u16::from_be_bytes([c, d]),
    );
    let address = SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, 1));
    if cfg!(target_os = "macos") {
        NetworkAddress::bsd(address)
    } else {
        NetworkAddress::linux(address)
    }
}
