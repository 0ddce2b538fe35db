//! The backup keybag: class keys wrapped by a password, and the keys of single files wrapped by a class.
//!
//! The format that readers of encrypted backups know (IBD, MVT; protocol.md 9.6): a list of tag-length-value entries, a
//! header and then the classes; two rounds of PBKDF2 on the password; RFC 3394 key wrap. Keys follow from the
//! persona's seed, so that a run can be repeated. The encryption of contents is in `seal`.

use std::fmt;

use aes_kw::{KeyInit as _, KwAes256};
use sha1::Sha1;
use sha2::Sha256;

use crate::contents::noise;

pub type Key = [u8; 32];
pub type WrappedKey = [u8; 40];

/// Header of a backup keybag (as opposed to the system's or an escrow one).
const TYPE_BACKUP: u32 = 1;
const VERSION: u32 = 5;
/// Wrapped by the password.
const WRAP_PASSWORD: u32 = 2;
/// Wrapped by the device's own key below the password: classes that restore only onto the same phone.
const WRAP_PASSWORD_AND_DEVICE: u32 = 3;
/// File classes 1–4, keychain classes 6–11; 9–11 are the "this device only" ones.
const CLASSES: [(u32, u32); 10] = [
    (1, WRAP_PASSWORD),
    (2, WRAP_PASSWORD),
    (3, WRAP_PASSWORD),
    (4, WRAP_PASSWORD),
    (6, WRAP_PASSWORD),
    (7, WRAP_PASSWORD),
    (8, WRAP_PASSWORD),
    (9, WRAP_PASSWORD_AND_DEVICE),
    (10, WRAP_PASSWORD_AND_DEVICE),
    (11, WRAP_PASSWORD_AND_DEVICE),
];
/// More rounds than any phone asks for (10 000 000 today) are refused before they are computed.
const MOST_ROUNDS: u32 = 100_000_000;

/// How often PBKDF2 is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// The first pass, SHA-256; 10 000 000 on real phones.
    pub dpic: u32,
    /// The second pass, SHA-1; 10 000 on real phones.
    pub iter: u32,
}

/// A phone's class keys. They outlive changes of the password, which only wrap them anew.
#[derive(Clone)]
pub struct Keybag {
    seed: u64,
    classes: Vec<(u32, Key)>,
}

