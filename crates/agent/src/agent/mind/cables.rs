//! The mind's part in the cables: what hints at a change of them, and what is said of the phones on them.

use backupwatch_core::Now;
use backupwatch_core::watcher::DeviceView;

use super::{Act, Mind};

impl Mind {
    /// Something was plugged in or unplugged, or usbmuxd has news of that kind. A single command is over before it settles.
    pub(in crate::agent) fn cables_changed(&mut self, now: &Now) {
        if self.resident {
            self.cables.hint(now.host);
        }
    }

    pub(super) fn look_at_cables(&mut self, now: &Now, acts: &mut Vec<Act>) {
        if self.cables.begin(now.host) {
            acts.push(Act::LookAtCables);
        }
    }

    /// Phones that cannot be reached; and a slow cable, only while somebody waits for a backup through it.
    pub(super) fn cable_remarks(&self, views: &[DeviceView]) -> Vec<String> {
        let waits = |view: &&DeviceView| self.backups.contains_key(&view.udid);
        let slow = views.iter().filter(waits).filter_map(|view| {
            let model = view.facts.as_ref()?.model.as_ref().ok()?;
            let name = view.name.as_deref().unwrap_or(view.udid.as_str());
            self.cables.slow(&view.udid, model, name)
        });
        self.cables.remarks().into_iter().chain(slow).collect()
    }
}
