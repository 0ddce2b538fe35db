//! A [`Backend`] by its name, as it stands in the file.

use backupwatch_device::Backend;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

// Serde hands out a reference.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
pub(super) fn serialize<S: Serializer>(backend: &Backend, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(backend.name())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Backend, D::Error> {
    let name = String::deserialize(from)?;
    name.parse()
        .map_err(|error| D::Error::custom(format!("unknown backend `{name}`: {error}")))
}
