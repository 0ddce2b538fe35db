//! What a person does about iCloud Backup, as verbs of the phone's handle.

use jiff::SignedDuration;
use plist::Value;

use super::{Cloud, words};
use crate::persona::{Cure, LinkKind};
use crate::phone::{BACKUP_DOMAIN, Phone, PhoneHandle, ROOT_DOMAIN, lock};

/// What came of a backup to iCloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudAttempt {
    Succeeded,
    Failed,
    /// iCloud Backup is off: there is no such button, and the phone does not try.
    Off,
    /// A long upload is under way already and goes on.
    UnderWay,
    /// The phone does not try by itself yet.
    NotDue,
}

/// By management: the code of a phone that may not.
const FORBIDDEN: i64 = 22;
/// The phone tries again by itself a day after a backup (remediation.md 4.1).
const DUE_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// What somebody frees on a full phone.
const FREED: u64 = 12_000_000_000;
const ABOUT_DISK: [&str; 2] = ["com.apple.disk_usage", "com.apple.disk_usage.factory"];
const FIND_MY: &str = "com.apple.fmip";

impl Phone {
    pub(crate) fn with_cloud<T>(&self, look: impl FnOnce(&mut Cloud) -> T) -> T {
        look(&mut lock(self.cloud()))
    }

    /// The conditions of a backup by itself, now.
    pub(crate) fn conditions(&self) -> super::Conditions {
        let charging = self.value("com.apple.mobile.battery", "ExternalConnected");
        super::Conditions {
            enabled: words::is_enabled(self),
            locked: self.state().locked,
            on_power: charging.as_ref().and_then(Value::as_boolean) == Some(true),
            on_wifi: self.with_cloud(|cloud| cloud.wifi),
        }
    }
}

impl PhoneHandle {
    /// Taps Back Up Now.
    pub fn back_up_to_icloud_now(&self) -> CloudAttempt {
        self.back_up_to_icloud(true)
    }

    /// The phone lies locked on its charger, in its Wi-Fi, for a night, and tries by itself if it means to.
    pub fn a_night_on_the_charger(&self) -> CloudAttempt {
        let phone = self.phone();
        self.set_charging(true);
        self.set_wifi(true);
        self.lock();
        let now = phone.clock().now();
        let retry = phone.with_cloud(|cloud| cloud.notes.retry_after);
        if let Some(until) = retry.filter(|until| *until > now) {
            words::put_off(phone, until);
            return CloudAttempt::NotDue;
        }
        let last = phone.with_cloud(|cloud| {
            let attempts = cloud.notes.attempts.iter().rev();
            let mut successes = attempts.filter(|attempt| attempt.failure.chain.is_empty());
            successes.next().map(|attempt| attempt.at)
        });
        let ago = last.map(|at| now.duration_since(at));
        if let Some(ago) = ago.filter(|ago| *ago < DUE_AFTER) {
            words::backed_up_recently(phone, ago);
            return CloudAttempt::NotDue;
        }
        self.back_up_to_icloud(false)
    }

    fn back_up_to_icloud(&self, by_hand: bool) -> CloudAttempt {
        let phone = self.phone();
        if !words::is_enabled(phone) || phone.with_cloud(|cloud| cloud.signed_out) {
            return CloudAttempt::Off;
        }
        if phone.with_cloud(|cloud| cloud.notes.upload.is_some()) {
            words::under_way(phone, "Scanning", "48.210");
            return CloudAttempt::UnderWay;
        }
        let outcome = phone.with_cloud(|cloud| cloud.outcome());
        if let Err(failure) = &outcome
            && failure.chain.iter().any(|link| link.code == FORBIDDEN)
        {
            words::forbidden(phone);
        }
        words::phases(phone, &outcome);
        let now = phone.clock().now();
        let failures = phone.with_cloud(|cloud| {
            let before = cloud.notes.failures;
            cloud.note_attempt(now, &outcome, by_hand);
            (before, cloud.notes.failures)
        });
        if outcome.is_ok() {
            self.set_cloud_date(now);
            let zone = phone.persona().icloud.tz.as_deref().unwrap_or("GMT");
            phone.set_value(BACKUP_DOMAIN, "LastCloudBackupTZ", Some(zone.into()));
        }
        words::end(phone, &outcome, failures);
        match outcome {
            Ok(()) => CloudAttempt::Succeeded,
            Err(_) => CloudAttempt::Failed,
        }
    }

    /// A long upload comes as far as this, from 0 to 1000. There it is complete, and the backup with it.
    pub fn upload_goes_on(&self, permille: u16) -> CloudAttempt {
        let phone = self.phone();
        let done = phone.with_cloud(|cloud| {
            let upload = cloud.notes.upload.as_mut()?;
            let left = |permille: u16| f64::from(1000_u16.saturating_sub(permille));
            upload.left_s *= left(permille) / left(upload.permille).max(1.0);
            upload.permille = permille.min(1000);
            (upload.permille == 1000).then(|| cloud.notes.upload = None)
        });
        match done {
            Some(()) => self.back_up_to_icloud(false),
            None => CloudAttempt::UnderWay,
        }
    }

