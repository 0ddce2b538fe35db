//! Whether a file is what those made it who may: like ssh and cron, nothing is believed or run that somebody else could have put another
//! thing in the place of.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file, or the folder on the way to it, that somebody besides these users may change. Both ways count: where a link stands, and
/// where it leads.
pub(crate) fn changeable(file: &Path, by_others_than: &[u32]) -> io::Result<Option<PathBuf>> {
    let real = std::fs::canonicalize(file)?;
    for path in real.ancestors().chain(file.ancestors().skip(1)) {
        let about = std::fs::metadata(path)?;
        // In a sticky folder, such as /tmp, nobody can rename what is another's.
        let sticky = about.is_dir() && about.mode() & 0o1000 != 0;
        if !by_others_than.contains(&about.uid()) || (about.mode() & 0o022 != 0 && !sticky) {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}
