//! The malice of a phone: messages that no honest one sends, at a moment of the persona's choosing. What the host answers
//! is in the journal; a rogue phone goes on with its backup wherever the link still makes sense.

use backupwatch_wire::devicelink::upload::{STREAM_END, put_file_end, put_file_start};
use backupwatch_wire::devicelink::{DeviceMessage, StatusCode, StatusResponse};
use backupwatch_wire::mobilebackup2::{MbError, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::host::Stop;
use super::link::{End, Link};
use super::upload::{Source, Upload};
use crate::faults::{Message, Moment};

/// What a rogue upload holds, so that a test can look for it where it must not be.
pub const ROGUE_CONTENT: &[u8] = b"written by a rogue phone";

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    /// Does what the persona has in mind for this moment of a backup.
    pub async fn moment(&mut self, moment: Moment) -> Result<(), Stop> {
        let faults = self.side().faults();
        for rogue in faults.rogue.iter().filter(|rogue| rogue.at == moment) {
            self.rogue(&rogue.send).await?;
        }
        match faults.end.as_ref().filter(|end| end.at == moment) {
            Some(end) => Err(Stop::failed(
                MbError::new(end.code).unwrap_or(MbError::GENERIC),
                end.text.clone(),
            )),
            None => Ok(()),
        }
    }

    async fn rogue(&mut self, message: &Message) -> Result<(), Stop> {
        let udid = self.phone.udid().to_owned();
        let path = |path: &String| path.replace("{udid}", &udid);
        let (source, progress) = ("/.b/8/Rogue/a", Some(50.0));
        match message {
            Message::Unknown(name) => {
                self.ask_anything(&DeviceMessage::Unknown { name: name.clone() })
                    .await
            }
            Message::Upload(to) => {
                self.upload_rogue(&[(source, &path(to), ROGUE_CONTENT)])
                    .await
            }
            Message::UploadNul => {
                self.upload_rogue(&[(source, &format!("{udid}/a\0b"), ROGUE_CONTENT)])
                    .await
            }
            Message::UploadTwice(to) => {
                let to = path(to);
                self.upload_rogue(&[
                    (source, &to, ROGUE_CONTENT),
                    ("/.b/8/Rogue/b", &to, b"second"),
                ])
                .await
            }
            Message::Download(from) => self.download(&[path(from)], &mut |_, _| {}).await.map(drop),
            Message::Remove(what) => {
                self.ask_anything(&DeviceMessage::RemoveItems {
                    paths: vec![path(what)],
                    progress,
                })
                .await
            }
            Message::Move { from, to } => {
                self.ask_anything(&DeviceMessage::MoveItems {
                    items: vec![(path(from), path(to))],
                    progress,
                })
                .await
            }
            Message::Copy { from, to } => {
                self.ask_anything(&DeviceMessage::CopyItem {
                    from: path(from),
                    to: path(to),
                })
                .await
            }
            Message::CreateDirectory(what) => {
                self.ask_anything(&DeviceMessage::CreateDirectory { path: path(what) })
                    .await
            }
            Message::List(what) => {
                self.ask_anything(&DeviceMessage::ContentsOfDirectory { path: path(what) })
                    .await
            }
            Message::Ping => Ok(self
                .send(&DeviceMessage::Ping {
                    text: "are you there?".to_owned(),
                })
                .await?),
            Message::HugeFrame => {
                let mut bytes = self.rogue_file(&udid);
                bytes.extend([0xFF, 0xFF, 0xFF, 0xFF, 0x0C]);
                bytes.resize(bytes.len() + (1 << 20), 0x55);
                self.upload_raw(&bytes).await?;
                Ok(self.until_closed().await?)
            }
            Message::EmptyFrames => {
                let mut bytes = self.rogue_file(&udid);
                for _ in 0..1000 {
                    bytes.extend([0, 0, 0, 1, 0x0C]);
                }
                put_file_end(StatusCode::Ok, "", &mut bytes);
                bytes.extend(STREAM_END);
                self.upload_raw(&bytes).await?;
                Ok(self.status().await.map(drop)?)
            }
            Message::ZeroFrame => {
                let mut bytes = self.rogue_file(&udid);
                bytes.extend([0, 0, 0, 0]);
                self.upload_raw(&bytes).await?;
                Ok(self.until_closed().await?)
            }
            Message::HugePath => {
                let mut bytes = 0x7FFF_FFFF_u32.to_be_bytes().to_vec();
                bytes.resize(1 << 16, b'a');
                self.upload_raw(&bytes).await?;
                Ok(self.until_closed().await?)
            }
            Message::HugeMessage => self.raw(&[0xFF; 4096]).await,
            Message::Rubbish => self.raw(b"\0\0\0\x08rubbish!").await,
            Message::NotAMessage => {
                let bytes = backupwatch_wire::devicelink::frame::encode(&plist::Value::from(
                    "DLMessagePing",
                ));
                self.raw(&bytes).await
            }
            Message::Status => self.raw(&StatusResponse::ok().encode()).await,
            Message::Success => {
                self.send(&Response::ok().to_message()).await?;
                Err(Stop::Over)
            }
            Message::VersionExchange => {
                self.raw(
                    &DeviceMessage::VersionExchange {
                        major: 400,
                        minor: 0,
                    }
                    .encode(),
                )
                .await
            }
            Message::Disconnect => {
                self.send(&DeviceMessage::Disconnect {
                    reason: String::new(),
                })
                .await?;
                Err(Stop::End(End::Closed))
            }
        }
    }

    async fn ask_anything(&mut self, message: &DeviceMessage) -> Result<(), Stop> {
        self.send(message).await?;
        self.status().await?;
        Ok(())
    }

    async fn upload_rogue(&mut self, files: &[(&str, &str, &[u8])]) -> Result<(), Stop> {
        let upload = |&(device_path, destination, bytes)| {
            let (device_path, destination) =
                (str::to_owned(device_path), str::to_owned(destination));
            Upload {
                device_path,
                destination,
                source: Source::Bytes(bytes),
                fault: None,
            }
        };
        let batch: Vec<Upload<'_>> = files.iter().map(upload).collect();
        // Whatever the host makes of it, the phone goes on.
        match self.upload(&batch).await {
            Ok(_) | Err(Stop::Failed { .. }) => Ok(()),
            Err(stop) => Err(stop),
        }
    }

    /// The beginning of a file that would be a fine one.
    fn rogue_file(&self, udid: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_file_start(
            "/.b/8/Rogue/a",
            &format!("{udid}/Snapshot/00/rogue"),
            &mut bytes,
        );
        bytes
    }

    async fn upload_raw(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.send(&DeviceMessage::UploadFiles {
            progress: Some(50.0),
            total: Some(1),
        })
        .await?;
        self.write(bytes).await?;
        self.flush().await
    }

    /// Bytes that nobody can answer; the phone waits for the end of the link.
    async fn raw(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.write(bytes).await?;
        self.flush().await?;
        Ok(self.until_closed().await?)
    }
}
