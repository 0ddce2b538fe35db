//! The packet of AFC: header, arguments, data.

/// Longest packet that is accepted. The host asks for at most 64 KiB of a file at a time; what else comes are listings.
pub const MAX_PACKET: usize = 4 << 20;

const MAGIC: &[u8; 8] = b"CFA6LPAA";
const HEADER: usize = 40;

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    #[error("not a packet of AFC")]
    Magic,
    #[error(
        "a packet of AFC has impossible lengths ({whole} bytes, {this} of them before its data)"
    )]
    Lengths { whole: u64, this: u64 },
    #[error("a packet of AFC of {whole} bytes is over the limit of {limit}")]
    TooLong { whole: u64, limit: usize },
}

/// One packet, of either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Counts the requests; a reply has that of its request.
    pub number: u64,
    pub operation: u64,
    pub arguments: Vec<u8>,
    pub data: Vec<u8>,
}

impl Packet {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let this = HEADER + self.arguments.len();
        let whole = this + self.data.len();
        let mut out = Vec::with_capacity(whole);
        out.extend_from_slice(MAGIC);
        for number in [length(whole), length(this), self.number, self.operation] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.arguments);
        out.extend_from_slice(&self.data);
        out
    }
}

/// Cuts a byte stream into packets, whatever the chunking. It holds only bytes that came.
#[derive(Debug)]
pub struct PacketDecoder {
    limit: usize,
    buffer: Vec<u8>,
}

impl Default for PacketDecoder {
    fn default() -> Self {
        Self::with_limit(MAX_PACKET)
    }
}

impl PacketDecoder {
    /// A decoder that accepts packets of at most `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
        }
    }

    /// Takes bytes from `input` up to the end of one packet.
    ///
    /// Returns how many bytes were taken and the packet, if it is complete. `None` means that all of `input` was taken and
    /// more is needed.
    ///
    /// # Errors
    /// When the bytes are no packet; the stream cannot be read further.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Packet>), PacketError> {
        let mut rest = input;
        self.fill(&mut rest, HEADER);
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok((input.len(), None));
        };
        let parsed = Header::parse(header, self.limit)?;
        self.fill(&mut rest, parsed.whole);
        if self.buffer.len() < parsed.whole {
            return Ok((input.len(), None));
        }
        let mut arguments = std::mem::take(&mut self.buffer);
        let data = arguments.split_off(parsed.this);
        arguments.drain(..HEADER);
        let packet = Packet {
            number: parsed.number,
            operation: parsed.operation,
            arguments,
            data,
        };
        Ok((input.len() - rest.len(), Some(packet)))
    }

    /// Whether the stream stands between two packets.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.buffer.is_empty()
    }

    fn fill(&mut self, rest: &mut &[u8], up_to: usize) {
        let missing = up_to.saturating_sub(self.buffer.len());
        let (part, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
        self.buffer.extend_from_slice(part);
        *rest = after;
    }
}

struct Header {
    whole: usize,
    this: usize,
    number: u64,
    operation: u64,
}

impl Header {
    fn parse(bytes: &[u8; HEADER], limit: usize) -> Result<Self, PacketError> {
        let (magic, numbers) = bytes.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(PacketError::Magic);
        }
        let mut numbers = numbers
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or(0);
        let (whole, this, number, operation) = (next(), next(), next(), next());
        if this < length(HEADER) || whole < this {
            return Err(PacketError::Lengths { whole, this });
        }
        let too_long = PacketError::TooLong { whole, limit };
        let whole = usize::try_from(whole).map_err(|_| too_long)?;
        if whole > limit {
            return Err(too_long);
        }
        let this = usize::try_from(this).map_err(|_| too_long)?;
        Ok(Self {
            whole,
            this,
            number,
            operation,
        })
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
