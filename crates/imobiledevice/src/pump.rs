//! The thread behind a stream over TLS: bytes between the device's socket, the C library and the program's end of a pair of sockets.
//!
//! ```text
//! device ═ socket ── pump ══ pair ══ C library     records of TLS
//!                     ║        ╰─ decrypts and encrypts, and never waits
//!                     ╚══════ pair ══ the program  bytes
//! ```
//!
//! The library is not left alone with the device's socket. It reads exactly as many bytes as the next record has and waits for
//! them, up to five seconds and in 1.3 for ever; it takes a time limit within a record for the end; and in TLS 1.3 it goes on to
//! wait for data where only a ticket came. Meanwhile nothing would be sent. So under its descriptor it finds one end of
//! a pair of sockets, and the other one is here: whole records only go in, one call takes out what they hold, and all
//! waiting is done by `poll`, on everything at once.

mod records;

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendFlags, sockopt};

use crate::Error;
use crate::connection::{Ended, Ending};
use crate::error::IdeviceError;
use crate::library::Reading;
use crate::sys::ConnectionHandle;
use records::{Batch, RECORD};

/// So many encrypted bytes are held.
const HELD: usize = 6 * RECORD;

/// What encryption adds to a record at least, in any cipher: the tag.
const ADDED: usize = 16;

/// What it adds always, in TLS 1.3 without padding and in 1.2 with AES-GCM.
const ADDED_ALWAYS: [usize; 2] = [17, 24];

/// Room of each socket of the inner pair. macOS gives eight kilobytes, less than a record.
const ROOM: usize = 256 << 10;

/// How long the last bytes may take on their way to the device.
const FAREWELL: Duration = Duration::from_secs(2);

/// Enough for a C library and its TLS.
const STACK: usize = 512 << 10;

/// A lost connection is an error, not a signal. On macOS the socket itself is told so.
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// Takes over a connection that has TLS; `socket` is its own.
pub(crate) fn start(
    mut connection: ConnectionHandle,
    socket: OwnedFd,
    ending: Ending,
) -> Result<UnixStream, Error> {
    let (inner, library_end) = UnixStream::pair()?;
    for end in [&inner, &library_end] {
        sockopt::set_socket_send_buffer_size(end, ROOM).map_err(io::Error::from)?;
        sockopt::set_socket_recv_buffer_size(end, ROOM).map_err(io::Error::from)?;
        end.set_nonblocking(true)?;
    }
    let (program_end, theirs) = UnixStream::pair()?;
    program_end.set_nonblocking(true)?;
    rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
    #[cfg(target_vendor = "apple")]
    sockopt::set_socket_nosigpipe(&socket, true).map_err(io::Error::from)?;
    connection.replace_socket(library_end.into())?;
    let pump = Pump {
        reading: connection.library().reading(),
        connection,
        inner,
        device: socket,
        program: program_end,
        records: Vec::with_capacity(HELD),
        to_program: Outbox::default(),
        to_device: Outbox::default(),
        plain: vec![0; HELD],
        added: ADDED,
        device_ended: None,
        device_deaf: false,
        farewell: None,
    };
    std::thread::Builder::new()
        .name("imobiledevice".to_owned())
        .stack_size(STACK)
        .spawn(move || pump.run(&ending))?;
    Ok(theirs)
}

struct Pump {
    connection: ConnectionHandle,
    reading: Reading,
    /// Opposite the library.
    inner: UnixStream,
    /// The socket to usbmuxd, or to the device itself.
    device: OwnedFd,
    /// Opposite the program.
    program: UnixStream,
    /// Encrypted bytes from the device that are not yet given to the library.
    records: Vec<u8>,
    to_program: Outbox,
    to_device: Outbox,
    plain: Vec<u8>,
    /// What this cipher adds to a record. With that it is known how much a batch holds, and nobody waits to hear that this was all.
    added: usize,
    /// Nothing more comes from the device, and why.
    device_ended: Option<Ended>,
    /// The device takes nothing more; what it has sent is still to be read.
    device_deaf: bool,
    /// The program is gone, and until when its last bytes are sent.
    farewell: Option<Instant>,
}

