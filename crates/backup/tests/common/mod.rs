//! A simulated phone behind the engine's port: usbmuxd and lockdown from the host's end, without a socket and without TLS.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::allow_attributes,
    reason = "helpers of tests; each file uses the part that it needs"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use backupwatch_backup::{About, Clock, OpenError, Opened, Phone, RunOptions, Store};
use backupwatch_core::run::{Phase, Progress, RunEnd, RunFailure, RunReport};
use backupwatch_core::{HostTime, LocalCopy, Udid};
use backupwatch_sim::persona::{Persona, ServiceSsl};
use backupwatch_sim::phone::PhoneHandle;
use backupwatch_sim::{Listen, Sim, SimHandle};
use backupwatch_wire::lockdown::{FrameDecoder, LockdownError, PORT, PairRecord, Reply, Request};
use backupwatch_wire::usbmux::{self, Client, Decoder, ResultCode};
use backupwatch_wire::{afc, installation_proxy, mobilebackup2, notification_proxy, springboard};
use plist::Dictionary;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub const UDID: &str = "00008101-000A11112222F1E5";

/// A phone with some of everything, small enough for a test of milliseconds.
pub const CONTENTS: &str = r#"
seed = 7
[[groups]]
domain = "CameraRollDomain"
prefix = "Media/DCIM/100APPLE"
count = 40
size = [0, 9000]
names = ["IMG_{n}.HEIC", "Zoe\u0308 🎉 {n}.jpg"]
[[files]]
domain = "HomeDomain"
path = "Library/SMS/sms.db"
size = 400_000
[[files]]
domain = "HomeDomain"
path = "Library/one frame"
size = 32_768
[[files]]
domain = "HomeDomain"
path = "Library/empty"
[[symlinks]]
domain = "HomeDomain"
path = "Library/link"
target = "empty"
[[directories]]
domain = "HomeDomain"
path = "Library/Empty Folder"
"#;

/// A healthy phone with [`CONTENTS`], without TLS.
pub fn persona() -> Persona {
    let mut persona = Persona::plain(UDID, "Ada’s iPhone 📱");
    persona.contents = toml::from_str(CONTENTS).unwrap();
    persona.lockdown.session_ssl = false;
    persona.services.ssl = ServiceSsl::Never;
    persona.passcode.set = false;
    persona
}

/// A password that takes no time to derive keys from.
pub fn encrypted() -> Persona {
    let mut persona = persona();
    persona.backup.password = Some("correct horse 🐴".to_owned());
    persona.backup.dpic = 10;
    persona.backup.iter = 10;
    persona
}

/// One phone, one store, and everything that a test does with them.
pub struct World {
    pub sim: Arc<SimHandle>,
    pub phone: SimPhone,
    pub store: Store,
    pub root: PathBuf,
    pub outside: tempfile::TempDir,
}

impl World {
    /// As [`World::new`], with a store that stays.
    pub fn at(persona: Persona, root: &Path) -> Self {
        let store = Store::create(root).unwrap();
        let udid = Udid::parse(&persona.identity.udid).unwrap();
        let sim = Arc::new(Sim::start(vec![persona], Listen::InProcess).unwrap());
        let phone = SimPhone::new(&sim, udid);
        Self {
            phone,
            sim,
            store,
            root: root.to_owned(),
            outside: tempfile::tempdir().unwrap(),
        }
    }

