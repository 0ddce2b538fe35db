//! Signs a message as Standard Webhooks has it (symmetric, `v1`): HMAC-SHA256 over its id, the moment and its bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Its length in bytes, by the specification.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// A file that is longer is another one.
const FILE_MAX: u64 = 4 << 10;

/// The secret that a sender and a receiver share.
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Why there is none. The message follows "failed to"; it has nothing of the secret in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("read its secret")]
    Io(#[from] io::Error),
    /// Others can read the file.
    #[error(
        "trust the file with its secret: others can read it, or it is somebody else's; `chmod 600` helps"
    )]
    Open,
    /// There is something else in it.
    #[error("use its secret: it is not `whsec_` and 24 to 64 bytes in Base64")]
    Malformed,
}

impl Secret {
    /// The one in this file, which nobody else may read.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let mine = [0, rustix::process::geteuid().as_raw()].contains(&about.uid());
        if !about.is_file() || !mine || about.mode() & 0o077 != 0 {
            return Err(SecretError::Open);
        }
        let mut text = String::new();
        file.take(FILE_MAX).read_to_string(&mut text)?;
        Self::parse(&text)
    }

    /// The one that is written like this.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes = text
            .trim()
            .strip_prefix(PREFIX)
            .and_then(|text| STANDARD.decode(text).ok())
            .filter(|bytes| LENGTHS.contains(&bytes.len()));
        bytes.map(Self).ok_or(SecretError::Malformed)
    }

    /// The signature, as its header has it.
    pub fn sign(&self, id: &str, second: i64, body: &[u8]) -> String {
        // A key of any length is good; without one a receiver refuses the message.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{id}.{second}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// From the specification's own libraries, which all have it in their tests.
    #[test]
    fn the_published_example() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_is_no_secret() {
        for text in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_???",
        ] {
            assert!(
                matches!(Secret::parse(text), Err(SecretError::Malformed)),
                "{text}"
            );
        }
        let long = format!("whsec_{}", STANDARD.encode([0; 65]));
        assert!(matches!(Secret::parse(&long), Err(SecretError::Malformed)));
    }

    #[test]
    fn a_file_that_others_can_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Secret::read(&path).is_ok(), good, "{mode:o}");
        }
        assert!(matches!(Secret::read(dir.path()), Err(SecretError::Open)));
        let missing = dir.path().join("missing");
        assert!(matches!(Secret::read(&missing), Err(SecretError::Io(_))));
    }
}
