//! The backup keybag: what a password opens, and the keys of single files below that.
//!
//! `BackupKeyBag` in Manifest.plist is a list of tag, length and value: a header and then the classes of protection, each with
//! a key that is wrapped (RFC 3394) by one that follows from the password. That takes two rounds of PBKDF2, SHA-256 with
//! `DPSL` and `DPIC` and then SHA-1 with `SALT` and `ITER`; phones of today ask for ten million and ten thousand. The keys of
//! files and of Manifest.db are wrapped by those of their classes.
//!
//! The bytes are a stranger's: no number in them is believed before it is bounded, and the derivation can be stopped.
//!
//! Not here: where the bytes come from (`plists`), and what is decrypted with the keys (`sealed`).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use aes_kw::{KeyInit as _, KwAes256};
use hmac::Hmac;
use sha1::Sha1;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// A key of AES-256.
pub(crate) type Key = Zeroizing<[u8; 32]>;

type WrappedKey = [u8; 40];

/// More classes than there are; a backup has ten.
const MAX_CLASSES: usize = 64;

/// Longest value; those of a keybag have 40 bytes at the most.
const MAX_VALUE: usize = 256;

/// Most rounds that are computed, each a few times what phones ask for: half a minute on a slow computer.
const MAX_DPIC: u32 = 50_000_000;
const MAX_ITER: u32 = 10_000_000;

/// Rounds between two looks at whether to go on.
const STRETCH: u32 = 1 << 16;

/// How the key of a class is wrapped: a flag for the phone's own key, and one for the password on top of that.
const WRAPS: std::ops::RangeInclusive<u32> = 1..=3;
const BY_PASSWORD: u32 = 2;

/// The password of an encrypted backup. It is never shown, and wiped when it is let go.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Why bytes are no keybag that any password could open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BagFault {
    #[error("they are cut")]
    Cut,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not what it can be")]
    Odd(&'static str),
    #[error("there is no key for class {0}")]
    NoClass(u32),
    #[error("some of them do not open")]
    Key,
}

/// Why a keybag was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// Not one of its keys opens.
    WrongPassword,
    Fault(BagFault),
    Stopped,
}

/// A keybag as it lies in Manifest.plist.
#[derive(Debug)]
pub(crate) struct Keybag<'a> {
    dpsl: &'a [u8],
    dpic: u32,
    salt: &'a [u8],
    iter: u32,
    classes: Vec<Class>,
}

#[derive(Debug)]
struct Class {
    number: u32,
    key: WrappedKey,
}

/// The keys of the classes.
pub(crate) struct Keys(Vec<(u32, Key)>);

impl<'a> Keybag<'a> {
    /// Takes the bytes of `BackupKeyBag` apart.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, BagFault> {
        let (mut salt, mut iter, mut dpsl, mut dpic) = (None, None, None, None);
        let mut classes: Vec<Class> = Vec::new();
        let mut open: Option<Open> = None;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tag, value) = entry(&mut rest)?;
            match (tag, &mut open) {
                (b"CLAS", open) => {
                    close(open.take(), &mut classes)?;
                    *open = Some(Open::new(number(value, "a class")?));
                }
                // Twice in one class is that of the next one, of which the tag was lost.
                (b"WRAP", Some(open)) if open.wrap.is_none() => {
                    open.wrap = Some(number(value, "WRAP")?);
                }
                (b"WPKY", Some(open)) if open.key.is_none() => {
                    let key = value.try_into().map_err(|_| BagFault::Odd("WPKY"))?;
                    open.key = Some(key);
                }
                (b"WRAP", Some(_)) | (b"WPKY", _) => return Err(BagFault::Odd("a class")),
                (b"SALT", None) => salt = Some(value),
                (b"DPSL", None) => dpsl = Some(value),
                (b"ITER", None) => iter = Some(number(value, "ITER")?),
                (b"DPIC", None) => dpic = Some(number(value, "DPIC")?),
                _ => {}
            }
        }
        close(open, &mut classes)?;
        if classes.is_empty() {
            return Err(BagFault::Missing("each class"));
        }
        Ok(Self {
            dpsl: salt_of(dpsl, "DPSL")?,
            dpic: rounds_of(dpic, "DPIC", MAX_DPIC)?,
            salt: salt_of(salt, "SALT")?,
            iter: rounds_of(iter, "ITER", MAX_ITER)?,
            classes,
        })
    }

    /// Opens all classes. This takes seconds.
    pub(crate) fn open(&self, password: &Password, stop: &AtomicBool) -> Result<Keys, NotOpened> {
        let password = password.0.as_bytes();
        let first = derive::<Hmac<Sha256>>(password, self.dpsl, self.dpic, stop)?;
        let second = derive::<Hmac<Sha1>>(&*first, self.salt, self.iter, stop)?;
        let opened = |class: &Class| Some((class.number, unwrap_key(&second, &class.key)?));
        let keys: Vec<_> = self.classes.iter().filter_map(opened).collect();
        if keys.is_empty() {
            Err(NotOpened::WrongPassword)
        } else if keys.len() < self.classes.len() {
            Err(NotOpened::Fault(BagFault::Key))
        } else {
            Ok(Keys(keys))
        }
    }
}

