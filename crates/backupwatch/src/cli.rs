//! The command line as clap sees it; completions and the manual are made from it.

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
    Status {
        /// As JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Look at every attached device now, and show what is known
    Check {
        /// As JSON, schema 1
        #[arg(long)]
        json: bool,
    },
    /// Make a local backup now; the phone will ask for its passcode
    Backup(Backup),
    /// Ask a device to trust this computer
    Pair {
        /// Which device
        device: Option<String>,
        /// The result as JSON
        #[arg(long)]
        json: bool,
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
    Agent {
        /// Write the log to this terminal even where a log folder is configured
        #[arg(long)]
        log_to_stderr: bool,
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

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Print the path of the configuration file
    Path,
    /// Say whether the file is right, and where it is not
    Check,
    /// Print what holds, defaults filled in
    Show,
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