impl fmt::Debug for Keybag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keybag")
            .field("classes", &self.classes.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeybagError {
    #[error("the keybag is cut short")]
    Short,
    #[error("the keybag has no {0}")]
    Missing(&'static str),
    #[error("the keybag asks for {0} rounds")]
    Rounds(u32),
    #[error("the password does not open the keybag")]
    WrongPassword,
    #[error("the key's class {0} is not in the keybag")]
    NoClass(u32),
    #[error("the key does not unwrap")]
    BadKey,
}

impl Keybag {
    /// The class keys that follow from a seed.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        let key = |class: u32| {
            noise_array::<32>(noise::subkey(seed, format!("class {class}").as_bytes()))
        };
        Self {
            seed,
            classes: CLASSES
                .iter()
                .map(|(class, _)| (*class, key(*class)))
                .collect(),
        }
    }

    /// The bytes of `BackupKeyBag`. `salt` makes each password's wrapping differ from the last one's.
    #[must_use]
    pub fn seal(&self, password: &[u8], rounds: Rounds, salt: u64) -> Vec<u8> {
        let seed = noise::subkey(self.seed, format!("wrapping {salt}").as_bytes());
        let part = |name: &str| noise::subkey(seed, name.as_bytes());
        let (dpsl, iter_salt) = (
            noise_array::<20>(part("DPSL")),
            noise_array::<20>(part("SALT")),
        );
        let master = derive(password, &dpsl, &iter_salt, rounds);

        let mut out = Tlv::default();
        out.number(b"VERS", VERSION);
        out.number(b"TYPE", TYPE_BACKUP);
        out.bytes(b"UUID", &noise_array::<16>(part("UUID")));
        out.bytes(b"HMCK", &noise_array::<40>(part("HMCK")));
        out.number(b"WRAP", 1);
        out.bytes(b"SALT", &iter_salt);
        out.number(b"ITER", rounds.iter);
        out.number(b"DPWT", 0);
        out.number(b"DPIC", rounds.dpic);
        out.bytes(b"DPSL", &dpsl);
        for ((class, key), (_, wrap)) in self.classes.iter().zip(CLASSES) {
            out.bytes(b"UUID", &noise_array::<16>(part(&format!("UUID {class}"))));
            out.number(b"CLAS", *class);
            out.number(b"WRAP", wrap);
            out.number(b"KTYP", 0);
            out.bytes(b"WPKY", &wrap_key(&master, key));
        }
        out.0
    }

    /// Opens the bytes of `BackupKeyBag` with a password, as a reader of the backup would.
    ///
    /// # Errors
    /// The bytes are no keybag, or the password is wrong.
    pub fn open(bytes: &[u8], password: &[u8]) -> Result<Self, KeybagError> {
        let mut header: Vec<(&[u8; 4], &[u8])> = Vec::new();
        let mut classes: Vec<(u32, &[u8])> = Vec::new();
        let mut class = None;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tag, value) = entry(&mut rest)?;
            match tag {
                b"CLAS" => class = Some(number(value)?),
                b"WPKY" => classes.push((class.take().ok_or(KeybagError::Missing("CLAS"))?, value)),
                // The first UUID is the bag's, the second already belongs to a class.
                _ if class.is_none()
                    && classes.is_empty()
                    && !header.iter().any(|(known, _)| *known == tag) =>
                {
                    header.push((tag, value));
                }
                _ => {}
            }
        }
        let find = |tag: &'static str| {
            let found = header
                .iter()
                .find(|(known, _)| known.as_slice() == tag.as_bytes());
            found
                .map(|(_, value)| *value)
                .ok_or(KeybagError::Missing(tag))
        };
        let rounds = Rounds {
            dpic: number(find("DPIC")?)?,
            iter: number(find("ITER")?)?,
        };
        for count in [rounds.dpic, rounds.iter] {
            if count == 0 || count > MOST_ROUNDS {
                return Err(KeybagError::Rounds(count));
            }
        }
        let master = derive(password, find("DPSL")?, find("SALT")?, rounds);
        let open = |(class, wrapped): (u32, &[u8])| {
            unwrap_key(&master, wrapped)
                .map(|key| (class, key))
                .ok_or(KeybagError::WrongPassword)
        };
        Ok(Self {
            seed: 0,
            classes: classes.into_iter().map(open).collect::<Result<_, _>>()?,
        })
    }

    /// A file's key as the manifest holds it: the class as four little-endian bytes, then the wrapped key.
    ///
    /// # Errors
    /// There is no such class.
    pub fn wrap(&self, class: u32, key: &Key) -> Result<[u8; 44], KeybagError> {
        let wrapped = wrap_key(self.class(class)?, key);
        let mut out = [0; 44];
        for (to, from) in out
            .iter_mut()
            .zip(class.to_le_bytes().into_iter().chain(wrapped))
        {
            *to = from;
        }
        Ok(out)
    }

    /// The inverse of `wrap`.
    ///
    /// # Errors
    /// Wrong length, unknown class, or wrapped by another keybag.
    pub fn unwrap(&self, persistent: &[u8]) -> Result<Key, KeybagError> {
        let (class, wrapped) = persistent
            .split_first_chunk::<4>()
            .ok_or(KeybagError::BadKey)?;
        unwrap_key(self.class(u32::from_le_bytes(*class))?, wrapped).ok_or(KeybagError::BadKey)
    }

    fn class(&self, class: u32) -> Result<&Key, KeybagError> {
        self.classes
            .iter()
            .find(|(known, _)| *known == class)
            .map(|(_, key)| key)
            .ok_or(KeybagError::NoClass(class))
    }
}

/// The first `N` bytes of a noise stream.
#[must_use]
pub fn noise_array<const N: usize>(key: u64) -> [u8; N] {
    let mut out = [0; N];
    noise::fill(key, 0, &mut out);
    out
}

