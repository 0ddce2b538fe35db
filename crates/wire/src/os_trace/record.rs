//! One line of the log in its binary form: a header of 129 bytes, little-endian, and five texts.
//!
//! The header says how long it is itself, so a longer one of a later system is still read.

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The usual level.
    Notice,
    Info,
    Debug,
    /// Marks what the user did.
    UserAction,
    Error,
    Fault,
}

impl Level {
    /// The byte of a record.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Notice => 0x00,
            Self::Info => 0x01,
            Self::Debug => 0x02,
            Self::UserAction => 0x03,
            Self::Error => 0x10,
            Self::Fault => 0x11,
        }
    }

    /// The level of this byte, if it is known.
    #[must_use]
    pub const fn of_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Notice,
            0x01 => Self::Info,
            0x02 => Self::Debug,
            0x03 => Self::UserAction,
            0x10 => Self::Error,
            0x11 => Self::Fault,
            _ => return None,
        })
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub pid: u32,
    /// When, by the phone's clock: seconds since 1970, and micros into that second. Nothing is promised of either.
    pub seconds: u64,
    pub micros: u32,
    pub level: Level,
    /// The path of the program.
    pub process: String,
    /// The path of the program or library whose code wrote the line.
    pub image: String,
    pub message: String,
    /// Such as `com.apple.mobilebackup`; often empty.
    pub subsystem: String,
    pub category: String,
}

/// Why a record is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    #[error("a line of the log has {len} bytes, fewer than its header")]
    Short { len: usize },
    #[error("a line of the log has the unknown level {level:#04x}")]
    Level { level: u8 },
    #[error("the texts of a line of the log do not fit into it")]
    Texts,
}

const HEADER: usize = 129;
/// A text and its end fit into sixteen bits, in which two of the three known hosts read a message's length.
const MAX_TEXT: usize = u16::MAX as usize - 1;

/// What is read of the header, by its place in it (`docs/protocol/oslog.md`).
mod at {
    pub const MARKER: usize = 0;
    pub const KIND: usize = 1;
    pub const HEADER_LEN: usize = 5;
    pub const PID: usize = 9;
    pub const PROCESS_ID: usize = 13;
    pub const PROCESS_LEN: usize = 37;
    pub const SECONDS: usize = 55;
    pub const MICROS: usize = 63;
    pub const LEVEL: usize = 68;
    pub const IMAGE_LEN: usize = 107;
    pub const MESSAGE_LEN: usize = 109;
    pub const SUBSYSTEM_LEN: usize = 117;
    pub const CATEGORY_LEN: usize = 121;
}

impl Record {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// When it is cut, or has a level or lengths that make no sense.
    pub fn decode(body: &[u8]) -> Result<Self, RecordError> {
        let short = RecordError::Short { len: body.len() };
        let header = body.first_chunk::<HEADER>().ok_or(short)?;
        let [level] = field(header, at::LEVEL);
        let level = Level::of_byte(level).ok_or(RecordError::Level { level })?;
        let header_len = length(u32::from_le_bytes(field(header, at::HEADER_LEN)));
        let mut rest = body
            .get(header_len.max(HEADER)..)
            .ok_or(RecordError::Texts)?;
        let short_length = |at| usize::from(u16::from_le_bytes(field(header, at)));
        let long_length = |at| length(u32::from_le_bytes(field(header, at)));
        // Two of the three hosts find the first text's end by its NUL, and so does this one.
        let end = rest.iter().position(|byte| *byte == 0);
        let process_len = end.ok_or(RecordError::Texts)?.saturating_add(1);
        Ok(Self {
            pid: u32::from_le_bytes(field(header, at::PID)),
            seconds: u64::from_le_bytes(field(header, at::SECONDS)),
            micros: u32::from_le_bytes(field(header, at::MICROS)),
            level,
            process: text(&mut rest, process_len)?,
            image: text(&mut rest, short_length(at::IMAGE_LEN))?,
            message: text(&mut rest, short_length(at::MESSAGE_LEN))?,
            subsystem: text(&mut rest, long_length(at::SUBSYSTEM_LEN))?,
            category: text(&mut rest, long_length(at::CATEGORY_LEN))?,
        })
    }

    /// The body of a frame. Texts end at their first NUL or after 64 KiB; what we do not know is 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // A label may be missing; hosts expect at least the NUL of everything else.
        let label = |text: &str| (!text.is_empty()).then(|| with_nul(text));
        let process = with_nul(&self.process);
        let image = with_nul(&self.image);
        let message = with_nul(&self.message);
        let subsystem = label(&self.subsystem).unwrap_or_default();
        let category = label(&self.category).unwrap_or_default();
        let short = |text: &[u8]| u16::try_from(text.len()).unwrap_or(0).to_le_bytes();
        let long = |text: &[u8]| u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
        let mut out = vec![0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, from) in out.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        };
        put(at::MARKER, &[2]);
        put(at::KIND, &8_u32.to_le_bytes());
        put(at::HEADER_LEN, &129_u32.to_le_bytes());
        put(at::PID, &self.pid.to_le_bytes());
        put(at::PROCESS_ID, &u64::from(self.pid).to_le_bytes());
        put(at::PROCESS_LEN, &short(&process));
        put(at::SECONDS, &self.seconds.to_le_bytes());
        put(at::MICROS, &self.micros.to_le_bytes());
        put(at::LEVEL, &[self.level.byte()]);
        put(at::IMAGE_LEN, &short(&image));
        put(at::MESSAGE_LEN, &long(&message));
        put(at::SUBSYSTEM_LEN, &long(&subsystem));
        put(at::CATEGORY_LEN, &long(&category));
        [out, process, image, message, subsystem, category].concat()
    }

    /// The name of the program, without the folders in front of it.
    #[must_use]
    pub fn process_name(&self) -> &str {
        self.process.rsplit('/').next().unwrap_or(&self.process)
    }
}

/// The bytes at one place of the header.
fn field<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<N>());
    bytes.copied().unwrap_or([0; N])
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Takes a text of this many bytes, its NUL included, from the front.
fn text(rest: &mut &[u8], len: usize) -> Result<String, RecordError> {
    let (text, after) = rest.split_at_checked(len).ok_or(RecordError::Texts)?;
    *rest = after;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// A text up to its first NUL, with one.
fn with_nul(text: &str) -> Vec<u8> {
    let text = text.split('\0').next().unwrap_or_default();
    let text = crate::devicelink::stream::clip(text, MAX_TEXT);
    [text.as_bytes(), &[0]].concat()
}
