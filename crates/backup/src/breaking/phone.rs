//! The smallest phone that can be broken off anywhere: it goes by the status on the host and by its listings, as a real one
//! does (protocol.md 9.8), and sends what a simulated phone once sent.
//!
//! Not here: a phone with opinions. That is `backupwatch-sim`, which asks three times more than there are files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use backupwatch_core::Udid;
use backupwatch_core::run::RunReport;
use backupwatch_wire::afc::{PacketDecoder, Reply, Request, SYNC_LOCK, Status};
use backupwatch_wire::devicelink::download::{DownloadDecoder, DownloadEvent};
use backupwatch_wire::devicelink::upload::{FILE_OK, STREAM_END, data_header, put_file_start};
use backupwatch_wire::devicelink::{
    DeviceMessage, FrameDecoder, HostMessage, Listing, StatusCode, StatusResponse,
};
use backupwatch_wire::mobilebackup2::{MbError, Response};
use plist::{Dictionary, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::common::{TestClock, first_progress};
use crate::{About, OpenError, Opened, RunOptions, Store};

/// Paths below the phone's folder, and what is in the files.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// No two backups are called the same.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// What a phone keeps between two connections.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// The backup that it had to break off.
    pending: Option<Plan>,
}

/// What one backup is to send.
#[derive(Clone, Debug)]
struct Plan {
    uuid: String,
    full: bool,
    changed: Vec<String>,
}

pub(super) struct Phone {
    udid: Udid,
    /// What it had when its last backup was made, and what it has now.
    old: Files,
    new: Files,
    /// Its Status.plist, but for what changes in it.
    status: Dictionary,
    memory: Mutex<Memory>,
    streams: Mutex<Option<Opened<DuplexStream>>>,
    /// Whether it has read what it begins with, or has broken off.
    has_read: Arc<AtomicBool>,
}

/// How the phone's side of a backup ended before its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The host is gone.
    Gone,
    Failed(StatusCode),
}

impl Phone {
    /// A phone that had the files `old`, and now has `new`, with the status that came with them.
    pub(super) fn new(udid: Udid, old: Files, new: Files, status: &[u8]) -> Self {
        let status = Value::from_reader(Cursor::new(status)).unwrap();
        Self {
            udid,
            old,
            new,
            status: status.into_dictionary().unwrap(),
            memory: Mutex::default(),
            streams: Mutex::default(),
            has_read: Arc::default(),
        }
    }

    /// One like it, which remembers the same.
    pub(super) fn twin(&self) -> Self {
        Self {
            udid: self.udid.clone(),
            old: self.old.clone(),
            new: self.new.clone(),
            status: self.status.clone(),
            memory: Mutex::new(lock(&self.memory).clone()),
            streams: Mutex::default(),
            has_read: Arc::default(),
        }
    }

    /// What a whole backup of it holds, but for its status and the host's own Info.plist.
    pub(super) fn files(&self) -> &Files {
        &self.new
    }

