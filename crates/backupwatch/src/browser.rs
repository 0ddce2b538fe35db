//! Opens a link in the person's browser, by the desktop's own program.
//!
//! A link to the page lets in whoever has it, once and for two minutes. On macOS it is told to the opener on its standard input, so
//! that it is in no list of processes. On Linux there is only the argument; there the page looks whose connection it is.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an opener may take to say that it cannot. Some stay as long as the browser does.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until the opener has done its work, or for a moment.
pub fn open(link: &str) -> io::Result<()> {
    let mut child = if cfg!(target_os = "macos") {
        let mut child = quiet(Command::new("osascript").arg("-"), Stdio::piped())?;
        if let Some(mut script) = child.stdin.take() {
            // A link of ours has no quotes in it.
            writeln!(script, "open location \"{link}\"")?;
        }
        child
    } else {
        quiet(Command::new("xdg-open").arg(link), Stdio::null())?
    };
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                return Err(io::Error::other(format!("the opener ended with {status}")));
            }
            None => std::thread::sleep(LOOK),
        }
    }
    // It stays with the browser; somebody has to take its last word.
    std::thread::spawn(move || child.wait());
    Ok(())
}

fn quiet(command: &mut Command, stdin: Stdio) -> io::Result<std::process::Child> {
    command
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