    /// Turns Back Up This iPhone off. With `delete` it is Turn Off and Delete from iCloud: the copy is gone, and so is its
    /// date. Without, the date stays.
    pub fn turn_cloud_off(&self, delete: bool) {
        let phone = self.phone();
        phone.with_cloud(|cloud| {
            cloud.notes.upload = None;
            cloud.deleted |= delete;
        });
        if delete {
            for key in ["LastCloudBackupDate", "LastCloudBackupTZ"] {
                phone.set_value(BACKUP_DOMAIN, key, None);
            }
        }
        self.set_cloud_enabled(Some(false));
    }

    /// Turns Back Up This iPhone on.
    pub fn turn_cloud_on(&self) {
        let phone = self.phone();
        let now = phone.clock().now();
        phone.with_cloud(|cloud| {
            if std::mem::take(&mut cloud.deleted) {
                cloud.treat(Cure::Delete);
            }
            cloud.notes.account_enabled = Some(now);
        });
        self.set_cloud_enabled(Some(true));
    }

    /// Joins somebody else's Wi-Fi.
    pub fn join_other_network(&self) {
        self.phone().with_cloud(|cloud| cloud.treat(Cure::Network));
        self.set_wifi(true);
    }

    /// Deletes an old device's backup in iCloud, or buys room.
    pub fn free_icloud_room(&self) {
        self.phone()
            .with_cloud(|cloud| cloud.treat(Cure::IcloudRoom));
    }

    /// Deletes films: there is more room on the phone, and lockdown says so.
    pub fn free_phone_room(&self) {
        let phone = self.phone();
        for domain in ABOUT_DISK {
            for key in [
                "AmountDataAvailable",
                "AmountRestoreAvailable",
                "TotalDataAvailable",
            ] {
                let now = phone.value(domain, key);
                let now = now.and_then(|value| value.as_unsigned_integer());
                let more = now.unwrap_or(0).saturating_add(FREED);
                let more = more.min(phone.persona().disk.data_total);
                phone.set_value(domain, key, Some(more.into()));
            }
        }
        phone.with_cloud(|cloud| cloud.treat(Cure::PhoneRoom));
    }

    /// Signs out of the Apple Account: Find My and iCloud Backup go off, and the phone's notes are gone. The date stays.
    pub fn sign_out(&self) {
        let phone = self.phone();
        phone.with_cloud(|cloud| {
            cloud.signed_out = true;
            cloud.wipe();
        });
        phone.set_value(FIND_MY, "IsAssociated", Some(false.into()));
        self.set_cloud_enabled(Some(false));
    }

    /// Signs in again: Find My and iCloud Backup come on.
    pub fn sign_in(&self) {
        let phone = self.phone();
        let again = phone.with_cloud(|cloud| {
            let again = std::mem::take(&mut cloud.signed_out);
            if again {
                cloud.treat(Cure::SignIn);
                // Whoever signs in has answered whatever the account asked.
                cloud.treat(Cure::Account);
            }
            again
        });
        if again {
            phone.set_value(FIND_MY, "IsAssociated", Some(true.into()));
            self.turn_cloud_on();
        }
    }

    /// Resets the network settings and joins the Wi-Fi anew. By Wi-Fi the phone is gone until it is plugged so again.
    pub fn reset_network(&self) {
        self.phone()
            .with_cloud(|cloud| cloud.treat(Cure::ResetNetwork));
        self.unplug_link(LinkKind::Network);
        self.set_wifi(true);
    }

    /// Accepts the terms, or enters the account's password.
    pub fn answer_account_prompt(&self) {
        self.phone().with_cloud(|cloud| cloud.treat(Cure::Account));
    }

    /// Leaves the one bad app out of iCloud Backup.
    pub fn leave_out_app(&self) {
        self.phone().with_cloud(|cloud| cloud.treat(Cure::App));
    }

    /// Installs another iOS, which ends with a restart.
    pub fn update_ios(&self, version: &str, build: &str) {
        let phone = self.phone();
        phone.set_value(ROOT_DOMAIN, "ProductVersion", Some(version.into()));
        phone.set_value(ROOT_DOMAIN, "BuildVersion", Some(build.into()));
        self.reboot();
    }

    /// Puts the phone on its charger, or takes it off.
    pub fn set_charging(&self, charging: bool) {
        let phone = self.phone();
        for key in [
            "BatteryIsCharging",
            "ExternalChargeCapable",
            "ExternalConnected",
        ] {
            phone.set_value("com.apple.mobile.battery", key, Some(charging.into()));
        }
        words::note_conditions(phone);
    }

    /// The phone finds a Wi-Fi, or loses it. What it says to this computer goes over its link all the same.
    pub fn set_wifi(&self, there: bool) {
        self.phone().with_cloud(|cloud| cloud.wifi = there);
        words::note_conditions(self.phone());
    }
}

impl Phone {
    /// A restart is over.
    pub(crate) fn restarted(&self) {
        self.with_cloud(|cloud| cloud.treat(Cure::Restart));
        words::note_conditions(self);
    }
}