    /// Becomes true when a run of it has come so far that it does more than read.
    pub(super) fn has_read(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_read)
    }

    /// A run of the engine with this phone.
    pub(super) async fn back_up(&self, store: &Store) -> RunReport {
        let pair = || tokio::io::duplex(1 << 20);
        let (backup, theirs) = pair();
        let (notifications, _heard) = pair();
        let (afc, afcs) = pair();
        *lock(&self.streams) = Some(Opened {
            about: About::default(),
            backup,
            notifications,
            afc,
            apps: None,
            icons: None,
        });
        let (progress, _) = watch::channel(first_progress());
        let (clock, options) = (TestClock::default(), RunOptions::default());
        let cancel = CancellationToken::new();
        let run = crate::run(self, store, &clock, options, progress, cancel);
        let others = async { tokio::join!(agree_to_all(afcs), self.talk(theirs)) };
        let (mut run, mut others) = (std::pin::pin!(run), std::pin::pin!(others));
        tokio::select! {
            report = &mut run => report,
            _ = &mut others => run.await,
        }
    }

    /// The phone's end of mobilebackup2.
    async fn talk(&self, stream: DuplexStream) {
        let mut line = Line::new(stream, &self.udid, Arc::clone(&self.has_read));
        let ended = match self.whole(&mut line).await {
            Ok(()) => Response::ok(),
            Err(Stop::Gone) => return,
            Err(Stop::Failed(code)) => {
                Response::failed(MbError::of_status(code).unwrap_or(MbError::GENERIC), "")
            }
        };
        let _ = line.say(&ended.to_message()).await;
        // The host says goodbye.
        let _ = line.hear().await;
    }

    async fn whole(&self, line: &mut Line) -> Result<(), Stop> {
        line.say(&DeviceMessage::VersionExchange {
            major: 400,
            minor: 0,
        })
        .await?;
        line.hear().await?;
        line.say(&DeviceMessage::DeviceReady).await?;
        line.hear().await?;
        line.say(&Response::hello(2.1).to_message()).await?;
        line.hear().await?;

        let mut resumed = false;
        let mut moved = false;
        let plan = match line.download("Status.plist").await? {
            None => self.plan(line).await?,
            Some(bytes) => {
                let status = Value::from_reader(Cursor::new(bytes));
                let status = status.ok().and_then(Value::into_dictionary);
                let status = status.ok_or(Stop::Failed(StatusCode::Generic))?;
                let text = |key: &str| status.get(key).and_then(Value::as_string);
                let pending = lock(&self.memory).pending.clone();
                let pending = pending.filter(|plan| text("UUID") == Some(&plan.uuid));
                match (text("SnapshotState"), pending) {
                    (None | Some("finished"), _) => self.plan(line).await?,
                    (Some("uploading"), Some(plan)) => {
                        resumed = true;
                        plan
                    }
                    (Some("uploading"), None) => {
                        line.remove(vec!["Snapshot".to_owned()]).await?;
                        self.plan(line).await?
                    }
                    (Some(_), pending) => {
                        // Nothing is read from the phone any more: what is in `Snapshot` goes to its place.
                        moved = true;
                        let uuid = text("UUID").unwrap_or_default().to_owned();
                        if text("SnapshotState") == Some("moving") {
                            self.move_all(line, None).await?;
                        }
                        pending.unwrap_or(Plan {
                            uuid,
                            full: false,
                            changed: Vec::new(),
                        })
                    }
                }
            }
        };
        lock(&self.memory).pending = Some(plan.clone());
        if !moved {
            self.send_all(line, &plan, resumed).await?;
            self.put_status(line, &plan, "moving").await?;
            self.move_all(line, Some(&plan)).await?;
        }
        self.put_status(line, &plan, "removing").await?;
        let mut gone = Vec::new();
        for folder in self.folders() {
            let there = line.list(&folder).await?;
            let there = there.into_keys().map(|name| format!("{folder}/{name}"));
            gone.extend(there.filter(|path| !self.new.contains_key(path)));
        }
        gone.push("Snapshot".to_owned());
        line.remove(gone).await?;
        self.put_status(line, &plan, "finished").await?;
        lock(&self.memory).pending = None;
        Ok(())
    }

    /// A new backup, on what the manifest on the host says that it has.
    async fn plan(&self, line: &mut Line) -> Result<Plan, Stop> {
        let manifest = line.download("Manifest.db").await?;
        let there = [&self.new, &self.old]
            .into_iter()
            .find(|files| manifest.is_some() && files.get("Manifest.db") == manifest.as_ref());
        let nothing = Files::new();
        let base = there.unwrap_or(&nothing);
        let changed = self.new.iter();
        let changed = changed
            .filter(|(path, content)| path.contains('/') && base.get(*path) != Some(content));
        Ok(Plan {
            uuid: format!(
                "00000000-0000-0000-0000-{:012}",
                RUNS.fetch_add(1, Ordering::Relaxed)
            ),
            full: there.is_none(),
            changed: changed.map(|(path, _)| path.clone()).collect(),
        })
    }

    async fn send_all(&self, line: &mut Line, plan: &Plan, resumed: bool) -> Result<(), Stop> {
        let mut there = BTreeMap::new();
        for folder in self.folders() {
            if resumed {
                for (name, size) in line.list(&format!("Snapshot/{folder}")).await? {
                    there.insert(format!("{folder}/{name}"), size);
                }
            }
            line.make_folder(&folder).await?;
            line.make_folder(&format!("Snapshot/{folder}")).await?;
        }
        self.put_status(line, plan, "uploading").await?;
        let is_missing = |path: &&String| there.get(*path) != Some(&(self.new[*path].len() as u64));
        let wanted: Vec<_> = plan.changed.iter().filter(is_missing).collect();
        for batch in wanted.chunks(2) {
            let batch = batch.iter();
            let files = batch.map(|path| (format!("Snapshot/{path}"), self.new[*path].as_slice()));
            line.upload(files).await?;
        }
        let manifests = ["Manifest.plist", "Manifest.db"];
        let manifests = manifests.map(|name| (format!("Snapshot/{name}"), &*self.new[name]));
        line.upload(manifests.into_iter()).await
    }

    /// From `Snapshot` to its place: what the plan says, or what is there.
    async fn move_all(&self, line: &mut Line, plan: Option<&Plan>) -> Result<(), Stop> {
        let mut moves = Vec::new();
        match plan {
            Some(plan) => moves.extend(plan.changed.iter().cloned()),
            None => {
                for folder in self.folders() {
                    let there = line.list(&format!("Snapshot/{folder}")).await?;
                    moves.extend(there.into_keys().map(|name| format!("{folder}/{name}")));
                }
            }
        }
        for batch in moves.chunks(2) {
            line.rename(batch).await?;
        }
        // They may have been moved before.
        match line
            .rename(&["Manifest.plist", "Manifest.db"].map(str::to_owned))
            .await
        {
            Err(Stop::Failed(StatusCode::NotFound | StatusCode::Multi)) if plan.is_none() => Ok(()),
            done => done,
        }
    }

    async fn put_status(&self, line: &mut Line, plan: &Plan, state: &str) -> Result<(), Stop> {
        let mut status = self.status.clone();
        status.insert("UUID".to_owned(), plan.uuid.as_str().into());
        status.insert("SnapshotState".to_owned(), state.into());
        let full = plan.full && state != "finished";
        status.insert("IsFullBackup".to_owned(), full.into());
        let mut bytes = Vec::new();
        Value::Dictionary(status)
            .to_writer_binary(&mut bytes)
            .unwrap();
        line.upload([("Status.plist".to_owned(), bytes.as_slice())].into_iter())
            .await
    }

    fn folders(&self) -> BTreeSet<String> {
        let paths = self.old.keys().chain(self.new.keys());
        let folders = paths.filter_map(|path| path.split_once('/'));
        folders.map(|(folder, _)| folder.to_owned()).collect()
    }
}

