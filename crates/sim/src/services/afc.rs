//! com.apple.afc: small files in memory, and the sync lock (protocol.md section 7). Locks belong to the open file and end
//! with the connection, so that a host which dies leaves nothing locked.

use std::collections::BTreeMap;
use std::io;

use backupwatch_wire::afc::{
    Lock, OpenMode, Packet, PacketDecoder, Reply, Request, Status, strings_data,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ServiceStream;
use crate::phone::{Channel, LockHolder, Phone, WouldBlock, lock};

/// The largest file that a host may make here.
const MAX_FILE: usize = 1024 * 1024;
/// Files open at once on one connection.
const MAX_OPEN: usize = 256;
/// The most that one read returns.
const MAX_READ: u64 = 1024 * 1024;

pub(super) async fn serve(mut stream: ServiceStream, phone: &Phone) -> io::Result<()> {
    let mut decoder = PacketDecoder::default();
    let mut files = OpenFiles {
        phone,
        open: BTreeMap::new(),
        next: 1,
    };
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let some = stream.read(&mut chunk).await?;
        if some == 0 {
            return Ok(());
        }
        let mut input = chunk.get(..some).unwrap_or_default();
        while !input.is_empty() {
            let (taken, packet) = decoder.next(input).map_err(io::Error::other)?;
            input = input.get(taken..).unwrap_or_default();
            if let Some(packet) = packet {
                let reply = files.answer(&packet);
                phone.gate().pass("AFC").await;
                stream
                    .write_all(&reply.to_packet(packet.number).encode())
                    .await?;
                stream.flush().await?;
            }
        }
    }
}

struct OpenFiles<'a> {
    phone: &'a Phone,
    open: BTreeMap<u64, OpenFile>,
    next: u64,
}

struct OpenFile {
    path: String,
    at: usize,
    readable: bool,
    writable: bool,
    append: bool,
    holder: LockHolder,
}

impl Drop for OpenFiles<'_> {
    fn drop(&mut self) {
        for file in self.open.values() {
            self.phone.locks().release(&file.path, file.holder);
        }
    }
}

