//! Which device the person means.

use crate::failure::Failure;
use backupwatch_agent::{
    exit::ExitCode,
    status::{CloudStatus, DeviceStatus, LocalStatus, NextStatus, Status},
};
use backupwatch_core::Udid;

/// The one device that `asked` names: a UDID, a unique beginning of one, a name or a nickname. Left out, the only one known.
pub fn device<'a>(
    devices: &'a [DeviceStatus],
    asked: Option<&str>,
) -> Result<&'a DeviceStatus, Failure> {
    let Some(asked) = asked else {
        return match devices {
            [] => Err(none_known()),
            [only] => Ok(only),
            many => Err(ambiguous("several devices are known", many)),
        };
    };
    if devices.is_empty() {
        return Err(none_known());
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "");
    let wanted = plain(asked);
    let by_udid: Vec<_> = devices
        .iter()
        .filter(|device| !wanted.is_empty() && plain(&device.udid).starts_with(&wanted))
        .collect();
    let by_name: Vec<_> = devices
        .iter()
        .filter(|device| {
            [&device.name, &device.nickname]
                .into_iter()
                .flatten()
                .any(|name| name.to_lowercase() == asked.to_lowercase())
        })
        .collect();
    // A name is what people type; a beginning of a UDID only counts where no device is called so.
    match (by_name.as_slice(), by_udid.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(ambiguous(
            &format!("no device is called “{asked}”"),
            devices,
        )),
        ([], many) | (many, _) => Err(ambiguous(
            &format!("“{asked}” fits several devices"),
            many.iter().copied(),
        )),
    }
}

/// Whether phones can be seen at all; nobody is to look for a cable when usbmuxd is what is missing.
pub fn sighted(status: &Status) -> Result<(), Failure> {
    if status.agent.usbmuxd != Some(false) {
        return Ok(());
    }
    let why = status
        .agent
        .remarks
        .iter()
        .find_map(|remark| remark.strip_prefix("Phones cannot be seen: "))
        .unwrap_or("usbmuxd does not answer");
    let message = format!("phones cannot be seen: {}", why.trim_end_matches('.'));
    Err(Failure::new(ExitCode::Internal, "usbmuxd", message)
        .next("Start usbmuxd, or say where it is by USBMUXD_SOCKET_ADDRESS."))
}

/// The UDID of an entry of the status document.
pub fn udid(device: &DeviceStatus) -> Result<Udid, Failure> {
    device.udid.parse().map_err(|_| {
        Failure::new(
            ExitCode::Internal,
            "bad_udid",
            "the state holds a UDID that is none",
        )
    })
}

/// A device that nothing is known of but its UDID.
pub fn stranger(udid: &Udid) -> DeviceStatus {
    DeviceStatus {
        alias: None,
        udid: udid.to_string(),
        name: None,
        nickname: None,
        model: None,
        os_version: None,
        links: Vec::new(),
        trust: "unknown".to_owned(),
        seen_at: None,
        icloud: CloudStatus {
            state: "unknown".to_owned(),
            why: None,
            enabled: None,
            last: None,
            age_s: None,
        },
        local: LocalStatus {
            state: "none".to_owned(),
            level: None,
            last: None,
            age_s: None,
            encrypted: None,
            verified_at: None,
            reread_at: None,
            damaged: None,
        },
        protection: "unknown".to_owned(),
        reason: String::new(),
        next: NextStatus {
            code: "nothing".to_owned(),
            words: String::new(),
        },
        step: None,
        cause: None,
        local_only: false,
        snoozed_until: None,
        muted_since: None,
        root: None,
        own: std::collections::BTreeMap::new(),
        due: None,
        backup: None,
    }
}

pub fn none_known() -> Failure {
    Failure::new(ExitCode::NoDevice, "no_device", "no device is known yet").next(
        "Connect the iPhone with a cable, unlock it, and run `backupwatch pair`, then `backupwatch check`.",
    )
}

fn ambiguous<'a>(what: &str, devices: impl IntoIterator<Item = &'a DeviceStatus>) -> Failure {
    let list: Vec<String> = devices
        .into_iter()
        .map(|device| match &device.name {
            Some(name) => format!("{name} ({})", device.udid),
            None => device.udid.clone(),
        })
        .collect();
    Failure::new(ExitCode::Usage, "which_device", what)
        .next(format!("Name one of: {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(udid: &str, name: &str) -> DeviceStatus {
        DeviceStatus {
            alias: None,
            name: Some(name.into()),
            ..stranger(&udid.parse().unwrap())
        }
    }

    #[test]
    fn a_device_is_found_as_a_person_would_name_it() {
        let devices = [
            known("00008110-000A1B2C3D4E001E", "Anna’s iPhone"),
            known("00008110-000A1B2C3D4E002F", "Tom’s iPhone"),
            known("00008030-001122334455002E", "00008110"),
        ];
        let cases = [
            (Some("Anna’s iPhone"), Ok(0)),
            (Some("anna’s iphone"), Ok(0)),
            (Some("00008110-000A1B2C3D4E002F"), Ok(1)),
            (Some("00008110000a1b2c3d4e002"), Ok(1)),
            (Some("00008030"), Ok(2)),
            (Some("00008110"), Ok(2)),
            (Some("0000811"), Err("which_device")),
            (Some("Eve"), Err("which_device")),
            (Some(""), Err("which_device")),
            (None, Err("which_device")),
        ];
        for (asked, expected) in cases {
            let found = device(&devices, asked);
            match expected {
                Ok(index) => assert_eq!(found.unwrap().udid, devices[index].udid, "{asked:?}"),
                Err(error) => assert_eq!(found.unwrap_err().error, error, "{asked:?}"),
            }
        }
        assert_eq!(device(&devices[..1], None).unwrap().udid, devices[0].udid);
        assert_eq!(device(&[], None).unwrap_err().error, "no_device");
        assert_eq!(device(&[], Some("x")).unwrap_err().code, ExitCode::NoDevice);
    }
}
