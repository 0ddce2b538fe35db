//! A host of our own for the backup service: honest by default, with its tree in memory, and able to make any mistake.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a part of tests; each file uses what it needs"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backupwatch_sim::mobilebackup2::serve;
use backupwatch_sim::phone::Phone;
use backupwatch_wire::devicelink::download::{STREAM_END, put_file_end, put_file_start};
use backupwatch_wire::devicelink::stream::data_header;
use backupwatch_wire::devicelink::{
    DeviceMessage, FileInfo, FileKind, FrameDecoder, HostMessage, ItemError, Listing, StatusCode,
    StatusResponse, UploadDecoder, UploadEvent,
};
use backupwatch_wire::mobilebackup2::{HostCommand, Response, hello};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What a connection buffers in each direction.
pub const DUPLEX: usize = 1 << 20;

/// What the host does with a message, instead of the honest thing.
pub enum Act {
    Honest,
    Answer(StatusResponse),
    Raw(Vec<u8>),
    HangUp,
}

/// A file of the tree; the bytes may have been thrown away.
pub struct Stored {
    pub len: u64,
    pub bytes: Option<Vec<u8>>,
}

pub type Hook = Box<dyn FnMut(&DeviceMessage) -> Act + Send>;

pub struct Host {
    pub files: BTreeMap<String, Stored>,
    pub free: u64,
    /// Bytes of data in a frame to the phone.
    pub chunk: usize,
    /// Keeps only what the phone reads back, for measurements.
    pub drain: bool,
    /// Destinations that fail, with what and how often.
    pub fail: BTreeMap<String, (StatusCode, u32)>,
    /// The name of every message, and the phone's own words about files.
    pub log: Vec<String>,
    pub on: Hook,
    /// `SnapshotState` of each Status.plist that came.
    pub phases: Vec<String>,
    /// What came with an end code.
    pub refused: Vec<(String, StatusCode, String)>,
}

/// How an operation ended.
#[derive(Debug)]
pub enum Outcome {
    Response(Response),
    /// The link is over, and nothing was said.
    Gone,
}

impl Outcome {
    /// The code of the phone; 0 is success.
    pub fn code(&self) -> i64 {
        match self {
            Self::Response(response) => response.error.map_or(0, |error| error.code()),
            Self::Gone => panic!("the link is gone"),
        }
    }

    pub fn words(&self) -> &str {
        match self {
            Self::Response(response) => response.description.as_deref().unwrap_or_default(),
            Self::Gone => panic!("the link is gone"),
        }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            free: 1 << 50,
            chunk: 32 << 10,
            drain: false,
            fail: BTreeMap::new(),
            log: Vec::new(),
            on: Box::new(|_| Act::Honest),
            phases: Vec::new(),
            refused: Vec::new(),
        }
    }
}

impl Host {
    /// Asks the phone for a backup, over a connection of its own.
    pub async fn back_up(&mut self, phone: &Arc<Phone>) -> Outcome {
        let target = phone.udid().to_owned();
        self.ask(
            phone,
            HostCommand::Backup {
                target,
                source: None,
                force_full: false,
            }
            .to_message(),
        )
        .await
    }

    /// Any request, over a connection of its own.
    pub async fn ask(&mut self, phone: &Arc<Phone>, request: HostMessage) -> Outcome {
        let (ours, theirs) = tokio::io::duplex(DUPLEX);
        let served = tokio::spawn(serve(theirs, phone.clone(), true));
        let outcome = Connection::new(ours).talk(self, request).await;
        served.await.unwrap();
        outcome
    }

