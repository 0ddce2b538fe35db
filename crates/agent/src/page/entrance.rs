//! Who may come in: one-time keys, which stand in a link for two minutes, and the sessions that they are exchanged for. In memory
//! only, so that an agent that ends forgets them all. Time and chance are arguments.

use std::fmt;
use std::hint::black_box;

use backupwatch_core::{HostTime, Period};

use super::Place;

/// How long a link may be used.
const KEY_LIFE: Period = Period::minutes(2);
/// Links that may wait to be used; a newer one takes the place of the oldest.
const KEYS: usize = 16;
/// How long a session lasts after its last use.
const SESSION_LIFE: Period = Period::hours(12);
/// Browsers that may be in at once; a newer one takes the place of the one that was used least lately.
const SESSIONS: usize = 16;

/// 32 random bytes, in hexadecimal where they leave this process. Has no `Debug` of its contents.
#[derive(Clone, Copy)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    /// A fresh one from the system's randomness.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
            *byte = (nibble(*high)? << 4) | nibble(*low)?;
        }
        Some(Self(bytes))
    }

    /// Takes as long whatever the difference, so that nobody learns a secret byte by byte.
    pub(super) fn is(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(other.0);
        black_box(differences.fold(0, |all, (a, b)| black_box(all | (a ^ b)))) == 0
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is said once on the next page, after something was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) good: bool,
    pub(super) words: String,
}

#[derive(Debug)]
struct Key {
    secret: Secret,
    leads: Place,
    since: HostTime,
}

#[derive(Debug)]
struct Session {
    secret: Secret,
    token: Secret,
    used: HostTime,
    said: Option<Said>,
}

#[derive(Debug, Default)]
pub(super) struct Entrance {
    keys: Vec<Key>,
    /// The one that was used last comes last.
    sessions: Vec<Session>,
}

impl Entrance {
    /// A link with this key leads to `leads`, for a while.
    pub(super) fn issue(&mut self, secret: Secret, leads: Place, since: HostTime) {
        self.forget(since);
        if self.keys.len() >= KEYS {
            self.keys.remove(0);
        }
        self.keys.push(Key {
            secret,
            leads,
            since,
        });
    }

    /// Exchanges a key for a session. The key is used up.
    pub(super) fn enter(
        &mut self,
        key: &Secret,
        session: Secret,
        token: Secret,
        now: HostTime,
    ) -> Option<Place> {
        self.forget(now);
        let at = position(&self.keys, |one| one.secret.is(key))?;
        let Key { leads, .. } = self.keys.remove(at);
        if self.sessions.len() >= SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(Session {
            secret: session,
            token,
            used: now,
            said: None,
        });
        Some(leads)
    }

    /// The token for the forms of a session, which thereby was used.
    pub(super) fn visit(&mut self, session: &Secret, now: HostTime) -> Option<Secret> {
        self.forget(now);
        let at = position(&self.sessions, |one| one.secret.is(session))?;
        let mut found = self.sessions.remove(at);
        found.used = now;
        let token = found.token;
        self.sessions.push(found);
        Some(token)
    }

    /// Says something on the session's next page.
    pub(super) fn say(&mut self, session: &Secret, said: Said) {
        if let Some(found) = self.sessions.iter_mut().find(|one| one.secret.is(session)) {
            found.said = Some(said);
        }
    }

    /// What is to be said on this page.
    pub(super) fn said(&mut self, session: &Secret) -> Option<Said> {
        let found = self.sessions.iter_mut();
        found
            .filter(|one| one.secret.is(session))
            .find_map(|one| one.said.take())
    }

    fn forget(&mut self, now: HostTime) {
        self.keys.retain(|key| lives(key.since, KEY_LIFE, now));
        self.sessions
            .retain(|session| lives(session.used, SESSION_LIFE, now));
    }
}

/// A clock that was set back ends a life too: it must not be prolonged by it.
fn lives(since: HostTime, life: Period, now: HostTime) -> bool {
    (Period::seconds(0)..life).contains(&now.since(since))
}

/// Where the one is; looks at all of them, so that nobody learns by the time it takes how many there are before it.
fn position<T>(all: &[T], is: impl Fn(&T) -> bool) -> Option<usize> {
    let mut found = None;
    for (at, one) in all.iter().enumerate() {
        if is(one) {
            found = Some(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> HostTime {
        HostTime(jiff::Timestamp::from_second(1_790_000_000 + second).unwrap())
    }

    fn secret(n: u8) -> Secret {
        Secret([n; 32])
    }

    fn entered(entrance: &mut Entrance, key: u8, session: u8, now: HostTime) -> bool {
        let (session, token) = (secret(session), secret(session.wrapping_add(100)));
        entrance.enter(&secret(key), session, token, now).is_some()
    }

    #[test]
    fn a_key_opens_once_and_for_two_minutes() {
        let mut entrance = Entrance::default();
        for (used_at, opens) in [(0, true), (119, true), (120, false), (-1, false)] {
            entrance.issue(secret(1), Place::Devices, at(0));
            assert_eq!(
                entered(&mut entrance, 1, 2, at(used_at)),
                opens,
                "{used_at}"
            );
            assert!(!entered(&mut entrance, 1, 2, at(used_at)), "a second time");
            entrance = Entrance::default();
        }
        assert!(!entered(&mut entrance, 9, 2, at(0)), "nobody issued it");
    }

    #[test]
    fn a_session_lasts_as_long_as_it_is_used() {
        let mut entrance = Entrance::default();
        entrance.issue(secret(1), Place::Devices, at(0));
        assert!(entered(&mut entrance, 1, 2, at(0)));
        let nearly = 12 * 3600 - 1;
        for n in 1..5 {
            assert!(entrance.visit(&secret(2), at(n * nearly)).is_some(), "{n}");
        }
        assert!(entrance.visit(&secret(3), at(4 * nearly)).is_none());
        assert!(
            entrance
                .visit(&secret(2), at(4 * nearly + 12 * 3600))
                .is_none()
        );
    }

    #[test]
    fn neither_keys_nor_sessions_pile_up() {
        let mut entrance = Entrance::default();
        for n in 0..200 {
            entrance.issue(secret(n), Place::Devices, at(0));
        }
        assert!(!entered(&mut entrance, 0, 1, at(0)), "the oldest is gone");
        assert!(
            entered(&mut entrance, 199, 250, at(0)),
            "the newest is there"
        );
        for n in 0..=100 {
            entrance.issue(secret(n), Place::Devices, at(1));
            assert!(entered(&mut entrance, n, n, at(1)));
            assert!(entrance.visit(&secret(250), at(1)).is_some(), "in use");
        }
        assert!(entrance.visit(&secret(0), at(1)).is_none(), "unused");
        assert_eq!(entrance.sessions.len(), SESSIONS);
    }

    #[test]
    fn a_secret_is_64_small_hexadecimal_digits() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(Secret::parse(&good).unwrap().to_string(), good);
        for bad in [
            String::new(),
            good.to_uppercase(),
            good.replace('0', "g"),
            format!("{good}0"),
            format!("{good}00"),
            good[1..].to_owned(),
            "é".repeat(32),
        ] {
            assert!(Secret::parse(&bad).is_none(), "{bad}");
        }
        assert!(!Secret([0; 32]).is(&Secret::parse(&good).unwrap()));
        assert_eq!(format!("{:?}", secret(7)), "Secret(…)");
    }
}