impl OpenFiles<'_> {
    fn answer(&mut self, packet: &Packet) -> Reply {
        let Ok(request) = Request::from_packet(packet) else {
            return Reply::Status(Status::InvalidArgument);
        };
        self.phone
            .journal()
            .note(Channel::Afc, describe(&request), None);
        self.carry_out(request).unwrap_or_else(Reply::Status)
    }

    fn carry_out(&mut self, request: Request) -> Result<Reply, Status> {
        match request {
            Request::ReadDirectory { path } => self.list(&path),
            Request::FileInfo { path } => self.info(&path),
            Request::Open { path, mode } => self.open(&path, mode),
            Request::Read { handle, length } => self.read(handle, length),
            Request::Write { handle, data } => self.write(handle, &data),
            Request::Lock { handle, lock } => self.lock(handle, lock),
            Request::Close { handle } => {
                let file = self.open.remove(&handle).ok_or(Status::InvalidArgument)?;
                self.phone.locks().release(&file.path, file.holder);
                Ok(Reply::Status(Status::Success))
            }
            Request::Remove { path } => {
                let removed = lock(self.phone.files()).remove(&normal(&path));
                removed
                    .map(|_| Reply::Status(Status::Success))
                    .ok_or(Status::NotFound)
            }
            // Directories are where files are; there is nothing to make.
            Request::MakeDirectory { .. } => Ok(Reply::Status(Status::Success)),
            Request::Other { .. } => Err(Status::NotSupported),
        }
    }

    fn list(&self, path: &str) -> Result<Reply, Status> {
        let path = normal(path);
        let folder = if path == "/" {
            path
        } else {
            format!("{path}/")
        };
        let files = lock(self.phone.files());
        let mut names: Vec<String> = files
            .keys()
            .filter_map(|file| file.strip_prefix(&folder)?.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        if names.is_empty() && folder != "/" {
            return Err(Status::NotFound);
        }
        let all: Vec<String> = [".".to_owned(), "..".to_owned()]
            .into_iter()
            .chain(names)
            .collect();
        Ok(Reply::Data(strings_data(&all)))
    }

    fn info(&self, path: &str) -> Result<Reply, Status> {
        let path = normal(path);
        let files = lock(self.phone.files());
        let size = files.get(&path).map(Vec::len);
        let folder = format!("{}/", path.trim_end_matches('/'));
        let (kind, size) = match size {
            Some(size) => ("S_IFREG", size),
            None if path == "/" || files.keys().any(|file| file.starts_with(&folder)) => {
                ("S_IFDIR", 64)
            }
            None => return Err(Status::NotFound),
        };
        let nanoseconds = self.phone.clock().now().as_nanosecond().to_string();
        Ok(Reply::Data(strings_data(&[
            "st_size",
            &size.to_string(),
            "st_blocks",
            &size.div_ceil(512).to_string(),
            "st_nlink",
            "1",
            "st_ifmt",
            kind,
            "st_mtime",
            &nanoseconds,
            "st_birthtime",
            &nanoseconds,
        ])))
    }

    fn open(&mut self, path: &str, mode: OpenMode) -> Result<Reply, Status> {
        if self.open.len() >= MAX_OPEN {
            return Err(Status::Busy);
        }
        let path = normal(path);
        let (readable, writable, append, empties) = match mode {
            OpenMode::Read => (true, false, false, false),
            OpenMode::ReadWrite => (true, true, false, false),
            OpenMode::Write => (false, true, false, true),
            OpenMode::WriteRead => (true, true, false, true),
            OpenMode::Append => (false, true, true, false),
            OpenMode::ReadAppend => (true, true, true, false),
        };
        {
            let mut files = lock(self.phone.files());
            if !writable && !files.contains_key(&path) {
                return Err(Status::NotFound);
            }
            let content = files.entry(path.clone()).or_default();
            if empties {
                content.clear();
            }
        }
        let handle = self.next;
        self.next = handle.saturating_add(1);
        let holder = self.phone.locks().holder();
        let file = OpenFile {
            path,
            at: 0,
            readable,
            writable,
            append,
            holder,
        };
        self.open.insert(handle, file);
        Ok(Reply::Opened { handle })
    }

    fn read(&mut self, handle: u64, length: u64) -> Result<Reply, Status> {
        let file = self.open.get_mut(&handle).ok_or(Status::InvalidArgument)?;
        if !file.readable {
            return Err(Status::PermissionDenied);
        }
        let files = lock(self.phone.files());
        let content = files.get(&file.path).ok_or(Status::NotFound)?;
        let length = usize::try_from(length.min(MAX_READ)).unwrap_or_default();
        let end = file.at.saturating_add(length).min(content.len());
        let data = content.get(file.at..end).unwrap_or_default().to_vec();
        file.at = end;
        Ok(Reply::Data(data))
    }

    fn write(&mut self, handle: u64, data: &[u8]) -> Result<Reply, Status> {
        let file = self.open.get_mut(&handle).ok_or(Status::InvalidArgument)?;
        if !file.writable {
            return Err(Status::PermissionDenied);
        }
        let mut files = lock(self.phone.files());
        let content = files.get_mut(&file.path).ok_or(Status::NotFound)?;
        let at = if file.append { content.len() } else { file.at };
        let end = at
            .checked_add(data.len())
            .filter(|end| *end <= MAX_FILE)
            .ok_or(Status::NoSpace)?;
        if content.len() < end {
            content.resize(end, 0);
        }
        content
            .get_mut(at..end)
            .ok_or(Status::Io)?
            .copy_from_slice(data);
        file.at = end;
        Ok(Reply::Status(Status::Success))
    }

    fn lock(&mut self, handle: u64, wanted: Lock) -> Result<Reply, Status> {
        let file = self.open.get(&handle).ok_or(Status::InvalidArgument)?;
        let locks = self.phone.locks();
        let got = match wanted {
            Lock::Exclusive => locks.exclusive(&file.path, file.holder),
            Lock::Shared => locks.shared(&file.path, file.holder),
            Lock::Unlock => {
                locks.release(&file.path, file.holder);
                Ok(())
            }
        };
        got.map(|()| Reply::Status(Status::Success))
            .map_err(|WouldBlock| Status::WouldBlock)
    }
}

/// An absolute path without empty or dot components. There is no file system behind it to escape into.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != "." && *part != "..")
        .collect();
    format!("/{}", parts.join("/"))
}

fn describe(request: &Request) -> String {
    match request {
        Request::ReadDirectory { path } => format!("ReadDirectory {path}"),
        Request::FileInfo { path } => format!("FileInfo {path}"),
        Request::MakeDirectory { path } => format!("MakeDirectory {path}"),
        Request::Remove { path } => format!("Remove {path}"),
        Request::Open { path, mode } => format!("Open {path} {mode:?}"),
        Request::Read { handle, length } => format!("Read {handle} {length}"),
        Request::Write { handle, data } => format!("Write {handle} {}", data.len()),
        Request::Close { handle } => format!("Close {handle}"),
        Request::Lock { handle, lock } => format!("Lock {handle} {lock:?}"),
        Request::Other { operation } => format!("operation {operation}"),
    }
}
