//! Who the phone says it is, and what its clock shows. Everything not given is derived from the UDID, so that two
//! personas never share a serial number and no real identifier is needed.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub udid: String,
    pub name: String,
    #[serde(default = "product_type")]
    pub product_type: String,
    #[serde(default = "product_name")]
    pub product_name: String,
    #[serde(default = "ios")]
    pub ios: String,
    #[serde(default = "build")]
    pub build: String,
    #[serde(default = "hardware_model")]
    pub hardware_model: String,
    #[serde(default = "model_number")]
    pub model_number: String,
    #[serde(default = "region")]
    pub region: String,
    #[serde(default = "time_zone")]
    pub time_zone: String,
    #[serde(default)]
    pub utc_offset_s: i64,
    /// usbmuxd lists the UDID without its hyphen, as some daemons do (protocol.md 3.3).
    #[serde(default)]
    pub listed_without_hyphen: bool,
}

/// What the phone's clock shows, relative to the host's or fixed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSpec {
    /// The moment at which the phone starts; the host's clock when absent.
    pub start: Option<jiff::Timestamp>,
    /// How far the phone's clock is ahead of the host's (or of `start`), in seconds.
    #[serde(default)]
    pub ahead_s: i64,
}

impl Identity {
    #[must_use]
    pub fn new(udid: &str, name: &str) -> Self {
        Self {
            udid: udid.to_owned(),
            name: name.to_owned(),
            product_type: product_type(),
            product_name: product_name(),
            ios: ios(),
            build: build(),
            hardware_model: hardware_model(),
            model_number: model_number(),
            region: region(),
            time_zone: time_zone(),
            utc_offset_s: 0,
            listed_without_hyphen: false,
        }
    }

    /// iPhone, iPad or iPod: the product type up to its first digit.
    #[must_use]
    pub fn device_class(&self) -> &str {
        let end = self
            .product_type
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(self.product_type.len());
        self.product_type.get(..end).unwrap_or("iPhone")
    }

    /// A serial number that nobody can mistake for a real one.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("FAKE{:08X}", self.seed() & 0xFFFF_FFFF)
    }

    /// A locally administered MAC address.
    #[must_use]
    pub fn wifi_address(&self) -> String {
        mac(self.seed())
    }

    #[must_use]
    pub fn bluetooth_address(&self) -> String {
        mac(self.seed().wrapping_add(1))
    }

    /// The ECID: the second half of a 24-digit UDID (protocol.md section 2), else made up.
    #[must_use]
    pub fn ecid(&self) -> u64 {
        self.udid
            .split_once('-')
            .and_then(|(_, ecid)| u64::from_str_radix(ecid, 16).ok())
            .unwrap_or(self.seed() >> 8)
    }

    #[must_use]
    pub fn chip_id(&self) -> u64 {
        self.udid
            .split_once('-')
            .and_then(|(chip, _)| u64::from_str_radix(chip, 16).ok())
            .unwrap_or(0x8010)
    }

    /// FNV-1a of the UDID: a stable number to derive the rest from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.udid.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

pub(super) fn is_udid(udid: &str) -> bool {
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit())
    };
    match udid.split_once('-') {
        Some((chip, ecid)) => hex(chip, 8) && hex(ecid, 16),
        None => hex(udid, 40),
    }
}

fn mac(seed: u64) -> String {
    let [a, b, c, d, e, ..] = seed.to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

fn product_type() -> String {
    "iPhone13,2".to_owned()
}

fn product_name() -> String {
    "iPhone OS".to_owned()
}

fn ios() -> String {
    "18.4.1".to_owned()
}

fn build() -> String {
    "22E252".to_owned()
}

fn hardware_model() -> String {
    "D53gAP".to_owned()
}

fn model_number() -> String {
    "MGJ53".to_owned()
}

fn region() -> String {
    "ZD/A".to_owned()
}

fn time_zone() -> String {
    "Etc/UTC".to_owned()
}
