//! One client's connection to usbmuxd: commands, until it listens or connects to a device.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use backupwatch_wire::lockdown;
use backupwatch_wire::usbmux::{
    Client, Decoder, Event, FrameError, MuxDeviceId, Packet, PairRecordData, Reply, Request,
    ResultCode, refuse_binary,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::error::RecvError;

use super::{Hub, MuxFault, describe};
use crate::io::{BoxStream, Prefixed};
use crate::lockdownd::{self, Tunnel};
use crate::persona::Answers;
use crate::phone::{Channel, LinkChange};
use crate::services;

/// Errno of Linux, which its daemon puts into the results of pair-record commands (protocol.md 3.2).
const ENOENT: ResultCode = ResultCode::BadDevice;
const EINVAL: ResultCode = ResultCode::Other(22);

/// Serves one connection to its end.
pub(crate) async fn serve(hub: Arc<Hub>, stream: BoxStream) {
    let mut wire = Wire {
        stream,
        decoder: Decoder::new(),
    };
    match commands(&hub, &mut wire).await {
        Ok(Next::Closed) => {}
        Ok(Next::Tunnel(tunnel, port)) => {
            let stream = Prefixed::around(wire.decoder.into_rest(), wire.stream);
            let gone = tunnel.gone.clone();
            let carry = async {
                match port {
                    Port::Lockdown => lockdownd::serve(stream, tunnel).await,
                    Port::Service(service) => services::serve(stream, service, tunnel).await,
                    Port::Silence => silence(stream).await,
                }
            };
            // Pulling the cable drops the service in the middle of what it does, and closes the socket.
            tokio::select! {
                () = gone.cancelled() => {}
                () = carry => {}
            }
        }
        Err(error) => tracing::debug!(%error, "a usbmuxd client is gone"),
    }
}

enum Next {
    Closed,
    Tunnel(Tunnel, Port),
}

enum Port {
    Lockdown,
    Service(crate::phone::StartedService),
    /// Nobody is there, and nobody says so.
    Silence,
}

struct Wire {
    stream: BoxStream,
    decoder: Decoder,
}

impl Wire {
    /// The next packet; nothing at the end of the connection, or when it speaks something else.
    async fn packet(&mut self) -> io::Result<Option<Packet>> {
        let mut chunk = [0; 4096];
        loop {
            match self.decoder.next_packet() {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) => {}
                Err(FrameError::Binary { tag, .. } | FrameError::Version { tag, .. }) => {
                    self.stream.write_all(&refuse_binary(tag)).await?;
                    return Ok(None);
                }
                Err(error) => return Err(io::Error::other(error)),
            }
            match self.stream.read(&mut chunk).await? {
                0 => return Ok(None),
                some => self.decoder.push(chunk.get(..some).unwrap_or_default()),
            }
        }
    }

    async fn send(&mut self, reply: &Reply, tag: u32) -> io::Result<()> {
        self.stream.write_all(&reply.encode(tag)).await?;
        self.stream.flush().await
    }
}

async fn commands(hub: &Arc<Hub>, wire: &mut Wire) -> io::Result<Next> {
    while let Some(packet) = wire.packet().await? {
        if hub.fault() != MuxFault::None {
            break_down(hub.fault(), wire, packet.tag).await?;
            return Ok(Next::Closed);
        }
        let Ok((request, client)) = Request::decode(&packet) else {
            wire.send(&Reply::Result(refusal(&packet)), packet.tag)
                .await?;
            continue;
        };
        let reply = match request {
            Request::Listen => {
                wire.send(&Reply::Result(ResultCode::Ok), packet.tag)
                    .await?;
                listen(hub, wire, &client).await?;
                return Ok(Next::Closed);
            }
            Request::Connect { device, port } => match connect(hub, device, port) {
                Ok((tunnel, port)) => {
                    wire.send(&Reply::Result(ResultCode::Ok), packet.tag)
                        .await?;
                    return Ok(Next::Tunnel(tunnel, port));
                }
                Err(code) => Reply::Result(code),
            },
            Request::ListDevices => Reply::Devices {
                attachments: hub.attachments(),
                unreadable: 0,
            },
            Request::ReadBuid => Reply::Buid(super::BUID.to_owned()),
            Request::ReadPairRecord { udid } => match hub.pair_record(&udid) {
                Some(record) => Reply::PairRecord(PairRecordData(record)),
                None => Reply::Result(ENOENT),
            },
            Request::SavePairRecord {
                udid,
                record,
                device,
            } => Reply::Result(save(hub, udid, record, device)),
            Request::DeletePairRecord { udid } => {
                let known = hub.pair_record(&udid).is_some();
                hub.set_pair_record(&udid, None);
                Reply::Result(if known { ResultCode::Ok } else { ENOENT })
            }
            Request::ListListeners => Reply::Listeners(hub.listeners()),
            Request::Unknown { .. } => Reply::Result(ResultCode::BadCommand),
        };
        wire.send(&reply, packet.tag).await?;
    }
    Ok(Next::Closed)
}

