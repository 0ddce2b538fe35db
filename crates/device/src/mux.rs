//! One connection to usbmuxd and the few requests that we make: list, listen, connect, and the pair records.
//!
//! The codec is our own (`wire`), not `idevice`'s: that one subtracts 16 from the length it is told, allocates the rest,
//! and writes whole pair records to the debug log. Not here: reconnecting (`listen`).

use std::time::Duration;

use backupwatch_core::Udid;
use backupwatch_wire::usbmux::{
    Attachment, Client, Decoder, Event, HEADER_LEN, Header, MuxDeviceId, Packet, PairRecordData,
    Reply, Request, ResultCode,
};
use idevice::IdeviceSocket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address::MuxAddress;
use crate::error::{DeviceError, MuxError};
use crate::pair_record::Credentials;
use crate::stream::DeviceStream;

/// What lets us into a phone; [`DeviceError::NoPairRecord`] where there is nothing.
pub(crate) async fn credentials(
    address: &MuxAddress,
    udid: &Udid,
    within: Duration,
) -> Result<Credentials, DeviceError> {
    Mux::open(address, within).await?.pair_record(udid).await
}

/// Everything that we ask usbmuxd carries this; `ListListeners` shows it.
fn client() -> Client {
    Client {
        prog_name: "backupwatch".to_owned(),
        version: concat!("backupwatch ", env!("CARGO_PKG_VERSION")).to_owned(),
        bundle_id: "dev.backupwatch".to_owned(),
        lib_version: 3,
    }
}

pub(crate) struct Mux {
    socket: IdeviceSocket,
    tag: u32,
    within: Duration,
}

impl Mux {
    /// Opens a connection. Each request has one of its own, but for the few that belong together: a connection that has
    /// become a tunnel or a listener takes no more requests.
    pub(crate) async fn open(address: &MuxAddress, within: Duration) -> Result<Self, MuxError> {
        let socket = tokio::time::timeout(within, address.connect())
            .await
            .map_err(|_| MuxError::Silent { after: within })?
            .map_err(|source| MuxError::Unreachable {
                address: address.to_string(),
                source,
            })?;
        Ok(Self {
            socket,
            tag: 0,
            within,
        })
    }

    pub(crate) async fn list(&mut self) -> Result<Vec<Attachment>, MuxError> {
        let reply = self.ask(&Request::ListDevices).await?;
        let Reply::Devices {
            attachments,
            unreadable,
        } = reply
        else {
            return Err(unexpected("ListDevices", &reply));
        };
        if unreadable > 0 {
            tracing::debug!(unreadable, "usbmuxd lists devices that are not as expected");
        }
        Ok(attachments)
    }

    /// Turns this connection into a listening one; from then on only [`Mux::event`] is of use.
    pub(crate) async fn listen(&mut self) -> Result<(), MuxError> {
        let reply = self.ask(&Request::Listen).await?;
        done("Listen", &reply)
    }

    /// The next event, however long it takes. A message that is no event, or a device without a UDID, is passed over:
    /// one odd device must not hide the others.
    pub(crate) async fn event(&mut self) -> Result<Event, MuxError> {
        loop {
            let packet = self.read_packet().await?;
            match Reply::decode(&packet) {
                Ok(Reply::Event(event)) => return Ok(event),
                Ok(other) => tracing::debug!(
                    what = answer_name(&other),
                    "usbmuxd said something that is no event"
                ),
                Err(error) => tracing::debug!(%error, "usbmuxd said something unreadable"),
            }
        }
    }

    /// Turns this connection into a tunnel to a port of the phone.
    pub(crate) async fn connect(
        mut self,
        device: MuxDeviceId,
        port: u16,
    ) -> Result<DeviceStream, DeviceError> {
        let reply = self.ask(&Request::Connect { device, port }).await?;
        match result_of("Connect", &reply)? {
            ResultCode::Ok => Ok(DeviceStream::new(self.socket)),
            ResultCode::BadDevice => Err(DeviceError::NotAttached),
            ResultCode::ConnectionRefused | ResultCode::NoSuchService => {
                Err(DeviceError::PortClosed { port })
            }
            ResultCode::BadCommand | ResultCode::BadVersion | ResultCode::Other(_) => {
                Err(unexpected("Connect", &reply).into())
            }
        }
    }

    pub(crate) async fn buid(&mut self) -> Result<String, MuxError> {
        let reply = self.ask(&Request::ReadBuid).await?;
        let Reply::Buid(buid) = reply else {
            return Err(unexpected("ReadBUID", &reply));
        };
        Ok(buid)
    }

