//! The `file` column: an archived `MBFile`, as NSKeyedArchiver writes it and as readers take it apart.

use plist::{Dictionary, Uid, Value};

use super::Secrets;
use super::bplist::Writer;
use crate::contents::{Item, Kind, noise};
use crate::keybag::KeybagError;

/// The `flags` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    File,
    Directory,
    Symlink,
}

impl Flags {
    #[must_use]
    pub const fn of(item: &Item) -> Self {
        match &item.kind {
            Kind::File { .. } => Self::File,
            Kind::Directory => Self::Directory,
            Kind::Symlink { .. } => Self::Symlink,
        }
    }

    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Directory => 2,
            Self::Symlink => 4,
        }
    }

    /// The file type and usual permissions of `st_mode`.
    const fn mode(self) -> u64 {
        match self {
            Self::File => 0o100_644,
            Self::Directory => 0o040_755,
            Self::Symlink => 0o120_755,
        }
    }
}

/// `mobile`, the user and group of nearly everything in a backup.
const MOBILE: u64 = 501;
/// Positions in `$objects`: null, the file itself, its path; what is optional comes after.
const FILE_AT: u8 = 1;
const PATH_AT: u8 = 2;
const REST_AT: u8 = 3;

/// The archive of one row.
///
/// # Errors
/// The item's protection class has no key.
pub fn row_blob(item: &Item, secrets: Option<&Secrets>) -> Result<Vec<u8>, KeybagError> {
    let key = match secrets.and_then(|secrets| Some((secrets, secrets.of_file(item)?))) {
        Some((secrets, key)) => Some(secrets.keybag.wrap(u32::from(item.class), &key)?),
        None => None,
    };
    let mut out = Writer::new();
    let mut file = Vec::with_capacity(16);
    let mut objects = vec![out.string("$null"), 0, out.string(&item.path)];
    let mut extra = REST_AT;

    let flags = Flags::of(item);
    for (name, number) in [
        ("LastModified", item.modified),
        ("Flags", 0),
        ("GroupID", MOBILE),
        ("LastStatusChange", item.modified),
        ("Birth", item.born),
        ("Size", item.size()),
        ("InodeNumber", item.inode),
        ("UserID", MOBILE),
        ("Mode", flags.mode()),
        ("ProtectionClass", u64::from(item.class)),
    ] {
        file.push((out.string(name), out.integer(number)));
    }
    file.push((out.string("RelativePath"), out.uid(PATH_AT)));
    if let Kind::Symlink { target } = &item.kind {
        file.push((out.string("Target"), out.uid(extra)));
        objects.push(out.string(target));
        extra += 1;
    }
    if let Some(attributes) = attributes(item) {
        file.push((out.string("ExtendedAttributes"), out.uid(extra)));
        objects.push(out.data(&attributes));
        extra += 1;
    }
    let class = out.string("$class");
    if let Some(key) = &key {
        file.push((out.string("EncryptionKey"), out.uid(extra)));
        let (name, data, class_at) = (out.string("NS.data"), out.data(key), out.uid(extra + 1));
        objects.push(out.dictionary(&[(name, data), (class, class_at)]));
        objects.push(class_object(
            &mut out,
            &["NSMutableData", "NSData", "NSObject"],
        ));
        extra += 2;
    }
    file.push((class, out.uid(extra)));
    objects.push(class_object(&mut out, &["MBFile", "NSObject"]));
    let file = out.dictionary(&file);
    if let Some(slot) = objects.get_mut(usize::from(FILE_AT)) {
        *slot = file;
    }

    let top = (out.string("root"), out.uid(FILE_AT));
    let top = out.dictionary(&[top]);
    let archive = [
        (out.string("$version"), out.integer(100_000)),
        (out.string("$archiver"), out.string("NSKeyedArchiver")),
        (out.string("$top"), top),
        (out.string("$objects"), out.array(&objects)),
    ];
    let archive = out.dictionary(&archive);
    Ok(out.finish(archive))
}

/// Extended attributes of a file, of no meaning but their length. On phones they are most of a long row.
fn attributes(item: &Item) -> Option<Vec<u8>> {
    let Kind::File { attributes, .. } = item.kind else {
        return None;
    };
    let mut bytes = vec![0; usize::from(attributes)];
    noise::fill(noise::subkey(item.inode, b"attributes"), 0, &mut bytes);
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

fn class_object(out: &mut Writer, names: &[&str]) -> u8 {
    let strings: Vec<u8> = names.iter().map(|name| out.string(name)).collect();
    let name = strings.first().copied().unwrap_or(0);
    let (classname, classes, list) = (
        out.string("$classname"),
        out.string("$classes"),
        out.array(&strings),
    );
    out.dictionary(&[(classname, name), (classes, list)])
}

/// What a reader takes from the archive of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbFile {
    pub size: u64,
    pub encryption_key: Option<Vec<u8>>,
}

impl MbFile {
    /// Reads an archive in any order of its objects; none when it is not one.
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<Self> {
        let archive = Value::from_reader(std::io::Cursor::new(blob))
            .ok()?
            .into_dictionary()?;
        let objects = archive.get("$objects")?.as_array()?;
        let object = |uid: &Uid| objects.get(usize::try_from(uid.get()).ok()?);
        let of = |dictionary: &Dictionary, key: &str| {
            dictionary
                .get(key)
                .and_then(Value::as_uid)
                .and_then(object)
                .cloned()
        };
        let file = of(archive.get("$top")?.as_dictionary()?, "root")?.into_dictionary()?;
        let key = of(&file, "EncryptionKey").and_then(Value::into_dictionary);
        Some(Self {
            size: file.get("Size")?.as_unsigned_integer()?,
            encryption_key: key.and_then(|key| key.get("NS.data")?.as_data().map(<[u8]>::to_vec)),
        })
    }
}
