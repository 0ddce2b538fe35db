//! The command line as clap sees it; completions and the manual are made from it.

use backupwatch_core::{
    Protection,
    ladder::Mark,
    steps::{self, StepId},
};
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;

/// Watch that your iPhone is really backed up, and make a local backup when iCloud stops.
#[derive(Debug, Parser)]
#[command(name = "backupwatch", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  all protected
    1  internal error, or usbmuxd could not be reached
    2  usage or configuration
    3  a device is at risk, or cannot be judged
    4  a device is unprotected
    5  the agent is not running or its state is too old
    6  no device known
    7  a backup did not finish
    8  verification failed
  130  interrupted

DEVICE is a UDID, a unique beginning of one, a device's name or its nickname. With one device known it may be left out.";

const DOCTOR_CODES: &str = "\
Exit codes: 0 when nothing fails, else by the first check that does:
  1  usbmuxd, or the USB bus
  2  the configuration, the state, the clock, or notices
  3  a device
  5  the agent, or its service
  7  the place for backups";

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Read this configuration file instead of the usual one
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Keep state, logs and (unless placed elsewhere) backups in this folder
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// Write more to the log: -v for debug, -vv for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is known of every device (the default)
    Status(Status),
    /// Look at every attached device now, and show what is known
    Check {
        /// As JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Name a device, mute it, or set what holds for it alone
    Device {
        #[command(subcommand)]
        command: DeviceCommand,
    },
    /// Make a local backup now; the phone will ask for its passcode
    Backup(Backup),
    /// Read a local backup again, and say whether it is as it arrived
    Verify(Verify),
    /// Show the backups of a device, and what deleting each would free
    Versions(Versions),
    /// Copy a backup to Finder's folder or another one, from where others can restore it
    Export(Export),
    /// Show why iCloud Backup fails, and what to do about it step by step
    Fix(Fix),
    /// Say why iCloud Backup fails, and how that is known
    Diagnose(Diagnose),
    /// Say what is wrong with this set-up, and the one thing that cures each
    #[command(after_help = DOCTOR_CODES)]
    Doctor {
        /// Have the agent show a test notice on the desktop
        #[arg(long)]
        notify: bool,
        /// As JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Ask a device to trust this computer
    Pair {
        /// Which device
        device: Option<String>,
        /// The result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Open the page in your browser: the devices, their last 90 days, and the steps
    Open {
        /// At this device
        device: Option<String>,
        /// Only print the link; it works once, and within two minutes
        #[arg(long)]
        print: bool,
    },
    /// Show the backups made and the notices posted, newest first
    History {
        /// Only this device
        device: Option<String>,
        /// How many entries at the most
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// As JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Watch in the foreground; this is what launchd and systemd start
    Agent(Agent),
    /// Have the agent started now and at every login
    Install {
        /// What was done as JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Have the agent started no more, and say what is left; never removes backups
    Uninstall(Uninstall),
    /// End the installed agent and start it again
    Restart {
        /// What was done as JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Show where the configuration is, what holds, and whether it is right
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Serve simulated phones that any usbmuxd client can talk to
    Simulate(Simulate),
    /// The whole story on a simulated iPhone, in a temporary home
    Demo {
        /// End by itself when the story is told
        #[arg(long)]
        once: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff), or write one page a command into a folder
    Man {
        /// Write the pages here
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Default, Args)]
pub struct Status {
    /// Only devices of this standing; several are separated by commas
    #[arg(long, value_name = "STANDING", value_enum, value_delimiter = ',')]
    pub only: Vec<Standing>,
    /// As JSON, schema 1
    #[arg(long)]
    pub json: bool,
    /// Go on until it is stopped, with a line of JSON for each change
    #[arg(long, requires = "json", conflicts_with = "only")]
    pub watch: bool,
}

/// The one word for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Standing {
    Unprotected,
    AtRisk,
    Unknown,
    Protected,
}

impl From<Standing> for Protection {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Unprotected => Self::Unprotected,
            Standing::AtRisk => Self::AtRisk,
            Standing::Unknown => Self::Unknown,
            Standing::Protected => Self::Protected,
        }
    }
}

#[derive(Debug, Args)]
pub struct Backup {
    /// Which device
    pub device: Option<String>,
    /// Keep the backup below this folder instead of the configured one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// Ask the phone for everything, not only for what changed
    #[arg(long)]
    pub full: bool,
    /// Progress and the result as JSON, a line each
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Which device
    pub device: Option<String>,
    /// Look below this folder instead of the configured one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// Which of its backups, by name or a beginning of it, as in 2026-10-01; the current one if left out
    #[arg(long, value_name = "T")]
    pub version: Option<String>,
    /// How deep to look
    #[arg(long, value_enum, default_value_t = Depth::L4, ignore_case = true)]
    pub level: Depth,
    /// Read the password of an encrypted backup from standard input: one line
    #[arg(long)]
    pub password_stdin: bool,
    /// Read only about this part of the files again, by chance
    #[arg(long, value_name = "PERCENT")]
    pub sample: Option<Percent>,
    /// The result as JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Diagnose {
    /// Which device
    pub device: Option<String>,
    /// Listen to the phone while you tap Back Up Now on it
    #[arg(long, conflicts_with = "password_stdin")]
    pub live: bool,
    /// Read the password of an encrypted backup from standard input: one line
    #[arg(long)]
    pub password_stdin: bool,
    /// As JSON, schema 1; with --live a line for each thing that is heard
    #[arg(long)]
    pub json: bool,
}

/// How deep a look goes; each level includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    /// The backup is finished, of this phone, and the files that say so are in order
    #[value(name = "L1")]
    L1,
    /// Every file is there with the right size, and nothing else
    #[value(name = "L2")]
    L2,
    /// The password opens it, and the list of its files is sound
    #[value(name = "L3")]
    L3,
    /// Every file is read again and is as it arrived
    #[value(name = "L4")]
    L4,
}

impl From<Depth> for backupwatch_core::Level {
    fn from(depth: Depth) -> Self {
        match depth {
            Depth::L1 => Self::L1,
            Depth::L2 => Self::L2,
            Depth::L3 => Self::L3,
            Depth::L4 => Self::L4,
        }
    }
}

/// A part of a whole, `5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl std::str::FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        match number.parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self(percent)),
            Ok(_) | Err(_) => Err("must be more than 0 and at most 100, as in 5%"),
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Versions {
    #[command(subcommand)]
    pub command: Option<VersionsCommand>,
    #[command(flatten)]
    pub list: ListVersions,
}

impl Versions {
    pub fn json(&self) -> bool {
        match &self.command {
            Some(VersionsCommand::Prune(prune)) => prune.json,
            None => self.list.json,
        }
    }
}

#[derive(Debug, Args)]
pub struct ListVersions {
    /// Which device
    pub device: Option<String>,
    /// Look below this folder instead of the configured one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// As JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum VersionsCommand {
    /// Delete the older backups that [retention] of the configuration does not keep, and say why
    Prune(Prune),
}

#[derive(Debug, Args)]
pub struct Prune {
    /// Which device
    pub device: Option<String>,
    /// Look below this folder instead of the configured one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The plan and what came of it as JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Which device
    pub device: Option<String>,
    /// Which of its backups, by name or a beginning of it, as in 2026-10-01; the current one if left out
    #[arg(long, value_name = "T")]
    pub version: Option<String>,
    /// The folder, in which the backup becomes a folder with the device's UDID; or `finder`, for Finder's own on a Mac
    #[arg(long, value_name = "finder|DIR", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
    /// Look below this folder instead of the configured one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// The result as JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Write it into the configuration, whose other lines and comments stay as they are
    Set(SetDevice),
    /// Take it out of the configuration, so that what holds for all holds for it again
    Unset(UnsetDevice),
}

impl DeviceCommand {
    pub fn json(&self) -> bool {
        match self {
            Self::Set(wanted) => wanted.json,
            Self::Unset(wanted) => wanted.json,
        }
    }
}

#[derive(Debug, Args)]
pub struct SetDevice {
    /// Which device
    pub device: String,
    /// What you call it
    #[arg(long)]
    pub name: Option<String>,
    /// No notices about it from now on; it is watched and shown as before
    #[arg(long)]
    pub mute: bool,
    /// Back it up to this folder or disk from now on; what is backed up stays where it is
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// A key of the configuration that is to hold for it, as in icloud.stale=6 or "backup.mode=off"
    #[arg(value_name = "KEY=VALUE", value_parser = key_and_value, required_unless_present_any = ["name", "mute", "root"])]
    pub keys: Vec<(String, String)>,
    /// What holds for it alone then, as JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct UnsetDevice {
    /// Which device
    pub device: String,
    /// Forget what you call it
    #[arg(long)]
    pub name: bool,
    /// Notices about it again
    #[arg(long)]
    pub mute: bool,
    /// Back it up to where all others are backed up to; what is backed up stays where it is
    #[arg(long)]
    pub root: bool,
    /// A key of the configuration, as in icloud.stale
    #[arg(value_name = "KEY", required_unless_present_any = ["name", "mute", "root"])]
    pub keys: Vec<String>,
    /// What holds for it alone then, as JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

fn key_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        Some(_) | None => Err("must be a key and its value, as in icloud.stale=6"),
    }
}