    async fn pair_record(&mut self, udid: &Udid) -> Result<Credentials, DeviceError> {
        let udid = udid.as_str().to_owned();
        let reply = self.ask(&Request::ReadPairRecord { udid }).await?;
        if let Reply::PairRecord(data) = reply {
            return Credentials::read(&data.0).map_err(DeviceError::PairRecord);
        }
        match result_of("ReadPairRecord", &reply)? {
            // Linux says 2 (ENOENT); what macOS says is unknown (protocol.md 3.2), so any refusal but "I do not know
            // this command" is read as "no record". Asking for a pairing then is harmless, where one exists after all.
            ResultCode::BadDevice
            | ResultCode::ConnectionRefused
            | ResultCode::NoSuchService
            | ResultCode::Other(_) => Err(DeviceError::NoPairRecord),
            ResultCode::Ok | ResultCode::BadCommand | ResultCode::BadVersion => {
                Err(unexpected("ReadPairRecord", &reply).into())
            }
        }
    }

    pub(crate) async fn save_pair_record(
        &mut self,
        udid: &Udid,
        record: Vec<u8>,
        device: MuxDeviceId,
    ) -> Result<(), MuxError> {
        let request = Request::SavePairRecord {
            udid: udid.as_str().to_owned(),
            record: PairRecordData(record),
            device: Some(device),
        };
        let reply = self.ask(&request).await?;
        done("SavePairRecord", &reply)
    }

    async fn ask(&mut self, request: &Request) -> Result<Reply, MuxError> {
        let within = self.within;
        self.tag = self.tag.wrapping_add(1);
        let bytes = request.encode(&client(), self.tag);
        let packet = tokio::time::timeout(within, async {
            self.socket.write_all(&bytes).await.map_err(lost)?;
            self.socket.flush().await.map_err(lost)?;
            self.read_packet().await
        })
        .await
        .map_err(|_| MuxError::Silent { after: within })??;
        Reply::decode(&packet).map_err(MuxError::Message)
    }

    /// Reads one packet and not a byte more: behind the answer to Connect the tunnel begins, and a service such as
    /// mobilebackup2 speaks first.
    async fn read_packet(&mut self) -> Result<Packet, MuxError> {
        let mut decoder = Decoder::new();
        let mut header = [0; HEADER_LEN];
        self.socket.read_exact(&mut header).await.map_err(lost)?;
        decoder.push(&header);
        if let Some(packet) = decoder.next_packet().map_err(MuxError::Frame)? {
            return Ok(packet);
        }
        // The decoder has checked the length, so this is not less than 0 and not more than it takes.
        let length = u64::from(Header::decode(header).length);
        let rest = length.saturating_sub(HEADER_LEN as u64);
        let mut body = Vec::new();
        (&mut self.socket)
            .take(rest)
            .read_to_end(&mut body)
            .await
            .map_err(lost)?;
        decoder.push(&body);
        decoder
            .next_packet()
            .map_err(MuxError::Frame)?
            .ok_or_else(|| lost(std::io::ErrorKind::UnexpectedEof.into()))
    }
}

fn lost(source: std::io::Error) -> MuxError {
    MuxError::Lost { source }
}

fn result_of(request: &'static str, reply: &Reply) -> Result<ResultCode, MuxError> {
    let Reply::Result(code) = reply else {
        return Err(unexpected(request, reply));
    };
    Ok(*code)
}

fn done(request: &'static str, reply: &Reply) -> Result<(), MuxError> {
    if *reply == Reply::Result(ResultCode::Ok) {
        Ok(())
    } else {
        Err(unexpected(request, reply))
    }
}

fn unexpected(request: &'static str, reply: &Reply) -> MuxError {
    MuxError::Refused {
        request,
        answer: answer_name(reply),
    }
}

/// What a reply is, without its content: a content may be a pair record.
fn answer_name(reply: &Reply) -> String {
    match reply {
        Reply::Result(code) => format!("result {}", code.number()),
        Reply::Devices { .. } => "a list of devices".to_owned(),
        Reply::Buid(_) => "a BUID".to_owned(),
        Reply::PairRecord(_) => "a pair record".to_owned(),
        Reply::Listeners(_) => "a list of listeners".to_owned(),
        Reply::Event(_) => "an event".to_owned(),
        Reply::Unknown { .. } => "an unknown message".to_owned(),
    }
}
