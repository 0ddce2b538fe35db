//! The persona section `[faults]`: what goes wrong during a backup, by misfortune or by malice.
//!
//! Data only; `mobilebackup2` acts on it. A test may replace all of it while the phone runs. Paths may contain `{udid}`.

use serde::Deserialize;

/// The persona section `[faults]`. Nothing set is an honest, healthy phone.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The cable comes out after so many bytes to the host on one connection of the backup service.
    pub unplug_after: Option<u64>,
    /// The phone falls silent after so many bytes.
    pub stall_after: Option<u64>,
    /// The phone sends no faster than so many bytes a second.
    pub drip: Option<u32>,
    /// Bytes that the phone demands beyond what it will send (PMD3#1879: sparse files at their logical size).
    pub extra_need: u64,
    /// An earlier attempt was killed and its snapshot is still there: code 3 (LIM#1257).
    pub snapshot_exists: bool,
    /// The phone has lost its snapshot of an interrupted backup, as after a reboot.
    pub forget_snapshot: bool,
    /// The operation ends with this code.
    pub end: Option<EndFault>,
    pub file: Vec<FileFault>,
    pub rogue: Vec<Rogue>,
}

/// A final code of `MBErrorDomain`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndFault {
    pub code: i64,
    #[serde(default)]
    pub text: String,
    pub at: Moment,
}

/// When in a backup something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// After the passcode, before anything is asked.
    Start,
    /// Before the first batch of files.
    Uploading,
    /// After the last batch, before the first move.
    Moving,
    /// Instead of, or just before, the final message.
    End,
}

/// A file that the phone fails to read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFault {
    pub domain: String,
    pub path: String,
    /// The final code byte: 0x06, 0x0B, 0x0F (protocol.md 8.4).
    pub code: u8,
    #[serde(default)]
    pub message: String,
    /// Bytes of the file that go out before it fails.
    #[serde(default)]
    pub after: u64,
    /// How often it fails; the phone tries twice.
    #[serde(default = "always")]
    pub times: u32,
}

const fn always() -> u32 {
    u32::MAX
}

/// Something that no honest phone sends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rogue {
    pub at: Moment,
    pub send: Message,
}

/// What it sends. Paths go to the host as they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Message {
    /// A DeviceLink message of this name.
    Unknown(String),
    /// An upload of a few bytes to this path.
    Upload(String),
    /// An upload whose destination has a NUL in it.
    UploadNul,
    /// The same destination twice in one batch, with different contents.
    UploadTwice(String),
    /// A download of this path.
    Download(String),
    Remove(String),
    Move {
        from: String,
        to: String,
    },
    Copy {
        from: String,
        to: String,
    },
    CreateDirectory(String),
    List(String),
    /// A ping, which wants no answer.
    Ping,
    /// A data frame that claims 4 GiB, some bytes of it, and nothing more.
    HugeFrame,
    /// Frames of data without data, then a file end: odd, but a stream.
    EmptyFrames,
    /// A frame of length 0, which has not even a code.
    ZeroFrame,
    /// A path that claims 2 GiB.
    HugePath,
    /// A message that claims 4 GiB.
    HugeMessage,
    /// A well-framed message that is no property list.
    Rubbish,
    /// A property list that is no message.
    NotAMessage,
    /// A status, which only hosts send.
    Status,
    /// The final message of a successful backup, out of turn.
    Success,
    /// The first message of a link, out of turn.
    VersionExchange,
    /// The end of the link.
    Disconnect,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_section_is_read() {
        let faults: Faults = toml::from_str(
            r#"
            unplug_after = 1000
            extra_need = 900_000_000_000
            end = { code = 205, text = "broken", at = "end" }
            [[file]]
            domain = "HomeDomain"
            path = "a/b"
            code = 0x0B
            message = "Input/output error"
            after = 10
            [[rogue]]
            at = "moving"
            send = { move = { from = "{udid}/x", to = "../x" } }
            [[rogue]]
            at = "start"
            send = "huge-frame"
            "#,
        )
        .unwrap();
        assert_eq!(faults.file[0].times, u32::MAX);
        assert_eq!(faults.rogue[1].send, Message::HugeFrame);
        assert!(toml::from_str::<Faults>("unplug_afterr = 1").is_err());
    }
}