fn derive(password: &[u8], dpsl: &[u8], salt: &[u8], rounds: Rounds) -> Key {
    let first = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, dpsl, rounds.dpic);
    pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(&first, salt, rounds.iter)
}

fn wrap_key(outer: &Key, key: &Key) -> WrappedKey {
    let mut out = [0; 40];
    // A key of four semiblocks and a buffer of five: neither can be refused.
    let _ = KwAes256::new(outer.into()).wrap_key(key, &mut out);
    out
}

fn unwrap_key(outer: &Key, wrapped: &[u8]) -> Option<Key> {
    let wrapped: &WrappedKey = wrapped.try_into().ok()?;
    let mut out = [0; 32];
    KwAes256::new(outer.into())
        .unwrap_key(wrapped, &mut out)
        .is_ok()
        .then_some(out)
}

/// Takes one tag and value from the front.
fn entry<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8; 4], &'a [u8]), KeybagError> {
    let (tag, rest) = bytes.split_first_chunk::<4>().ok_or(KeybagError::Short)?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or(KeybagError::Short)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| KeybagError::Short)?;
    let (value, rest) = rest.split_at_checked(len).ok_or(KeybagError::Short)?;
    *bytes = rest;
    Ok((tag, value))
}

fn number(value: &[u8]) -> Result<u32, KeybagError> {
    value
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| KeybagError::Short)
}

#[derive(Default)]
struct Tlv(Vec<u8>);

impl Tlv {
    fn bytes(&mut self, tag: &[u8; 4], value: &[u8]) {
        self.0.extend(tag);
        self.0
            .extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend(value);
    }

    fn number(&mut self, tag: &[u8; 4], value: u32) {
        self.bytes(tag, &value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: Rounds = Rounds { dpic: 3, iter: 2 };

    #[test]
    fn the_right_password_opens_and_a_wrong_one_does_not() {
        let bag = Keybag::generate(7);
        let sealed = bag.seal("pässwörd 🎉".as_bytes(), ROUNDS, 1);
        let opened = Keybag::open(&sealed, "pässwörd 🎉".as_bytes()).unwrap();
        assert_eq!(opened.classes, bag.classes);
        assert_eq!(
            Keybag::open(&sealed, b"wrong").unwrap_err(),
            KeybagError::WrongPassword
        );
    }

    #[test]
    fn a_new_password_wraps_the_same_class_keys() {
        let bag = Keybag::generate(7);
        let (old, new) = (bag.seal(b"old", ROUNDS, 1), bag.seal(b"new", ROUNDS, 2));
        assert_ne!(old, new);
        assert_eq!(Keybag::open(&new, b"new").unwrap().classes, bag.classes);
    }

    #[test]
    fn file_keys_survive_wrapping_and_carry_their_class() {
        let bag = Keybag::generate(7);
        let key = noise_array::<32>(99);
        let wrapped = bag.wrap(3, &key).unwrap();
        assert_eq!(wrapped[..4], [3, 0, 0, 0]);
        assert_eq!(bag.unwrap(&wrapped).unwrap(), key);
        assert_eq!(
            Keybag::generate(8).unwrap(&wrapped),
            Err(KeybagError::BadKey)
        );
        assert_eq!(bag.wrap(5, &key), Err(KeybagError::NoClass(5)));
    }

    #[test]
    fn rubbish_is_refused_before_it_costs_anything() {
        let sealed = Keybag::generate(7).seal(b"x", ROUNDS, 1);
        for cut in [1, 7, 9, sealed.len() - 1] {
            assert_eq!(
                Keybag::open(&sealed[..cut], b"x").unwrap_err(),
                KeybagError::Short,
                "{cut}"
            );
        }
        let mut many = sealed;
        let at = many.windows(4).position(|tag| tag == b"DPIC").unwrap() + 8;
        many[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(
            Keybag::open(&many, b"x").unwrap_err(),
            KeybagError::Rounds(u32::MAX)
        );
    }
}
