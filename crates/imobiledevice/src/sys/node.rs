//! Values of libplist, and their way to the `plist` crate: through the binary format, which both write and read.

use std::ffi::c_char;
use std::io::Cursor;
use std::ptr;

use super::free;
use super::table::CNode;
use crate::{Error, Library};

/// More than any value of a device takes; the largest that lockdownd tells, all of its values at once, has some ten kilobytes.
const MOST: usize = 8 << 20;

/// A value that the C library allocated.
pub(crate) struct Node {
    library: &'static Library,
    pub(super) pointer: *mut CNode,
}

impl Node {
    /// Takes what a function of the library wrote; `None` for a null pointer.
    ///
    /// # Safety
    /// `pointer` is null, or a root node that nobody else frees.
    pub(super) unsafe fn own(library: &'static Library, pointer: *mut CNode) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { library, pointer })
    }

    pub(crate) fn new(library: &'static Library, value: &plist::Value) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        value
            .to_writer_binary(&mut bytes)
            .map_err(Error::Unreadable)?;
        let length =
            u32::try_from(bytes.len()).map_err(|_| Error::TooLarge { bytes: bytes.len() })?;
        let mut pointer = ptr::null_mut();
        // SAFETY: the bytes are `length` long and only read; what is written is a new root node or nothing.
        unsafe { (library.table().plist_from_bin)(bytes.as_ptr().cast(), length, &raw mut pointer) }
        // SAFETY: as above.
        unsafe { Self::own(library, pointer) }.ok_or(Error::TooLarge { bytes: bytes.len() })
    }

    pub(crate) fn value(&self) -> Result<plist::Value, Error> {
        let mut bytes: *mut c_char = ptr::null_mut();
        let mut length = 0_u32;
        // SAFETY: the node is ours, and what is written is a new buffer and its length, or nothing.
        unsafe {
            (self.library.table().plist_to_bin)(self.pointer, &raw mut bytes, &raw mut length)
        }
        let buffer = Buffer {
            library: self.library,
            bytes,
            length,
        };
        let bytes = buffer.bytes();
        if bytes.len() > MOST {
            return Err(Error::TooLarge { bytes: bytes.len() });
        }
        plist::Value::from_reader(Cursor::new(bytes)).map_err(Error::Unreadable)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: the node is ours and is not used again.
        unsafe { (self.library.table().plist_free)(self.pointer) }
    }
}

/// What `plist_to_bin` allocated.
struct Buffer {
    library: &'static Library,
    bytes: *mut c_char,
    length: u32,
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        if self.bytes.is_null() {
            return &[];
        }
        // SAFETY: the library wrote this many bytes there, and they are ours until they are freed.
        unsafe { std::slice::from_raw_parts(self.bytes.cast(), self.length as usize) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Before libplist 2.3 there was `plist_to_bin_free`, which 2.7 has no more; it did as `free`.
        let release = self.library.table().plist_mem_free.unwrap_or(free);
        // SAFETY: the buffer is null, or the library's, ours, and not used again.
        unsafe { release(self.bytes.cast()) }
    }
}
