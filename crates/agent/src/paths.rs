//! Every path of the program, in one file. Nothing else joins a file name to a folder of ours.
//!
//! The environment is read in [`Base::of_this_user`] and nowhere else; what follows from it is a pure function, so that
//! the macOS spellings are tested on Linux and the other way round. What is *not* here: the layout inside the backup
//! root, which belongs to the store.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

/// The longest path that fits `sockaddr_un` with its closing NUL: `sun_path` has 104 bytes on macOS, 108 on Linux. The
/// smaller one is used everywhere, so that the same state folder gives the same socket on both.
const SOCKET_PATH_MAX: usize = 103;

const NAME: &str = "backupwatch";

/// Where a desktop system keeps a user's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// `~/Library/...`, beside the XDG folders that command-line people set up.
    MacOs,
    /// The XDG base directories.
    Xdg,
}

/// The folders of one user that everything else is derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Which spellings hold.
    pub system: System,
    /// The home folder.
    pub home: PathBuf,
    /// `$XDG_CONFIG_HOME` or `~/.config`, on macOS too.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME` or `~/.local/state`.
    pub state: PathBuf,
    /// `$XDG_DATA_HOME` or `~/.local/share`.
    pub data: PathBuf,
    /// `$XDG_RUNTIME_DIR`, where there is one.
    pub runtime: Option<PathBuf>,
    /// The numeric user, for a runtime folder of our own where the system has none.
    pub uid: u32,
}

/// What went wrong with a folder or with finding it.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// There is no home folder: no `HOME` and no entry in the user database.
    #[error("find the home folder: set HOME, or pass --config and --state-dir")]
    NoHome,
    /// The folder could not be made or looked at.
    #[error("make the folder {path}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is there that is not a folder.
    #[error("use {path} as a folder: something else is there")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder belongs to somebody else.
    #[error("use {path}: it belongs to another user (uid {owner})")]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The folder is open to others and holds things that are not ours, so that we do not close it by ourselves.
    #[error(
        "use {path} for the state: others can read it (mode {mode:o}) and it is not empty; close it with `chmod 700`, or choose another folder"
    )]
    TooOpen {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl Base {
    /// The folders of the user who runs this process.
    pub fn of_this_user() -> Result<Self, PathsError> {
        let xdg = etcetera::base_strategy::Xdg::new().map_err(|_| PathsError::NoHome)?;
        let home = xdg.home_dir().to_owned();
        Ok(Self {
            system: if cfg!(target_os = "macos") {
                System::MacOs
            } else {
                System::Xdg
            },
            config: xdg.config_dir(),
            state: xdg.state_dir().unwrap_or_else(|| home.join(".local/state")),
            data: xdg.data_dir(),
            runtime: xdg.runtime_dir(),
            uid: rustix::process::getuid().as_raw(),
            home,
        })
    }

    fn application_support(&self) -> PathBuf {
        self.home.join("Library/Application Support").join(NAME)
    }

    /// Where launchd looks for what it has to start for this user.
    pub fn launch_agents(&self) -> PathBuf {
        self.home.join("Library/LaunchAgents")
    }

    /// Where the user's systemd looks for units of this user's own.
    pub fn systemd_units(&self) -> PathBuf {
        self.config.join("systemd/user")
    }

    /// The places where a configuration file may be, best first.
    pub fn config_candidates(&self) -> Vec<PathBuf> {
        let xdg = self.config.join(NAME).join("config.toml");
        match self.system {
            System::MacOs => vec![xdg, self.application_support().join("config.toml")],
            System::Xdg => vec![xdg],
        }
    }

    /// Where whoever looks after this computer configures for everybody on it.
    pub fn managed_config(&self) -> PathBuf {
        let folder = match self.system {
            System::MacOs => "/Library/Application Support",
            System::Xdg => "/etc",
        };
        Path::new(folder).join(NAME).join("config.toml")
    }

    /// The configuration file: the one that was asked for, else the first that exists, else the first place.
    pub fn config_file(&self, asked: Option<&Path>) -> PathBuf {
        if let Some(asked) = asked {
            return asked.to_owned();
        }
        let candidates = self.config_candidates();
        let existing = candidates.iter().find(|path| path.exists()).cloned();
        existing
            .or_else(|| candidates.into_iter().next())
            .unwrap_or_default()
    }

    /// `~` and `~/...` in a configured path mean the home folder.
    pub fn expand(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) if rest.as_os_str().is_empty() => self.home.clone(),
            Ok(rest) => self.home.join(rest),
            Err(_) => path.to_owned(),
        }
    }
}

/// What the command line and the configuration say about places. The command line wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`, else `paths.state`.
    pub state: Option<PathBuf>,
    /// `backup.root`.
    pub backups: Option<PathBuf>,
    /// `paths.logs`.
    pub logs: Option<PathBuf>,
    /// `paths.socket`.
    pub socket: Option<PathBuf>,
}

