//! What a test, or a person at the simulator, does to a phone.

use std::sync::Arc;

use jiff::Timestamp;
use plist::Value;

use super::{BACKUP_DOMAIN, Phone, PromptState, Seen, State, TrustDialog};
use crate::cloud::note_conditions;
use crate::persona::{LinkKind, Stamp};

/// The owner's hands.
#[derive(Clone, Debug)]
pub struct PhoneHandle(Arc<Phone>);

impl PhoneHandle {
    #[must_use]
    pub fn new(phone: Arc<Phone>) -> Self {
        Self(phone)
    }

    /// The phone itself, for what has no verb here.
    #[must_use]
    pub fn phone(&self) -> &Arc<Phone> {
        &self.0
    }

    #[must_use]
    pub fn udid(&self) -> &str {
        self.0.udid()
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.0.state()
    }

    /// Pulls cable and Wi-Fi: the phone is gone.
    pub fn unplug(&self) {
        self.0.unplug_all();
    }

    /// Plugs in every link of the persona.
    pub fn plug(&self) {
        self.0.plug(LinkKind::Usb);
        self.0.plug(LinkKind::Network);
    }

    pub fn unplug_link(&self, kind: LinkKind) {
        self.0.unplug(kind);
    }

    pub fn plug_link(&self, kind: LinkKind) {
        self.0.plug(kind);
    }

    /// Locks the screen; without a passcode there is nothing to lock.
    pub fn lock(&self) {
        if self.0.persona().passcode.set {
            self.0.change(|state| state.locked = true);
            self.0.post("com.apple.springboard.lockcomplete");
            self.0.post("com.apple.springboard.lockstate");
            note_conditions(&self.0);
        }
    }

    pub fn unlock(&self) {
        self.0.change(|state| {
            state.locked = false;
            state.unlocked_since_boot = true;
        });
        self.0.post("com.apple.springboard.lockstate");
        note_conditions(&self.0);
    }

    /// Switches off and on again: every link breaks and comes back, and nothing is readable until the first unlock.
    pub fn reboot(&self) {
        let links: Vec<LinkKind> = self
            .0
            .attachments()
            .into_iter()
            .map(|attached| attached.kind)
            .collect();
        self.unplug();
        if self.0.persona().passcode.set {
            self.0.change(|state| {
                state.locked = true;
                state.unlocked_since_boot = false;
            });
        }
        self.0.restarted();
        for kind in links {
            self.0.plug(kind);
        }
    }

    /// Taps Trust. True when the dialog was on the screen.
    pub fn tap_trust(&self) -> bool {
        self.answer_trust(TrustDialog::Trusted)
    }

    /// Taps Don't Trust. True when the dialog was on the screen.
    pub fn deny_trust(&self) -> bool {
        self.answer_trust(TrustDialog::Denied)
    }

    fn answer_trust(&self, answer: TrustDialog) -> bool {
        let mut shown = false;
        self.0.change(|state| {
            shown = matches!(state.trust_dialog, TrustDialog::Shown { .. });
            if shown {
                state.trust_dialog = answer;
            }
        });
        shown
    }

    pub async fn trust_dialog_shown(&self) {
        self.0
            .wait_for(|state| matches!(state.trust_dialog, TrustDialog::Shown { .. }))
            .await;
    }

    /// Forgets every host, as Reset Location & Privacy does.
    pub fn forget_hosts(&self) {
        super::lock(self.0.pairings()).clear();
        self.0
            .change(|state| state.trust_dialog = TrustDialog::Hidden);
    }

    /// Waits until the phone asks for the passcode.
    pub async fn prompt_shown(&self) {
        self.0
            .wait_for(|state| state.prompt == PromptState::Shown)
            .await;
    }

    /// Enters the passcode. True when the phone was asking for it.
    pub fn enter_passcode(&self) -> bool {
        self.answer_prompt(PromptState::Entered)
    }

    /// Cancels the passcode prompt. True when the phone was asking.
    pub fn cancel_passcode(&self) -> bool {
        self.answer_prompt(PromptState::Cancelled)
    }

    fn answer_prompt(&self, answer: PromptState) -> bool {
        let mut shown = false;
        self.0.change(|state| {
            shown = state.prompt == PromptState::Shown;
            if shown {
                state.prompt = answer;
            }
        });
        shown
    }

    /// An iCloud backup ended at this moment.
    pub fn set_cloud_date(&self, at: Timestamp) {
        self.set_cloud_stamp(Some(&Stamp::At(at)));
    }

    /// The date of the last iCloud backup as lockdown shall hold it, or none.
    pub fn set_cloud_stamp(&self, stamp: Option<&Stamp>) {
        let value = stamp.map(|stamp| stamp.value(self.0.clock().now()));
        self.0
            .set_value(BACKUP_DOMAIN, "LastCloudBackupDate", value);
    }

    /// Turns the iCloud Backup switch; `None` removes the key.
    pub fn set_cloud_enabled(&self, enabled: Option<bool>) {
        self.0.set_value(
            BACKUP_DOMAIN,
            "CloudBackupEnabled",
            enabled.map(Value::Boolean),
        );
        note_conditions(&self.0);
    }

    /// Another program of the field (Finder, Music) syncs: its lock is in the way of everybody's backup.
    /// False when a host has it already.
    pub fn hold_sync_lock(&self) -> bool {
        self.0.hold_sync_lock()
    }

    pub fn release_sync_lock(&self) {
        self.0.release_sync_lock();
    }

    /// The user taps cancel on the phone's sync screen (protocol.md section 7).
    pub fn request_sync_cancel(&self) {
        self.0.post("com.apple.itunes-client.syncCancelRequest");
    }

    /// What the host sent so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.0.journal().all()
    }

    /// Switches single-stepping on or off.
    pub fn single_step(&self, on: bool) {
        self.0.gate().stepping(on);
    }

    /// Lets the phone send its next message, and says which it was.
    pub async fn step(&self) -> String {
        self.0.gate().step().await
    }

    /// Waits until the single-stepped phone is about to send its next message, and does not let it.
    pub async fn is_about_to_send(&self) {
        self.0.gate().waits().await;
    }
}
