//! The manifest of a phone as it is now, written before a host asks.
//!
//! Only measurements of hosts prepare one: building it anew for each of them takes longer than what some of them do. It is
//! the same manifest, to the byte. Phones with a backup password have none, for its rows depend on more than the contents.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::previous::{RowDigest, digest};
use super::side::{BackupSide, Keys};
use crate::contents::Catalog;
use crate::manifest;
use crate::phone::lock;

#[derive(Debug)]
pub struct Prepared {
    catalog: Arc<Catalog>,
    database: tempfile::TempPath,
    /// Of the rows of the files, in their order.
    digests: Vec<RowDigest>,
}

impl Prepared {
    fn of(catalog: Arc<Catalog>, seed: u64) -> io::Result<Self> {
        let database = tempfile::NamedTempFile::new()?.into_temp_path();
        let items = catalog.items().map(AsRef::as_ref);
        manifest::write(&database, items, None, seed).map_err(io::Error::other)?;
        let digest = |item| manifest::row_blob(item, None).map(|blob| digest(&blob));
        let digests = catalog.files().map(|item| digest(item)).collect();
        let digests = Result::map_err(digests, io::Error::other)?;
        Ok(Self {
            catalog,
            database,
            digests,
        })
    }

    pub fn database(&self) -> &Path {
        &self.database
    }

    pub fn digests(&self) -> &[RowDigest] {
        &self.digests
    }
}

impl BackupSide {
    /// Writes the manifest of what is on the phone now. Backups use it until the contents change.
    ///
    /// # Errors
    /// It could not be written.
    pub fn prepare(&self) -> io::Result<()> {
        let prepared = Prepared::of(self.catalog(), self.seed())?;
        *lock(&self.prepared) = Some(Arc::new(prepared));
        Ok(())
    }

    /// What was prepared for just these contents, and can be used with these keys.
    pub(super) fn prepared(&self, catalog: &Arc<Catalog>, keys: &Keys) -> Option<Arc<Prepared>> {
        let prepared = lock(&self.prepared).clone();
        prepared
            .filter(|prepared| keys.secrets.is_none() && Arc::ptr_eq(&prepared.catalog, catalog))
    }
}