    /// Writes the tree to a disk, where a verdict can look at it.
    pub fn dump(&self, root: &Path) {
        for (path, stored) in &self.files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, stored.bytes.as_ref().unwrap()).unwrap();
        }
    }

    pub fn put(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(
            path.to_owned(),
            Stored {
                len: bytes.len() as u64,
                bytes: Some(bytes.to_vec()),
            },
        );
    }

    pub fn count(&self, message: &str) -> usize {
        self.log.iter().filter(|name| *name == message).count()
    }

    fn list(&self, path: &str) -> Listing {
        let prefix = format!("{path}/");
        let mut entries = BTreeMap::new();
        for (path, stored) in self
            .files
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
        {
            let rest = &path[prefix.len()..];
            let (name, kind) = match rest.split_once('/') {
                Some((name, _)) => (name, FileKind::Directory),
                None => (rest, FileKind::Regular),
            };
            let size = if kind == FileKind::Regular {
                stored.len
            } else {
                0
            };
            entries.entry(name.to_owned()).or_insert(FileInfo {
                kind,
                size,
                modified: None,
            });
        }
        Listing(entries.into_iter().collect())
    }

    fn remove(&mut self, path: &str) {
        self.files.remove(path);
        let prefix = format!("{path}/");
        let below: Vec<String> = self
            .files
            .range(prefix.clone()..)
            .map(|(path, _)| path.clone())
            .take_while(|path| path.starts_with(&prefix))
            .collect();
        for path in below {
            self.files.remove(&path);
        }
    }

    fn rename(&mut self, items: &[(String, String)]) -> StatusResponse {
        let mut errors = Vec::new();
        for (from, to) in items {
            match self.files.remove(from) {
                Some(stored) => drop(self.files.insert(to.clone(), stored)),
                None => errors.push(ItemError::new(from.clone(), StatusCode::NotFound)),
            }
        }
        StatusResponse::of_items(&errors)
    }
}

fn phase(status: &[u8]) -> String {
    let status = plist::Value::from_reader(std::io::Cursor::new(status)).unwrap();
    status.as_dictionary().unwrap()["SnapshotState"]
        .as_string()
        .unwrap()
        .to_owned()
}

pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

