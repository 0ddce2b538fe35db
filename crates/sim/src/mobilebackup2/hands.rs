//! What a test does to the backup side of a phone, as verbs of its handle.

use std::sync::Arc;

use super::side::Finished;
use crate::contents::Catalog;
use crate::faults::Faults;
use crate::phone::PhoneHandle;

impl PhoneHandle {
    /// What is on the phone now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.phone().backup().catalog()
    }

    /// Photos are taken, notes are written: changes what is on the phone. A backup that runs keeps its snapshot.
    pub fn change_contents<T>(&self, change: impl FnOnce(&mut Catalog) -> T) -> T {
        self.phone().backup().change(change)
    }

    /// Writes the manifest of what is on the phone now, so that no backup waits for it until the contents change again.
    ///
    /// # Errors
    /// It could not be written.
    pub fn prepare_manifest(&self) -> std::io::Result<()> {
        self.phone().backup().prepare()
    }

    /// Replaces the faults of the backup service, from the next message on.
    pub fn set_faults(&self, faults: Faults) {
        self.phone().backup().set_faults(faults);
    }

    /// What hosts did to the backup service that a real phone would not forgive, or that no host may do.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.phone().backup().violations()
    }

    /// What the last backup that ended well left on the host.
    #[must_use]
    pub fn finished_backup(&self) -> Option<Arc<Finished>> {
        self.phone().backup().finished()
    }
}
