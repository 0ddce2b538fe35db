//! Whether a file is what those made it who may: like ssh and cron, nothing is believed or run that somebody else could have put another
//! thing in the place of.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf, absolute};

/// As many as Linux follows on one way.
const MOST_LINKS: usize = 40;

/// The file, or the folder or link on the way to it, that somebody besides these users may change. The way is gone step by step, because
/// a link may lead through a folder that neither its own path nor its end shows.
pub(crate) fn changeable(file: &Path, by_others_than: &[u32]) -> io::Result<Option<PathBuf>> {
    let mut ahead = steps(&absolute(file)?);
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(step) = ahead.pop() {
        at.push(&step);
        if step == ".." {
            at.pop();
            at.pop();
            continue;
        }
        let about = std::fs::symlink_metadata(&at)?;
        let is_theirs = !by_others_than.contains(&about.uid());
        if about.is_symlink() && !is_theirs {
            links += 1;
            if links > MOST_LINKS {
                return Err(rustix::io::Errno::LOOP.into());
            }
            ahead.extend(steps(&std::fs::read_link(&at)?));
            at.pop();
            continue;
        }
        // In a sticky folder, such as /tmp, nobody can rename what is another's.
        let sticky = about.is_dir() && about.mode() & 0o1000 != 0;
        if is_theirs || (about.mode() & 0o022 != 0 && !sticky) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().filter_map(|step| match step {
        Component::CurDir => None,
        Component::RootDir | Component::ParentDir | Component::Normal(_) | Component::Prefix(_) => {
            Some(step.as_os_str().to_owned())
        }
    });
    steps.rev().collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn us() -> [u32; 2] {
        [0, rustix::process::geteuid().as_raw()]
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A folder of ours, one that everybody may write to, and a file of ours in each.
    fn home() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let (own, open) = (home.path().join("own"), home.path().join("open"));
        for folder in [&own, &open] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
            mode(&folder.join("file"), 0o600);
        }
        mode(&own, 0o755);
        mode(&open, 0o777);
        (home, own, open)
    }

    #[test]
    fn whoever_may_change_the_file_or_a_folder_above_it() {
        let (_home, own, open) = home();
        let file = own.join("file");
        assert_eq!(changeable(&file, &us()).unwrap(), None);
        let found = changeable(&open.join("file"), &us()).unwrap();
        assert_eq!(found, Some(open.canonicalize().unwrap()));
        assert!(changeable(&file, &[u32::MAX]).unwrap().is_some());
        // A file is not sticky, whatever its mode says.
        for bad in [0o620, 0o602, 0o1620, 0o1602] {
            mode(&file, bad);
            assert!(changeable(&file, &us()).unwrap().is_some(), "{bad:o}");
        }
        mode(&file, 0o600);
        // Nobody takes our file out of a folder such as /tmp.
        mode(&open, 0o1777);
        assert_eq!(changeable(&open.join("file"), &us()).unwrap(), None);
        assert!(changeable(&own.join("none"), &us()).is_err());
    }

    #[test]
    fn whoever_may_turn_a_link_round() {
        let (home, own, open) = home();
        let home = home.path();
        let link = |at: PathBuf, to: &Path| {
            symlink(to, &at).unwrap();
            at
        };
        let good = link(own.join("good"), Path::new("../own/./file"));
        assert_eq!(changeable(&good, &us()).unwrap(), None);
        let through = link(open.join("through"), &own.join("file"));
        for (what, way) in [
            ("it stands in an open folder", through.clone()),
            ("it leads to one", link(own.join("out"), &open.join("file"))),
            ("it leads through one", link(own.join("twice"), &through)),
            (
                "a folder on the way is one",
                link(own.join("folder"), &link(open.join("back"), &own)).join("file"),
            ),
            (
                "it leads out of one by its parent",
                link(own.join("parent"), &open.join("../own/file")),
            ),
        ] {
            let found = changeable(&way, &us()).unwrap();
            let open = home.join("open").canonicalize().unwrap();
            assert_eq!(found, Some(open), "{what}");
        }
        if us()[1] == 0 {
            // Its end may be in order, its owner has it lead elsewhere.
            std::os::unix::fs::lchown(&good, Some(65_534), None).unwrap();
            let found = changeable(&good, &us()).unwrap();
            assert_eq!(found, Some(own.canonicalize().unwrap().join("good")));
        }
        let round = link(own.join("round"), Path::new("round"));
        assert!(changeable(&round, &us()).is_err());
    }
}