#[derive(Debug, Args)]
pub struct Fix {
    /// Which device
    pub device: Option<String>,
    #[command(flatten)]
    pub said: MaybeSaid,
    /// As JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

/// At most one of them.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub struct MaybeSaid {
    /// Say that you did this step, S0 to S9
    #[arg(long, value_name = "STEP", value_parser = step)]
    did: Option<StepId>,
    /// Say that you did it and tapped Back Up Now, and that it failed again
    #[arg(long, value_name = "STEP", value_parser = step)]
    did_not_help: Option<StepId>,
    /// Say that this step is not for you
    #[arg(long, value_name = "STEP", value_parser = step)]
    not_for_me: Option<StepId>,
    /// Take back what you said of this step
    #[arg(long, value_name = "STEP", value_parser = step)]
    undo: Option<StepId>,
}

/// What a person says of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub step: StepId,
    pub mark: Mark,
}

impl MaybeSaid {
    pub fn one(self) -> Option<Said> {
        let said = |step: Option<StepId>, mark| step.map(|step| Said { step, mark });
        said(self.did, Mark::Did)
            .or(said(self.did_not_help, Mark::DidNotHelp))
            .or(said(self.not_for_me, Mark::NotForMe))
            .or(said(self.undo, Mark::Undo))
    }
}