    pub fn new(persona: Persona) -> Self {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), b"not the phone's").unwrap();
        std::fs::create_dir(outside.path().join("root")).unwrap();
        std::fs::write(outside.path().join("root/neighbour"), b"not the phone's").unwrap();
        let root = outside.path().join("root");
        let store = Store::create(&root).unwrap();
        let udid = Udid::parse(&persona.identity.udid).unwrap();
        let sim = Arc::new(Sim::start(vec![persona], Listen::InProcess).unwrap());
        let phone = SimPhone::new(&sim, udid);
        Self {
            phone,
            sim,
            store,
            root,
            outside,
        }
    }

    pub fn handle(&self) -> PhoneHandle {
        self.phone.handle.clone()
    }

    pub fn udid(&self) -> Udid {
        self.phone.udid.clone()
    }

    pub fn set_faults(&self, text: &str) {
        self.handle()
            .phone()
            .backup()
            .set_faults(toml::from_str(text).unwrap());
    }

    pub fn no_faults(&self) {
        self.set_faults("");
    }

    pub async fn back_up(&self) -> RunReport {
        self.back_up_with(RunOptions::default(), CancellationToken::new())
            .await
            .0
    }

    pub async fn back_up_with(
        &self,
        options: RunOptions,
        cancel: CancellationToken,
    ) -> (RunReport, Vec<Progress>) {
        let (sender, mut progress) = watch::channel(first_progress());
        let mut heard = Vec::new();
        let clock = TestClock::default();
        let mut run = std::pin::pin!(backupwatch_backup::run(
            &self.phone,
            &self.store,
            &clock,
            options,
            sender,
            cancel
        ));
        loop {
            tokio::select! {
                biased;
                Ok(()) = progress.changed() => heard.push(progress.borrow_and_update().clone()),
                report = &mut run => {
                    heard.push(progress.borrow_and_update().clone());
                    return (report, heard);
                }
            }
        }
    }

    /// A backup that must end well and hold every byte that the phone sent.
    pub async fn good_backup(&self) -> LocalCopy {
        let report = self.back_up().await;
        let copy = verified(&report);
        let verdict = self.handle().verdict(&self.root);
        assert!(verdict.is_whole(), "{verdict}");
        assert_eq!(
            self.handle().phone().backup().violations(),
            Vec::<String>::new()
        );
        assert_eq!(
            self.store.current(&self.udid()).unwrap(),
            Some(copy.clone())
        );
        copy
    }

    /// The bytes of the current backup.
    pub fn current(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(&self.store.folder(&self.udid()))
    }

    /// Everything in the test's folder that is not the phone's: to be the same after as before.
    pub fn surroundings(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = tree(self.outside.path());
        let (theirs, ours) = (
            self.root.join(self.udid().as_str()),
            self.root.join(".backupwatch"),
        );
        all.retain(|path, _| {
            let path = self.outside.path().join(path);
            !path.starts_with(&theirs) && !path.starts_with(&ours)
        });
        all
    }
}

pub fn verified(report: &RunReport) -> LocalCopy {
    match &report.end {
        RunEnd::Verified(copy) => copy.clone(),
        RunEnd::Failed(failure) => panic!("{failure:?}\n{report:#?}"),
    }
}

pub fn failure(report: &RunReport) -> RunFailure {
    match &report.end {
        RunEnd::Verified(copy) => panic!("verified: {copy:?}"),
        RunEnd::Failed(failure) => failure.clone(),
    }
}

/// Paths and contents of all files and folders below `folder`.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            let content = if kind.is_dir() {
                folders.push(path);
                Vec::new()
            } else if kind.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            all.insert(name, content);
        }
    }
    all
}

pub fn first_progress() -> Progress {
    Progress {
        phase: Phase::Opening,
        percent: None,
        bytes: 0,
        files: 0,
        started: TestClock::default().now(),
    }
}

/// The time of day; it goes on by a second with each look.
pub struct TestClock(AtomicU32);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicU32::new(0))
    }
}

impl Clock for TestClock {
    fn now(&self) -> HostTime {
        static BASE: std::sync::LazyLock<jiff::Timestamp> =
            std::sync::LazyLock::new(jiff::Timestamp::now);
        let seconds = self.0.fetch_add(1, Ordering::Relaxed);
        HostTime(*BASE + jiff::SignedDuration::from_secs(seconds.into()))
    }
}

/// The port of the engine over the simulator.
pub struct SimPhone {
    udid: Udid,
    handle: PhoneHandle,
    sim: Arc<SimHandle>,
    record: PairRecord,
    pub sessions: AtomicU32,
}

impl SimPhone {
    fn new(sim: &Arc<SimHandle>, udid: Udid) -> Self {
        let handle = sim.phone(udid.as_str()).unwrap();
        let record = PairRecord::decode(&sim.hub().pair_record(udid.as_str()).unwrap()).unwrap();
        Self {
            udid,
            handle,
            sim: Arc::clone(sim),
            record,
            sessions: AtomicU32::new(0),
        }
    }

    async fn ask_mux(
        &self,
        request: &usbmux::Request,
    ) -> Result<(usbmux::Reply, DuplexStream), OpenError> {
        let mut stream = self.sim.connect();
        let client = Client {
            prog_name: "test".to_owned(),
            ..Client::default()
        };
        stream
            .write_all(&request.encode(&client, 1))
            .await
            .map_err(lost)?;
        // Exactly one packet: what follows belongs to the service, and some phones speak first.
        let mut packet = vec![0; 4];
        stream.read_exact(&mut packet).await.map_err(lost)?;
        let len = u32::from_le_bytes([packet[0], packet[1], packet[2], packet[3]]);
        packet.resize(len as usize, 0);
        stream.read_exact(&mut packet[4..]).await.map_err(lost)?;
        let mut decoder = Decoder::new();
        decoder.push(&packet);
        let packet = decoder.next_packet().unwrap().unwrap();
        Ok((usbmux::Reply::decode(&packet).unwrap(), stream))
    }