impl Keys {
    /// Opens the key of a file: its class as four little-endian bytes, and then the wrapped key.
    pub(crate) fn unwrap(&self, persistent: &[u8]) -> Result<Key, BagFault> {
        let (class, wrapped) = persistent.split_first_chunk::<4>().ok_or(BagFault::Key)?;
        let wrapped = wrapped.try_into().map_err(|_| BagFault::Key)?;
        let class = u32::from_le_bytes(*class);
        let (_, key) = (self.0.iter())
            .find(|(number, _)| *number == class)
            .ok_or(BagFault::NoClass(class))?;
        unwrap_key(key, wrapped).ok_or(BagFault::Key)
    }
}

/// A class whose entries are being read.
struct Open {
    number: u32,
    wrap: Option<u32>,
    key: Option<WrappedKey>,
}

impl Open {
    fn new(number: u32) -> Self {
        Self {
            number,
            wrap: None,
            key: None,
        }
    }
}

/// A class that the password has no part in is left out.
fn close(open: Option<Open>, classes: &mut Vec<Class>) -> Result<(), BagFault> {
    let Some(open) = open else {
        return Ok(());
    };
    if classes.len() >= MAX_CLASSES || classes.iter().any(|class| class.number == open.number) {
        return Err(BagFault::Odd("a class"));
    }
    let wrap = open.wrap.ok_or(BagFault::Missing("WRAP"))?;
    if !WRAPS.contains(&wrap) {
        return Err(BagFault::Odd("WRAP"));
    }
    if wrap & BY_PASSWORD != 0 {
        classes.push(Class {
            number: open.number,
            key: open.key.ok_or(BagFault::Missing("WPKY"))?,
        });
    }
    Ok(())
}

/// Takes one tag and value from the front.
fn entry<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8; 4], &'a [u8]), BagFault> {
    let (tag, rest) = bytes.split_first_chunk::<4>().ok_or(BagFault::Cut)?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or(BagFault::Cut)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| BagFault::Cut)?;
    if len > MAX_VALUE {
        return Err(BagFault::Odd("a length"));
    }
    let (value, rest) = rest.split_at_checked(len).ok_or(BagFault::Cut)?;
    *bytes = rest;
    Ok((tag, value))
}

fn number(value: &[u8], name: &'static str) -> Result<u32, BagFault> {
    let value = value.try_into().map_err(|_| BagFault::Odd(name))?;
    Ok(u32::from_be_bytes(value))
}

fn salt_of<'a>(value: Option<&'a [u8]>, name: &'static str) -> Result<&'a [u8], BagFault> {
    let value = value.ok_or(BagFault::Missing(name))?;
    if value.is_empty() {
        return Err(BagFault::Odd(name));
    }
    Ok(value)
}

fn rounds_of(value: Option<u32>, name: &'static str, max: u32) -> Result<u32, BagFault> {
    let value = value.ok_or(BagFault::Missing(name))?;
    if value == 0 || value > max {
        return Err(BagFault::Odd(name));
    }
    Ok(value)
}

/// PBKDF2 (RFC 8018) for a key of 32 bytes. Not the crate's own: that one cannot be stopped, and a stranger says how long it
/// takes. The tests hold it against the crate's.
fn derive<M: hmac::KeyInit + hmac::Mac + Clone>(
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    stop: &AtomicBool,
) -> Result<Key, NotOpened> {
    // A key of any length is taken.
    let Ok(keyed) = <M as hmac::KeyInit>::new_from_slice(password) else {
        return Err(NotOpened::WrongPassword);
    };
    let mut key = Key::default();
    for (part, number) in key.chunks_mut(M::output_size()).zip(1_u32..) {
        let mut mac = keyed.clone();
        mac.update(salt);
        mac.update(&number.to_be_bytes());
        let mut last = mac.finalize().into_bytes();
        let mut sum = last.clone();
        for round in 1..rounds {
            if round % STRETCH == 0 && stop.load(Ordering::Relaxed) {
                return Err(NotOpened::Stopped);
            }
            let mut mac = keyed.clone();
            mac.update(&last);
            last = mac.finalize().into_bytes();
            for (sum, last) in sum.iter_mut().zip(&last) {
                *sum ^= last;
            }
        }
        for (to, from) in part.iter_mut().zip(&sum) {
            *to = *from;
        }
        sum.as_mut_slice().zeroize();
        last.as_mut_slice().zeroize();
    }
    Ok(key)
}

fn unwrap_key(outer: &Key, wrapped: &WrappedKey) -> Option<Key> {
    let mut key = Key::default();
    KwAes256::new((&**outer).into())
        .unwrap_key(wrapped, &mut *key)
        .is_ok()
        .then_some(key)
}