fn step(name: &str) -> Result<StepId, String> {
    StepId::parse(name).ok_or_else(|| {
        let all: Vec<&str> = steps::all().iter().map(|step| step.id.code()).collect();
        format!("there is no such step; there are {}", all.join(", "))
    })
}

#[derive(Debug, Clone, Copy, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Agent {
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// Write the log to this terminal even where a log folder is configured
    #[arg(long)]
    pub log_to_stderr: bool,
}

impl Agent {
    pub fn json(self) -> bool {
        match self.command {
            Some(AgentCommand::Status { json }) => json,
            None => false,
        }
    }
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum AgentCommand {
    /// Say whether the agent runs, and whether it is started at login
    Status {
        /// As JSON, schema 1
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub struct Uninstall {
    /// Remove state, log and configuration too, but no backup
    #[arg(long)]
    pub purge: bool,
    /// What was done and what is left as JSON, schema 1
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Print the path of the configuration file
    Path,
    /// Say whether the file is right, and where it is not
    Check,
    /// Print what holds, defaults filled in
    Show,
    /// Have the running agent read the file again; what can only be chosen at its start waits for `restart`
    Reload,
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// Persona files (TOML), one phone each; without any, the phone of the demonstration
    #[arg(value_name = "PERSONA", value_hint = ValueHint::FilePath)]
    pub personas: Vec<PathBuf>,
    /// Where to listen: a path for a Unix socket, or host:port for TCP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:27015")]
    pub listen: String,
}