impl crate::Phone for Phone {
    type Stream = DuplexStream;

    fn udid(&self) -> &Udid {
        &self.udid
    }

    async fn open(&self) -> Result<Opened<DuplexStream>, OpenError> {
        lock(&self.streams).take().ok_or(OpenError::LinkLost)
    }
}

/// The phone's end of a DeviceLink connection; each question is one of the phone's.
pub(crate) struct Line {
    stream: DuplexStream,
    frames: FrameDecoder,
    bytes: Vec<u8>,
    udid: String,
    has_read: Arc<AtomicBool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.has_read.store(true, Ordering::SeqCst);
    }
}

impl Line {
    pub(crate) fn new(stream: DuplexStream, udid: &Udid, has_read: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            frames: FrameDecoder::default(),
            bytes: Vec::new(),
            udid: udid.to_string(),
            has_read,
        }
    }

    fn full(&self, path: &str) -> String {
        format!("{}/{path}", self.udid)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.stream.write_all(bytes).await.map_err(|_| Stop::Gone)
    }

    async fn read(&mut self) -> Result<(), Stop> {
        match self.stream.read_buf(&mut self.bytes).await {
            Ok(0) | Err(_) => Err(Stop::Gone),
            Ok(_) => Ok(()),
        }
    }

    pub(crate) async fn say(&mut self, message: &DeviceMessage) -> Result<(), Stop> {
        if let DeviceMessage::UploadFiles { .. }
        | DeviceMessage::CreateDirectory { .. }
        | DeviceMessage::MoveItems { .. }
        | DeviceMessage::RemoveItems { .. } = message
        {
            self.has_read.store(true, Ordering::SeqCst);
        }
        self.write(&message.encode()).await
    }

    async fn hear(&mut self) -> Result<HostMessage, Stop> {
        loop {
            let (taken, body) = self.frames.next(&self.bytes).unwrap();
            self.bytes.drain(..taken);
            if let Some(body) = body {
                let value = Value::from_reader(Cursor::new(body)).unwrap();
                return Ok(HostMessage::from_value(value).unwrap());
            }
            self.read().await?;
        }
    }

    async fn answer(&mut self) -> Result<StatusResponse, Stop> {
        if let HostMessage::Status(status) = self.hear().await? {
            Ok(status)
        } else {
            Err(Stop::Gone)
        }
    }

    pub(crate) async fn ask(&mut self, message: &DeviceMessage) -> Result<StatusResponse, Stop> {
        self.say(message).await?;
        self.answer().await
    }

    /// `None` when the host has no such file.
    async fn download(&mut self, path: &str) -> Result<Option<Vec<u8>>, Stop> {
        let paths = vec![self.full(path)];
        self.say(&DeviceMessage::DownloadFiles {
            paths,
            progress: None,
            size: None,
        })
        .await?;
        let mut decoder = DownloadDecoder::new();
        let mut content = Vec::new();
        let mut ended = StatusCode::Generic;
        while !decoder.is_done() {
            let (taken, event) = decoder.next(&self.bytes).unwrap();
            let waits = event.is_none();
            match event {
                Some(DownloadEvent::Data(data)) => content.extend_from_slice(data),
                Some(DownloadEvent::FileEnd { code, .. }) => ended = code,
                Some(DownloadEvent::FileStart { .. } | DownloadEvent::StreamEnd) | None => {}
            }
            self.bytes.drain(..taken);
            if waits {
                self.read().await?;
            }
        }
        self.answer().await?;
        if ended == StatusCode::NotFound {
            return Ok(None);
        }
        good(ended).map(|()| Some(content))
    }

    pub(crate) async fn upload<'a>(
        &mut self,
        files: impl Iterator<Item = (String, &'a [u8])>,
    ) -> Result<(), Stop> {
        self.say(&DeviceMessage::UploadFiles {
            progress: None,
            total: None,
        })
        .await?;
        for (path, content) in files {
            let mut bytes = Vec::new();
            put_file_start("/.b/1", &self.full(&path), &mut bytes);
            for data in content.chunks(32 << 10) {
                bytes.extend_from_slice(&data_header(data.len()));
                bytes.extend_from_slice(data);
            }
            bytes.extend_from_slice(&FILE_OK);
            self.write(&bytes).await?;
        }
        self.write(&STREAM_END).await?;
        let answer = self.answer().await?;
        good(answer.code)
    }

    /// Names and lengths; a folder that is not there is empty.
    pub(crate) async fn list(&mut self, folder: &str) -> Result<BTreeMap<String, u64>, Stop> {
        let path = self.full(folder);
        let answer = self
            .ask(&DeviceMessage::ContentsOfDirectory { path })
            .await?;
        good(answer.code)?;
        let listing = Listing::from_value(&answer.value).unwrap();
        let entries = listing.0.into_iter();
        Ok(entries.map(|(name, info)| (name, info.size)).collect())
    }

    pub(crate) async fn make_folder(&mut self, folder: &str) -> Result<(), Stop> {
        let path = self.full(folder);
        let answer = self.ask(&DeviceMessage::CreateDirectory { path }).await?;
        if answer.code == StatusCode::Exists {
            return Ok(());
        }
        good(answer.code)
    }

    pub(crate) async fn rename(&mut self, paths: &[String]) -> Result<(), Stop> {
        let items = paths.iter();
        let items = items.map(|path| (self.full(&format!("Snapshot/{path}")), self.full(path)));
        let message = DeviceMessage::MoveItems {
            items: items.collect(),
            progress: None,
        };
        let answer = self.ask(&message).await?;
        good(answer.code)
    }

    async fn remove(&mut self, paths: Vec<String>) -> Result<(), Stop> {
        let paths = paths.iter().map(|path| self.full(path)).collect();
        let message = DeviceMessage::RemoveItems {
            paths,
            progress: None,
        };
        let answer = self.ask(&message).await?;
        good(answer.code)
    }
}

fn good(code: StatusCode) -> Result<(), Stop> {
    if code == StatusCode::Ok {
        Ok(())
    } else {
        Err(Stop::Failed(code))
    }
}

/// An AFC that has no files and gives every lock.
async fn agree_to_all(mut stream: DuplexStream) {
    let mut decoder = PacketDecoder::default();
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        loop {
            let (taken, packet) = decoder.next(&bytes).unwrap();
            bytes.drain(..taken);
            let Some(packet) = packet else { break };
            let request = Request::from_packet(&packet).unwrap();
            let reply = if matches!(&request, Request::Open { path, .. } if path == SYNC_LOCK) {
                Reply::Opened { handle: 1 }
            } else if matches!(request, Request::Lock { .. } | Request::Close { .. }) {
                Reply::Status(Status::Success)
            } else {
                Reply::Status(Status::NotFound)
            };
            let packet = reply.to_packet(packet.number).encode();
            if stream.write_all(&packet).await.is_err() {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