/// All places of one running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file; it need not exist.
    pub config: PathBuf,
    /// The state folder, mode 0700.
    pub state: PathBuf,
    /// The database of observations, runs and notices.
    pub database: PathBuf,
    /// The file whose lock says "an agent runs on this state".
    pub lock: PathBuf,
    /// The socket of the local API.
    pub socket: PathBuf,
    /// The root of the backups.
    pub backups: PathBuf,
    /// The folder of log files, or none where the journal takes standard error.
    pub logs: Option<PathBuf>,
}

impl Paths {
    /// All places, from the user's folders and from what was moved.
    ///
    /// A moved state folder takes the backups and the logs along, unless they are placed by name: so that one
    /// `--state-dir` keeps a trial run out of the real folders.
    pub fn resolve(base: &Base, moved: &Moved) -> Self {
        let state = match (&moved.state, base.system) {
            (Some(path), _) => base.expand(path),
            (None, System::MacOs) => base.application_support(),
            (None, System::Xdg) => base.state.join(NAME),
        };
        let backups = match (&moved.backups, &moved.state, base.system) {
            (Some(path), _, _) => base.expand(path),
            (None, Some(_), System::Xdg) => state.join("backups"),
            (None, _, System::MacOs) => state.join("Backups"),
            (None, None, System::Xdg) => base.data.join(NAME).join("backups"),
        };
        let logs = match (&moved.logs, &moved.state, base.system) {
            (Some(path), _, _) => Some(base.expand(path)),
            (None, Some(_), _) => Some(state.join("logs")),
            (None, None, System::MacOs) => Some(base.home.join("Library/Logs").join(NAME)),
            (None, None, System::Xdg) => None,
        };
        let socket = match &moved.socket {
            Some(path) => base.expand(path),
            None => socket_for(base, &state),
        };
        Self {
            config: base.config_file(moved.config.as_deref()),
            database: state.join("state.db"),
            lock: state.join("agent.lock"),
            socket,
            backups,
            logs,
            state,
        }
    }

    /// Makes the state folder, and the socket's folder where that is another one, closed to everybody else.
    pub fn create_state(&self) -> Result<(), PathsError> {
        private_folder(
            &self.state,
            &["state.db", "agent.lock", "config.toml", "logs"],
        )?;
        match self.socket.parent() {
            Some(parent) if parent != self.state => socket_folder(parent),
            Some(_) | None => Ok(()),
        }
    }
}

/// The socket of a state folder: inside it where the address has room for the path, else in a short folder, under a name
/// that follows from the state folder, so that a client finds it without asking.
fn socket_for(base: &Base, state: &Path) -> PathBuf {
    let inside = state.join("agent.sock");
    if inside.as_os_str().len() <= SOCKET_PATH_MAX {
        return inside;
    }
    let name = format!("{:016x}.sock", fnv1a(state.as_os_str().as_encoded_bytes()));
    let own = PathBuf::from(format!("/tmp/{NAME}-{}", base.uid)).join(&name);
    match &base.runtime {
        Some(runtime) => {
            let short = runtime.join(NAME).join(&name);
            if short.as_os_str().len() <= SOCKET_PATH_MAX {
                short
            } else {
                own
            }
        }
        None => own,
    }
}

/// FNV-1a, 64 bits: a name that stays the same across releases, which the standard hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Makes `path` (and what is missing above it) with mode 0700, or checks that an existing one is fit for secrets.
///
/// An existing folder that others can read is closed only if it is empty or has one of `ours` in it: `--state-dir ~`
/// must not change the home folder's mode behind its owner's back.
fn private_folder(path: &Path, ours: &[&str]) -> Result<(), PathsError> {
    let io = |source| PathsError::Io {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                PathsError::NotAFolder {
                    path: path.to_owned(),
                }
            } else {
                io(source)
            }
        })?;
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_dir() {
        return Err(PathsError::NotAFolder {
            path: path.to_owned(),
        });
    }
    let us = rustix::process::geteuid().as_raw();
    if meta.uid() != us {
        return Err(PathsError::NotOurs {
            path: path.to_owned(),
            owner: meta.uid(),
        });
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = std::fs::read_dir(path).map_err(io)?.next().is_none();
    if empty || ours.iter().any(|name| path.join(name).exists()) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(io)
    } else {
        Err(PathsError::TooOpen {
            path: path.to_owned(),
            mode,
        })
    }
}

/// The folder of a socket outside the state folder. One that the person named is taken as it is (the socket itself is
/// 0600); a missing one is made 0700. A link is refused when it is our own in the shared temporary folder, where
/// somebody else could have put it first.
fn socket_folder(path: &Path) -> Result<(), PathsError> {
    let io = |source| PathsError::Io {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io)?;
    if !path.starts_with("/tmp") {
        return Ok(());
    }
    let meta = std::fs::symlink_metadata(path).map_err(io)?;
    if !meta.is_dir() {
        return Err(PathsError::NotAFolder {
            path: path.to_owned(),
        });
    }
    let us = rustix::process::geteuid().as_raw();
    if meta.uid() != us {
        return Err(PathsError::NotOurs {
            path: path.to_owned(),
            owner: meta.uid(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