struct Gone;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: vec![0; 1 << 20],
            start: 0,
            end: 0,
        }
    }

    /// The whole conversation: greeting, request, answers, goodbye.
    pub async fn talk(mut self, host: &mut Host, request: HostMessage) -> Outcome {
        match self.conversation(host, request).await {
            Ok(response) => {
                // The phone may be gone by now.
                drop(
                    self.send(
                        &HostMessage::Disconnect {
                            reason: String::new(),
                        }
                        .encode(),
                    )
                    .await,
                );
                Outcome::Response(response)
            }
            Err(Gone) => Outcome::Gone,
        }
    }

    async fn conversation(
        &mut self,
        host: &mut Host,
        request: HostMessage,
    ) -> Result<Response, Gone> {
        let DeviceMessage::VersionExchange { major, .. } = self.receive().await? else {
            panic!("no version")
        };
        self.send(
            &HostMessage::VersionExchange {
                version: Some(major),
            }
            .encode(),
        )
        .await?;
        assert_eq!(self.receive().await?, DeviceMessage::DeviceReady);
        self.send(&hello().encode()).await?;
        let DeviceMessage::ProcessMessage(body) = self.receive().await? else {
            panic!("no greeting")
        };
        assert_eq!(Response::from_dictionary(&body).unwrap().version, Some(2.1));
        self.send(&request.encode()).await?;
        loop {
            let message = self.receive().await?;
            let name = message.to_value().as_array().unwrap()[0]
                .as_string()
                .unwrap()
                .to_owned();
            host.log.push(name);
            let act = (host.on)(&message);
            if matches!(act, Act::HangUp) {
                return Err(Gone);
            }
            let honest = match message {
                DeviceMessage::ProcessMessage(body) => {
                    return Ok(Response::from_dictionary(&body).unwrap());
                }
                DeviceMessage::Disconnect { .. } => return Err(Gone),
                DeviceMessage::Ping { .. }
                | DeviceMessage::VersionExchange { .. }
                | DeviceMessage::DeviceReady => continue,
                DeviceMessage::UploadFiles { .. } => self.take_files(host).await?,
                DeviceMessage::DownloadFiles { paths, .. } => self.give_files(host, &paths).await?,
                DeviceMessage::GetFreeDiskSpace => StatusResponse::free_space(host.free),
                DeviceMessage::PurgeDiskSpace { .. } => StatusResponse::error(StatusCode::Generic),
                DeviceMessage::ContentsOfDirectory { path } => {
                    StatusResponse::ok_with(host.list(&path).to_value())
                }
                DeviceMessage::CreateDirectory { .. } => StatusResponse::ok(),
                DeviceMessage::MoveItems { items, .. } => host.rename(&items),
                DeviceMessage::RemoveItems { paths, .. } => {
                    paths.iter().for_each(|path| host.remove(path));
                    StatusResponse::ok()
                }
                DeviceMessage::CopyItem { .. }
                | DeviceMessage::RemoveDirectory { .. }
                | DeviceMessage::Unknown { .. } => StatusResponse::error(StatusCode::Unimplemented),
            };
            match act {
                Act::Answer(status) => self.send(&status.encode()).await?,
                Act::Raw(bytes) => self.send(&bytes).await?,
                Act::Honest | Act::HangUp => self.send(&honest.encode()).await?,
            }
        }
    }

    async fn take_files(&mut self, host: &mut Host) -> Result<StatusResponse, Gone> {
        let mut decoder = UploadDecoder::new();
        let mut errors = Vec::new();
        let (mut source, mut to, mut bytes, mut len, mut keep) =
            (String::new(), String::new(), Vec::new(), 0, true);
        while !decoder.is_done() {
            if self.start == self.end {
                self.more().await?;
            }
            let (taken, event) = decoder
                .next(&self.buffer[self.start..self.end])
                .map_err(|_| Gone)?;
            match event {
                Some(UploadEvent::FileStart {
                    device_path,
                    dest_path,
                }) => {
                    (source, to) = (device_path.key().into_owned(), dest_path.key().into_owned());
                    keep = !host.drain || to.contains("/Manifest.") || to.contains("/Status.");
                    (bytes, len) = (Vec::new(), 0);
                }
                Some(UploadEvent::Data(data)) => {
                    len += data.len() as u64;
                    if keep {
                        bytes.extend_from_slice(data);
                    }
                }
                Some(UploadEvent::FileEnd {
                    code: StatusCode::Ok,
                    ..
                }) => match host.fail.get_mut(&to) {
                    Some((code, times)) if *times > 0 => {
                        *times -= 1;
                        errors.push(ItemError::new(source.clone(), *code));
                    }
                    Some(_) | None => {
                        let bytes = keep.then(|| std::mem::take(&mut bytes));
                        if to.ends_with("/Status.plist") {
                            host.phases.push(phase(bytes.as_deref().unwrap()));
                        }
                        host.files
                            .insert(std::mem::take(&mut to), Stored { len, bytes });
                    }
                },
                Some(UploadEvent::FileEnd { code, message }) => {
                    host.refused.push((to.clone(), code, message))
                }
                Some(UploadEvent::StreamEnd) | None => {}
            }
            self.start += taken;
        }
        Ok(StatusResponse::of_items(&errors))
    }

    async fn give_files(
        &mut self,
        host: &mut Host,
        paths: &[String],
    ) -> Result<StatusResponse, Gone> {
        let mut errors = Vec::new();
        for path in paths {
            let mut out = Vec::new();
            put_file_start(path, &mut out);
            match host
                .files
                .get(path)
                .and_then(|stored| stored.bytes.as_ref())
            {
                Some(bytes) => {
                    for chunk in bytes.chunks(host.chunk) {
                        out.extend(data_header(chunk.len()));
                        out.extend(chunk);
                        // A manifest may be large, and is held once already.
                        if out.len() > DUPLEX {
                            self.send(&out).await?;
                            out.clear();
                        }
                    }
                    put_file_end(StatusCode::Ok, "", &mut out);
                }
                None => {
                    put_file_end(StatusCode::NotFound, "No such file or directory", &mut out);
                    errors.push(ItemError::new(path.clone(), StatusCode::NotFound));
                }
            }
            self.send(&out).await?;
        }
        self.send(&STREAM_END).await?;
        Ok(StatusResponse::of_items(&errors))
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.stream.write_all(bytes).await.map_err(|_| Gone)?;
        // TLS keeps what the socket did not take at once, and sends it with the next bytes only.
        self.stream.flush().await.map_err(|_| Gone)
    }

    async fn more(&mut self) -> Result<(), Gone> {
        let count = self.stream.read(&mut self.buffer).await.map_err(|_| Gone)?;
        (self.start, self.end) = (0, count);
        if count == 0 { Err(Gone) } else { Ok(()) }
    }

    async fn receive(&mut self) -> Result<DeviceMessage, Gone> {
        let mut decoder = FrameDecoder::default();
        loop {
            if self.start == self.end {
                self.more().await?;
            }
            // What is no message ends the link, as it must for any host.
            let (taken, body) = decoder
                .next(&self.buffer[self.start..self.end])
                .map_err(|_| Gone)?;
            self.start += taken;
            if let Some(body) = body {
                return DeviceMessage::decode(&body).map_err(|_| Gone);
            }
        }
    }
}
