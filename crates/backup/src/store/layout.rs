//! Where things are. `<root>/<UDID>/` is the backup as Finder lays it out, with nothing of ours in it (protocol.md 9.6: the
//! phone lists that folder and asks for what it does not know to be removed); all else is in `<root>/.backupwatch/`.
//!
//! ```text
//! <root>/<UDID>/                                   the current, verified backup
//! <root>/.backupwatch/marker.json                  identity of this store
//! <root>/.backupwatch/lock/marker                  flock of who makes the marker
//! <root>/.backupwatch/lock/<UDID>                  flock of the run that is using this phone's folders
//! <root>/.backupwatch/lock/<UDID>.records          flock of who writes down what a look at one of its trees found
//! <root>/.backupwatch/journal/<UDID>.json          how far that run is
//! <root>/.backupwatch/work/<UDID>/                 the tree that a run works on
//! <root>/.backupwatch/work/<UDID>.ledger           hashes of what is in it
//! <root>/.backupwatch/versions/<UDID>/<time>/      the backup before the current one
//! <root>/.backupwatch/copies/<UDID>/<tree>.json    what was verified of the tree with that identity
//! <root>/.backupwatch/copies/<UDID>/<tree>.ledger  and its hashes
//! <root>/.backupwatch/trash/                       on its way out
//! ```

use std::path::{Path, PathBuf};

use backupwatch_core::Udid;

use super::identity::TreeId;

/// The one folder of ours in a root.
pub(crate) const OURS: &str = ".backupwatch";

/// Paths of a store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn ours(&self) -> PathBuf {
        self.root.join(OURS)
    }

    pub(crate) fn marker(&self) -> PathBuf {
        self.ours().join("marker.json")
    }

    pub(crate) fn current(&self, udid: &Udid) -> PathBuf {
        self.root.join(udid.as_str())
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.ours().join("lock")
    }

    pub(crate) fn lock(&self, udid: &Udid) -> PathBuf {
        self.locks().join(udid.as_str())
    }

    pub(crate) fn marker_lock(&self) -> PathBuf {
        self.locks().join("marker")
    }

    pub(crate) fn records_lock(&self, udid: &Udid) -> PathBuf {
        self.locks().join(format!("{udid}.records"))
    }

    pub(crate) fn journals(&self) -> PathBuf {
        self.ours().join("journal")
    }

    pub(crate) fn journal(&self, udid: &Udid) -> PathBuf {
        self.journals().join(format!("{udid}.json"))
    }

    pub(crate) fn works(&self) -> PathBuf {
        self.ours().join("work")
    }

    pub(crate) fn work(&self, udid: &Udid) -> PathBuf {
        self.works().join(udid.as_str())
    }

    /// A work tree that is not complete yet.
    pub(crate) fn nascent_work(&self, udid: &Udid) -> PathBuf {
        self.works().join(format!("{udid}.new"))
    }

    pub(crate) fn work_ledger(&self, udid: &Udid) -> PathBuf {
        self.works().join(format!("{udid}.ledger"))
    }

    pub(crate) fn versions(&self, udid: &Udid) -> PathBuf {
        self.ours().join("versions").join(udid.as_str())
    }

    pub(crate) fn copies(&self, udid: &Udid) -> PathBuf {
        self.ours().join("copies").join(udid.as_str())
    }

    pub(crate) fn record(&self, udid: &Udid, tree: &TreeId) -> PathBuf {
        self.copies(udid).join(format!("{tree}.json"))
    }

    pub(crate) fn ledger(&self, udid: &Udid, tree: &TreeId) -> PathBuf {
        self.copies(udid).join(format!("{tree}.ledger"))
    }

    /// All folders that a run of this phone writes to, but for the trees themselves.
    pub(crate) fn folders(&self, udid: &Udid) -> [PathBuf; 9] {
        [
            self.ours(),
            self.locks(),
            self.journals(),
            self.works(),
            self.ours().join("versions"),
            self.versions(udid),
            self.ours().join("copies"),
            self.copies(udid),
            self.trash(),
        ]
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.ours().join("trash")
    }
}