impl Pump {
    fn run(mut self, ending: &Ending) {
        let ended = loop {
            if let Some(ended) = self.turn() {
                break ended;
            }
        };
        ending.set(ended);
        let Self {
            connection,
            inner,
            device,
            mut to_device,
            ..
        } = self;
        // The library ends TLS; its last words are sent if there is room for them.
        drop(connection);
        drain(&inner, &mut to_device);
        if let Some(rest) = to_device.waiting() {
            let _ = rustix::net::send(&device, rest, NO_SIGNAL);
        }
    }

    /// Waits for something to do and does it. Gives the end when it has come.
    fn turn(&mut self) -> Option<Ended> {
        self.decrypt();
        if self.to_program.is_empty()
            && self.farewell.is_none()
            && let Some(ended) = self.device_ended
        {
            return Some(ended);
        }
        let ready = match self.wait() {
            Ok(ready) => ready,
            Err(error) => return Some(Ended::Lost(error.kind())),
        };
        if self.farewell.is_some_and(|until| Instant::now() >= until) {
            return Some(Ended::Dropped);
        }
        if ready
            .device
            .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && self.wants_records()
        {
            self.read_device();
        }
        if ready
            .device
            .intersects(PollFlags::OUT | PollFlags::HUP | PollFlags::ERR)
        {
            self.write_device();
        }
        if ready.program.contains(PollFlags::OUT)
            && self.to_program.write_to(&mut self.program).is_err()
        {
            self.say_farewell();
        }
        if ready
            .program
            .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && self.to_device.is_empty()
        {
            if let Some(ended) = self.read_program() {
                return Some(ended);
            }
        } else if ready.program.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.say_farewell();
        }
        None
    }

    fn wants_records(&self) -> bool {
        self.device_ended.is_none()
            && self.farewell.is_none()
            && self.to_program.is_empty()
            && self.records.len() < HELD
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut device = PollFlags::empty();
        device.set(PollFlags::IN, self.wants_records());
        device.set(PollFlags::OUT, !self.to_device.is_empty());
        let mut program = PollFlags::empty();
        program.set(
            PollFlags::IN,
            self.to_device.is_empty() && !self.device_deaf,
        );
        program.set(
            PollFlags::OUT,
            !self.to_program.is_empty() && self.farewell.is_none(),
        );
        let limit = self.farewell.map(|until| {
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        // A socket that hangs up says so whether it was asked or not; so one that is not asked for anything is left out, but for
        // the program's, whose end is always wanted, until it is known.
        let ask_device = !device.is_empty();
        let ask_program = !program.is_empty() || self.farewell.is_none();
        let mut asked = Vec::with_capacity(2);
        if ask_device {
            asked.push(PollFd::new(&self.device, device));
        }
        if ask_program {
            asked.push(PollFd::new(&self.program, program));
        }
        match rustix::event::poll(&mut asked, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut answers = asked.iter().map(PollFd::revents);
        let mut answer = |asked: bool| {
            asked
                .then(|| answers.next())
                .flatten()
                .unwrap_or(PollFlags::empty())
        };
        Ok(Ready {
            device: answer(ask_device),
            program: answer(ask_program),
        })
    }

    fn read_device(&mut self) {
        let held = self.records.len();
        self.records.resize(HELD, 0);
        let room = self.records.get_mut(held..).unwrap_or_default();
        let received = rustix::net::recv(&self.device, room, RecvFlags::empty());
        let count = received.as_ref().map_or(0, |&(_, count)| count);
        self.records.truncate(held + count);
        self.device_ended = match received {
            Ok((_, 0)) if held == 0 => Some(Ended::Closed),
            Ok((_, 0)) => Some(Ended::Cut),
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            Err(error) => Some(Ended::Lost(io::Error::from(error).kind())),
        };
    }

    fn write_device(&mut self) {
        let Some(waiting) = self.to_device.waiting() else {
            return;
        };
        match rustix::net::send(&self.device, waiting, NO_SIGNAL) {
            Ok(count) => self.to_device.sent(count),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => {
                self.to_device.clear();
                self.device_deaf = true;
            }
        }
    }

    /// One record's worth of what the program wrote, encrypted, while nothing else waits to be sent.
    fn read_program(&mut self) -> Option<Ended> {
        let room = self.plain.get_mut(..16_384).unwrap_or_default();
        match self.program.read(room) {
            Ok(0) => Some(Ended::Dropped),
            Ok(_) if self.device_deaf => None,
            Ok(count) => {
                let sent = self.connection.send(room.get(..count).unwrap_or_default());
                drain(&self.inner, &mut self.to_device);
                sent.err().map(Ended::Tls)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                None
            }
            Err(_) => Some(Ended::Dropped),
        }
    }

    fn say_farewell(&mut self) {
        self.farewell
            .get_or_insert_with(|| Instant::now() + FAREWELL);
        self.to_program.clear();
    }

    /// Has the library decrypt what is held whole, while the program has taken what was decrypted before.
    fn decrypt(&mut self) {
        while self.to_program.is_empty() && self.farewell.is_none() {
            let Some(batch) = Batch::of(&self.records, self.reading) else {
                return;
            };
            let fed = self
                .inner
                .write(self.records.get(..batch.length).unwrap_or_default());
            if fed.as_ref().ok() != Some(&batch.length) {
                self.records.clear();
                self.device_ended = Some(Ended::Tls(IdeviceError::NotEnoughData));
                return;
            }
            self.records.drain(..batch.length);
            let (count, result) = match self.reading {
                Reading::NonBlocking | Reading::RecordByRecord => {
                    self.connection.receive(&mut self.plain)
                }
                Reading::Briefly => {
                    let room = self.plain.get_mut(..batch.holds(self.added));
                    self.connection.receive_within(room.unwrap_or_default(), 1)
                }
            };
            if self.added == ADDED {
                let fits = |added: &&usize| count > 0 && batch.holds(**added) == count;
                self.added = ADDED_ALWAYS.iter().find(fits).copied().unwrap_or(ADDED);
            }
            drain(&self.inner, &mut self.to_device);
            self.to_program
                .put(self.plain.get(..count).unwrap_or_default());
            match result {
                Ok(()) | Err(IdeviceError::Timeout) => {}
                // The error of a record that holds no data is not told from that of one that is no TLS.
                Err(_) if batch.farewell => self.end_device(Ended::Closed),
                Err(error) if !self.all_taken() => self.end_device(Ended::Tls(error)),
                Err(_) => {}
            }
            if self.to_program.write_to(&mut self.program).is_err() {
                self.say_farewell();
            }
        }
    }

    /// What comes from now on is not TLS any more.
    fn end_device(&mut self, ended: Ended) {
        self.records.clear();
        self.device_ended = Some(ended);
    }

    /// Whether the library took all of the records. One for which TLS is over reads no more.
    fn all_taken(&self) -> bool {
        rustix::io::ioctl_fionread(&self.connection).is_ok_and(|left| left == 0)
    }
}

struct Ready {
    device: PollFlags,
    program: PollFlags,
}

/// Moves what the library wrote.
fn drain(inner: &UnixStream, to_device: &mut Outbox) {
    let mut chunk = [0; 4096];
    let mut inner = inner;
    while let Ok(count @ 1..) = inner.read(&mut chunk) {
        to_device.put(chunk.get(..count).unwrap_or_default());
    }
}

/// Bytes that wait for room in a socket.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.waiting().is_none()
    }

    fn waiting(&self) -> Option<&[u8]> {
        self.bytes.get(self.sent..).filter(|rest| !rest.is_empty())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Writes what there is room for.
    fn write_to(&mut self, socket: &mut UnixStream) -> io::Result<()> {
        while let Some(waiting) = self.waiting() {
            match socket.write(waiting) {
                Ok(count) => self.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