/// What Linux's daemon answers to a request that lacks something: EINVAL for pair records, bad command for the rest.
fn refusal(packet: &Packet) -> ResultCode {
    let named = String::from_utf8_lossy(&packet.body).contains("PairRecord</string>");
    if named {
        EINVAL
    } else {
        ResultCode::BadCommand
    }
}

fn save(
    hub: &Hub,
    udid: String,
    record: PairRecordData,
    device: Option<MuxDeviceId>,
) -> ResultCode {
    // A name with a separator would leave the daemon's folder (USBMUXD#272).
    if udid.is_empty() || udid.contains(['/', '\\', '\0']) || udid.starts_with('.') {
        return EINVAL;
    }
    if lockdown::PairRecord::decode(&record.0).is_err() {
        return EINVAL;
    }
    hub.set_pair_record(&udid, Some(record.0));
    if let Some((phone, attached)) = device.and_then(|device| hub.attached(device)) {
        phone.announce_paired(attached.device_id);
    }
    ResultCode::Ok
}

fn connect(hub: &Hub, device: MuxDeviceId, port: u16) -> Result<(Tunnel, Port), ResultCode> {
    let (phone, attached) = hub.attached(device).ok_or(ResultCode::BadDevice)?;
    phone
        .journal()
        .note(Channel::Mux, "Connect", Some(plist::Value::from(port)));
    let tunnel = Tunnel {
        phone,
        kind: attached.kind,
        gone: attached.gone,
    };
    match attached.answers {
        Answers::Yes => {}
        Answers::Refuses => return Err(ResultCode::ConnectionRefused),
        Answers::Silent => return Ok((tunnel, Port::Silence)),
    }
    if port == lockdown::PORT {
        return Ok((tunnel, Port::Lockdown));
    }
    match tunnel.phone.take_port(port) {
        Some(service) => Ok((tunnel, Port::Service(service))),
        None => Err(ResultCode::ConnectionRefused),
    }
}

/// Takes what comes, until the host goes.
async fn silence(mut stream: BoxStream) {
    // That the host is gone is all that can be learned here.
    drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
}

/// The event-only end of a Listen: what is there, then what changes. A further command gets Result 1 and the end.
async fn listen(hub: &Arc<Hub>, wire: &mut Wire, client: &Client) -> io::Result<()> {
    let _listed = hub.listen(client);
    let mut changes = hub.changes();
    // Subscribed before looking, so nothing is missed; what comes twice is told once.
    let mut told = BTreeSet::new();
    for attachment in hub.attachments() {
        told.insert(attachment.device_id.0);
        wire.send(&Reply::Event(Event::Attached(attachment)), 0)
            .await?;
    }
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            packet = wire.packet() => {
                if let Some(packet) = packet? {
                    wire.send(&Reply::Result(ResultCode::BadCommand), packet.tag).await?;
                }
                return Ok(());
            }
        };
        let event = match change {
            Ok(LinkChange::Attached { device_id, .. }) => {
                // Gone again already: its Detached follows and is not told either.
                let Some((phone, attached)) = hub.attached(MuxDeviceId(device_id)) else {
                    continue;
                };
                if !told.insert(device_id) {
                    continue;
                }
                Event::Attached(describe(&phone, &attached))
            }
            Ok(LinkChange::Detached { device_id }) => {
                if !told.remove(&device_id) {
                    continue;
                }
                Event::Detached(MuxDeviceId(device_id))
            }
            Ok(LinkChange::Paired { device_id }) => Event::Paired(MuxDeviceId(device_id)),
            // A listener that does not read loses its connection, as a full buffer of the daemon's does it.
            Err(RecvError::Lagged(_) | RecvError::Closed) => return Ok(()),
        };
        wire.send(&Reply::Event(event), 0).await?;
    }
}

async fn break_down(fault: MuxFault, wire: &mut Wire, tag: u32) -> io::Result<()> {
    let header = |length: u32, version: u32, message: u32| {
        [length, version, message, tag]
            .map(u32::to_le_bytes)
            .concat()
    };
    let bytes = match fault {
        MuxFault::None | MuxFault::Close => return Ok(()),
        MuxFault::Stall => {
            // Until the client gives up.
            while wire.packet().await?.is_some() {}
            return Ok(());
        }
        MuxFault::Rubbish => b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
        MuxFault::HugeLength => header(0xFFFF_FFF0, 1, 8),
        MuxFault::ShortLength => header(3, 1, 8),
        MuxFault::NotAPlist => Packet::plist(tag, &b"this is no property list"[..]).encode(),
        MuxFault::NotADictionary => {
            let body = backupwatch_wire::codec::to_xml(&plist::Value::from("hello"));
            Packet::plist(tag, body).encode()
        }
        MuxFault::Cut => {
            let whole = Reply::Result(ResultCode::Ok).encode(tag);
            whole.get(..whole.len() / 2).unwrap_or_default().to_vec()
        }
        MuxFault::BinaryVersion => refuse_binary(tag),
    };
    wire.stream.write_all(&bytes).await?;
    wire.stream.flush().await
}
