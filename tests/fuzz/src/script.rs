//! From bytes to what a phone says: each few of them are one message, so that a small change of an input is a small change of
//! the conversation. Honest pieces of a recorded backup, hostile paths and bytes without sense come in any order.

use std::sync::LazyLock;

use backupwatch_wire::devicelink::upload::{self, STREAM_END, put_file_end};
use backupwatch_wire::devicelink::{
    DeviceMessage, FrameDecoder, StatusCode, UploadDecoder, UploadEvent,
};
use backupwatch_wire::mobilebackup2::{MbError, Response};

use super::place::UDID;

/// Longest of all that one script says; a copy of a copy of a piece adds up.
const MAX: usize = 1 << 20;

/// Paths that a phone uses, and paths that it must not. `{}` is its UDID.
const PATHS: [&str; 30] = [
    "{}",
    "{}/Snapshot",
    "{}/Status.plist",
    "{}/Manifest.plist",
    "{}/Manifest.db",
    "{}/Info.plist",
    "{}/Snapshot/Manifest.db",
    "{}/Snapshot/Status.plist",
    "{}/ab",
    "{}/Snapshot/ab",
    "{}/Snapshot/ab/ab00000000000000000000000000000000000000",
    "{}/ab/ab00000000000000000000000000000000000000",
    "{}/ab/not-a-hash",
    "{}/link",
    "{}/link/theirs",
    "{}/Snapshot/link/theirs",
    "{}/file",
    "{}/a/b/c/d",
    "{}/.backupwatch-0.part",
    "{}/../00008110-0000000000000001/theirs",
    "{}/../.backupwatch/marker.json",
    "00008110-0000000000000001/theirs",
    ".backupwatch/work/00008110-0000000000000001",
    "../theirs",
    "../victim/theirs",
    "/dev/shm",
    "/",
    ".",
    "",
    "{}\\..\\x",
];

/// All that a phone says in a backup of everything, in pieces: a message, and the stream that follows it.
static FIRST: LazyLock<Vec<&[u8]>> = LazyLock::new(|| {
    pieces(include_bytes!(
        "../../../fixtures/wire/mobilebackup2/first.device"
    ))
});

/// The same of the next backup, when some of it has changed.
static CHANGED: LazyLock<Vec<&[u8]>> = LazyLock::new(|| {
    pieces(include_bytes!(
        "../../../fixtures/wire/mobilebackup2/changed.device"
    ))
});

pub fn first() -> Vec<u8> {
    FIRST.concat()
}

pub fn changed() -> Vec<u8> {
    CHANGED.concat()
}

/// The first pieces greet the host.
const GREETINGS: usize = 3;

pub fn play(input: &[u8]) -> Vec<u8> {
    let mut said = FIRST[..GREETINGS].concat();
    let mut script = Script(input);
    while let Some(kind) = script.byte() {
        script.line(kind, &mut said);
        if said.len() > MAX {
            break;
        }
    }
    said
}

struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> usize {
        self.byte().unwrap_or(0).into()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.number().min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    /// A path of the table, or one of the script's own; in the phone's folder, unless it is odd.
    fn path(&mut self) -> String {
        match self.number() {
            known if known < PATHS.len() => PATHS[known].replace("{}", UDID),
            own => {
                let text = String::from_utf8_lossy(&self.bytes()).into_owned();
                if own % 4 == 0 {
                    text
                } else {
                    format!("{UDID}/{text}")
                }
            }
        }
    }

    fn paths(&mut self) -> Vec<String> {
        (0..self.number() % 8).map(|_| self.path()).collect()
    }

    fn line(&mut self, kind: u8, said: &mut Vec<u8>) {
        let progress = None;
        let message = match kind % 16 {
            0 => DeviceMessage::DownloadFiles {
                paths: self.paths(),
                progress,
                size: None,
            },
            1 => DeviceMessage::UploadFiles {
                progress,
                total: Some(u64::MAX),
            },
            2 => DeviceMessage::GetFreeDiskSpace,
            3 => DeviceMessage::PurgeDiskSpace {
                bytes: u64::MAX,
                urgency: None,
            },
            4 => DeviceMessage::ContentsOfDirectory { path: self.path() },
            5 => DeviceMessage::CreateDirectory { path: self.path() },
            6 => DeviceMessage::MoveItems {
                items: self
                    .paths()
                    .into_iter()
                    .map(|from| (from, self.path()))
                    .collect(),
                progress,
            },
            7 => DeviceMessage::RemoveItems {
                paths: self.paths(),
                progress,
            },
            8 => DeviceMessage::CopyItem {
                from: self.path(),
                to: self.path(),
            },
            9 => DeviceMessage::RemoveDirectory { path: self.path() },
            10 => DeviceMessage::Ping { text: self.path() },
            11 => DeviceMessage::Unknown { name: self.path() },
            12 => match MbError::new(self.number() as i64) {
                None => Response::ok().to_message(),
                Some(error) => Response::failed(error, "no").to_message(),
            },
            13 => {
                said.extend(self.bytes());
                return;
            }
            14 => {
                said.extend(FIRST[self.number() % FIRST.len()]);
                return;
            }
            _ => {
                said.extend(CHANGED[self.number() % CHANGED.len()]);
                return;
            }
        };
        said.extend(message.encode());
        if let DeviceMessage::UploadFiles { .. } = message {
            self.upload(said);
        }
    }

    fn upload(&mut self, said: &mut Vec<u8>) {
        for _ in 0..self.number() % 8 {
            upload::put_file_start("/.b/1", &self.path(), said);
            for _ in 0..self.number() % 4 {
                let data = self.bytes();
                said.extend(upload::data_header(data.len()));
                said.extend(data);
            }
            match self.number() {
                0..224 => said.extend(upload::FILE_OK),
                // A length that is not true.
                255 => said.extend([0xFF; 5]),
                code => put_file_end(StatusCode::from_final_byte(code as u8 - 220), "no", said),
            }
        }
        said.extend(STREAM_END);
    }
}

/// Without the folders that nothing is put into: a phone makes 256 of them, twice, and each costs us time.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut used) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let (mut length, body) = FrameDecoder::default()
            .next(bytes)
            .expect("a recorded frame");
        let message = DeviceMessage::decode(&body.expect("a whole one")).expect("a message");
        if let DeviceMessage::UploadFiles { .. } = message {
            let mut stream = UploadDecoder::new();
            while !stream.is_done() {
                let (taken, event) = stream.next(&bytes[length..]).expect("a recorded stream");
                length += taken;
                if let Some(UploadEvent::FileStart { dest_path, .. }) = event {
                    let names: Vec<String> =
                        dest_path.key().split('/').map(str::to_owned).collect();
                    used.extend(names.into_iter().rev().nth(1));
                }
            }
        }
        let (piece, rest) = bytes.split_at(length);
        pieces.push((message, piece));
        bytes = rest;
    }
    pieces.retain(|(message, _)| match message {
        DeviceMessage::CreateDirectory { path } | DeviceMessage::ContentsOfDirectory { path } => {
            let name = path.rsplit('/').next().unwrap_or_default();
            name.len() != 2 || used.iter().any(|used| used == name)
        }
        _ => true,
    });
    pieces.into_iter().map(|(_, piece)| piece).collect()
}