    /// A connection to lockdownd on which nothing has been said, and the record that it knows this computer by.
    pub async fn lockdown(&self) -> (PairRecord, DuplexStream) {
        (self.record.clone(), self.connect(PORT).await.unwrap())
    }

    async fn connect(&self, port: u16) -> Result<DuplexStream, OpenError> {
        let (reply, _) = self.ask_mux(&usbmux::Request::ListDevices).await?;
        let usbmux::Reply::Devices { attachments, .. } = reply else {
            panic!("{reply:?}")
        };
        let device = attachments
            .iter()
            .find(|one| one.udid == self.udid.as_str())
            .ok_or(OpenError::LinkLost)?;
        let request = usbmux::Request::Connect {
            device: device.device_id,
            port,
        };
        match self.ask_mux(&request).await? {
            (usbmux::Reply::Result(ResultCode::Ok), stream) => Ok(stream),
            _ => Err(OpenError::LinkLost),
        }
    }
}

impl Phone for SimPhone {
    type Stream = DuplexStream;

    fn udid(&self) -> &Udid {
        &self.udid
    }

    async fn open(&self) -> Result<Opened<DuplexStream>, OpenError> {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let mut lockdown = Lockdown {
            stream: self.connect(PORT).await?,
            decoder: FrameDecoder::new(),
        };
        let session = Request::StartSession {
            host_id: self.record.host_id.clone(),
            system_buid: self.record.system_buid.clone(),
        };
        lockdown.ask(&session).await?;
        let about = About {
            root: lockdown.domain(None).await?,
            itunes: lockdown.domain(Some("com.apple.iTunes")).await?,
            mobile_itunes: lockdown.domain(Some("com.apple.mobile.iTunes")).await?,
            backup_domain: lockdown.domain(Some("com.apple.mobile.backup")).await?,
        };
        let mut ports = Vec::new();
        for service in [
            mobilebackup2::SERVICE,
            notification_proxy::SERVICE,
            afc::SERVICE,
            installation_proxy::SERVICE,
            springboard::SERVICE,
        ] {
            let request = Request::StartService {
                service: service.to_owned(),
                escrow_bag: self.record.escrow_bag.clone(),
            };
            match lockdown.ask(&request).await? {
                Reply::Service { port, tls: false } => ports.push(port),
                other => panic!("{other:?}"),
            }
        }
        Ok(Opened {
            about,
            backup: self.connect(ports[0]).await?,
            notifications: self.connect(ports[1]).await?,
            afc: self.connect(ports[2]).await?,
            apps: Some(self.connect(ports[3]).await?),
            icons: Some(self.connect(ports[4]).await?),
        })
    }
}

struct Lockdown {
    stream: DuplexStream,
    decoder: FrameDecoder,
}

impl Lockdown {
    async fn ask(&mut self, request: &Request) -> Result<Reply, OpenError> {
        self.stream
            .write_all(&request.encode(Some("test")))
            .await
            .map_err(lost)?;
        let mut bytes = [0; 4096];
        let frame = loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                break frame;
            }
            match self.stream.read(&mut bytes).await.map_err(lost)? {
                0 => return Err(OpenError::LinkLost),
                read => self.decoder.push(&bytes[..read]),
            }
        };
        match Reply::decode(request, &frame).unwrap() {
            Reply::Refused(LockdownError::PasswordProtected) => Err(OpenError::Locked),
            Reply::Refused(LockdownError::InvalidHostID) => Err(OpenError::NotTrusted),
            reply => Ok(reply),
        }
    }

    async fn domain(&mut self, domain: Option<&str>) -> Result<Dictionary, OpenError> {
        let request = Request::GetValue {
            domain: domain.map(str::to_owned),
            key: None,
        };
        Ok(match self.ask(&request).await? {
            Reply::Value(value) => value.into_dictionary().unwrap_or_default(),
            _ => Dictionary::new(),
        })
    }
}

fn lost(_: std::io::Error) -> OpenError {
    OpenError::LinkLost
}
