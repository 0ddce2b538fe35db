//! A writer for small binary property lists of at most 255 objects.
//!
//! `plist` can write the same, through a tree of values; a manifest has 150 000 of them, and this is ten times as fast.

/// The number of an object in the list.
pub type Object = u8;

#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl Writer {
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend(b"bplist00");
        Self {
            bytes,
            offsets: Vec::with_capacity(64),
        }
    }

    pub fn string(&mut self, text: &str) -> Object {
        let object = self.begin();
        if text.is_ascii() {
            self.marker(0x50, text.len());
            self.bytes.extend(text.as_bytes());
        } else {
            self.marker(0x60, text.encode_utf16().count());
            for unit in text.encode_utf16() {
                self.bytes.extend(unit.to_be_bytes());
            }
        }
        object
    }

    pub fn integer(&mut self, number: u64) -> Object {
        let object = self.begin();
        self.number(number);
        object
    }

    pub fn data(&mut self, data: &[u8]) -> Object {
        let object = self.begin();
        self.marker(0x40, data.len());
        self.bytes.extend(data);
        object
    }

    pub fn uid(&mut self, uid: u8) -> Object {
        let object = self.begin();
        self.bytes.extend([0x80, uid]);
        object
    }

    pub fn array(&mut self, items: &[Object]) -> Object {
        let object = self.begin();
        self.marker(0xA0, items.len());
        self.bytes.extend(items);
        object
    }

    pub fn dictionary(&mut self, entries: &[(Object, Object)]) -> Object {
        let object = self.begin();
        self.marker(0xD0, entries.len());
        self.bytes.extend(entries.iter().map(|(key, _)| *key));
        self.bytes.extend(entries.iter().map(|(_, value)| *value));
        object
    }

    /// The whole list with `top` as its root.
    pub fn finish(mut self, top: Object) -> Vec<u8> {
        let table = self.bytes.len() as u64;
        for offset in &self.offsets {
            self.bytes.extend(offset.to_be_bytes());
        }
        // Six unused bytes, the width of an offset, the width of an object's number.
        self.bytes.extend([0, 0, 0, 0, 0, 0, 4, 1]);
        self.bytes.extend((self.offsets.len() as u64).to_be_bytes());
        self.bytes.extend(u64::from(top).to_be_bytes());
        self.bytes.extend(table.to_be_bytes());
        self.bytes
    }

    fn begin(&mut self) -> Object {
        let object = Object::try_from(self.offsets.len()).unwrap_or(Object::MAX);
        self.offsets
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        object
    }

    fn marker(&mut self, kind: u8, len: usize) {
        match u8::try_from(len) {
            Ok(short @ 0..15) => self.bytes.push(kind | short),
            Ok(_) | Err(_) => {
                self.bytes.push(kind | 0x0F);
                self.number(len as u64);
            }
        }
    }

    fn number(&mut self, number: u64) {
        if let Ok(byte) = u8::try_from(number) {
            self.bytes.extend([0x10, byte]);
        } else if let Ok(short) = u16::try_from(number) {
            self.bytes.push(0x11);
            self.bytes.extend(short.to_be_bytes());
        } else if let Ok(word) = u32::try_from(number) {
            self.bytes.push(0x12);
            self.bytes.extend(word.to_be_bytes());
        } else {
            self.bytes.push(0x13);
            self.bytes.extend(number.to_be_bytes());
        }
    }
}