#[cfg(test)]
mod tests {
    use backupwatch_sim::keybag as witness;

    use super::*;

    const ROUNDS: witness::Rounds = witness::Rounds { dpic: 30, iter: 20 };

    fn sealed() -> Vec<u8> {
        witness::Keybag::generate(7).seal("pässwörd 🎉".as_bytes(), ROUNDS, 1)
    }

    fn open(bytes: &[u8], password: &str) -> Result<Keys, NotOpened> {
        let bag = Keybag::parse(bytes).map_err(NotOpened::Fault)?;
        let password = Password::new(password.to_owned());
        bag.open(&password, &AtomicBool::new(false))
    }

    /// The keybag with another number or value for the first entry of that tag.
    fn with(tag: &[u8; 4], value: &[u8]) -> Vec<u8> {
        let mut bytes = sealed();
        let at = bytes.windows(4).position(|here| here == tag).unwrap() + 4;
        let len = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let new_len = u32::try_from(value.len()).unwrap().to_be_bytes();
        bytes.splice(at..at + 4 + len, [&new_len, value].concat());
        bytes
    }

    #[test]
    fn the_password_opens_what_the_phone_sealed() {
        let keys = open(&sealed(), "pässwörd 🎉").unwrap();
        let bag = witness::Keybag::generate(7);
        let key = witness::noise_array::<32>(99);
        for class in [1, 2, 3, 4, 6, 11] {
            let wrapped = bag.wrap(class, &key).unwrap();
            assert_eq!(*keys.unwrap(&wrapped).unwrap(), key);
        }
        let mut wrapped = bag.wrap(3, &key).unwrap();
        wrapped[43] ^= 1;
        assert_eq!(keys.unwrap(&wrapped), Err(BagFault::Key));
        wrapped[0] = 5;
        assert_eq!(keys.unwrap(&wrapped), Err(BagFault::NoClass(5)));
        for cut in [0, 3, 4, 43] {
            assert_eq!(keys.unwrap(&wrapped[..cut]), Err(BagFault::Key), "{cut}");
        }
    }

    #[test]
    fn a_wrong_password_is_told_apart_from_damage() {
        let opened = |bytes: &[u8], password| open(bytes, password).map(|_| ());
        assert_eq!(opened(&sealed(), "wrong"), Err(NotOpened::WrongPassword));
        let damaged = with(b"WPKY", &[9; 40]);
        let fault = NotOpened::Fault(BagFault::Key);
        assert_eq!(opened(&damaged, "pässwörd 🎉"), Err(fault));
    }

    #[test]
    fn what_no_password_can_open() {
        for (bytes, fault) in [
            (Vec::new(), BagFault::Missing("each class")),
            (sealed()[..sealed().len() - 1].to_vec(), BagFault::Cut),
            (b"WRAP".to_vec(), BagFault::Cut),
            (b"WRAP\xff\xff\xff\xff".to_vec(), BagFault::Odd("a length")),
            (with(b"ITER", &[0; 4]), BagFault::Odd("ITER")),
            (with(b"ITER", &[0; 3]), BagFault::Odd("ITER")),
            (with(b"DPIC", &[0xff; 4]), BagFault::Odd("DPIC")),
            (with(b"SALT", &[]), BagFault::Odd("SALT")),
            (with(b"DPSL", &[7; 300]), BagFault::Odd("a length")),
            (with(b"CLAS", &[0, 0, 0, 2]), BagFault::Odd("a class")),
            (with(b"WPKY", &[7; 39]), BagFault::Odd("WPKY")),
        ] {
            assert_eq!(Keybag::parse(&bytes).unwrap_err(), fault);
        }
    }

    /// A stranger who asks for half an hour of work does not keep anybody who wants to stop.
    #[test]
    fn the_derivation_can_be_stopped() {
        let bytes = with(b"DPIC", &MAX_DPIC.to_be_bytes());
        let bag = Keybag::parse(&bytes).unwrap();
        let opened = bag.open(&Password::new(String::new()), &AtomicBool::new(true));
        assert_eq!(opened.map(|_| ()), Err(NotOpened::Stopped));
    }

    #[test]
    fn it_derives_what_the_crate_does() {
        let go_on = AtomicBool::new(false);
        for rounds in [1, 2, 1000] {
            let theirs = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(b"p", b"salt", rounds);
            assert_eq!(
                *derive::<Hmac<Sha256>>(b"p", b"salt", rounds, &go_on).unwrap(),
                theirs
            );
            let theirs = pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(&[7; 100], b"salt", rounds);
            assert_eq!(
                *derive::<Hmac<Sha1>>(&[7; 100], b"salt", rounds, &go_on).unwrap(),
                theirs
            );
        }
    }

    #[test]
    fn a_password_does_not_show_itself() {
        assert_eq!(
            format!("{:?}", Password::new("secret".to_owned())),
            "Password"
        );
    }
}
