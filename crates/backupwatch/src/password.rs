//! The password of an encrypted backup: one line of standard input, which is not shown where a person types it. It is never
//! stored, and wiped when it is let go.

use crate::{failure::Failure, terminal::Terminal};
use backupwatch_agent::exit::ExitCode;
use backupwatch_backup::verify::Password;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::io::{self, IsTerminal as _, Read as _};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// No password is longer, and nothing longer is read for one.
const LONGEST: u64 = 4 << 10;

/// What came of asking.
#[derive(Debug)]
pub enum Asked {
    Password(Password),
    /// An empty line.
    Nothing,
    /// The person wants to stop.
    Interrupted,
}

/// Reads the line. A person at a terminal is asked for it, and sees nothing of what they type.
pub async fn ask(terminal: Terminal, prompt: &str) -> Result<Asked, Failure> {
    // Whoever listens for them is not ended by them, and can put the terminal in order first.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let hidden = Hidden::begin()?;
    if hidden.is_some() {
        terminal.prompt(prompt);
    }
    let reading = tokio::task::spawn_blocking(|| read(io::stdin().lock()));
    // A thread that waits for a line cannot be called back. It ends with the process, which is about to.
    tokio::select! {
        line = reading => line.map_err(|error| Failure::from_error(ExitCode::Internal, "internal", &error))?,
        _ = interrupt.recv() => Ok(Asked::Interrupted),
        _ = terminate.recv() => Ok(Asked::Interrupted),
        _ = hangup.recv() => Ok(Asked::Interrupted),
    }
}

/// As [`ask`], for a password that must be there.
pub async fn demand(terminal: Terminal) -> Result<Option<Password>, Failure> {
    match ask(terminal, "Password of the backup: ").await? {
        Asked::Password(password) => Ok(Some(password)),
        Asked::Nothing => Err(wrong("there is no password on standard input")),
        Asked::Interrupted => Ok(None),
    }
}

/// One line, without its end.
fn read(from: impl io::Read) -> Result<Asked, Failure> {
    let mut line = Zeroizing::new(Vec::new());
    let mut from = io::BufReader::new(from).take(LONGEST + 1);
    io::BufRead::read_until(&mut from, b'\n', &mut line)?;
    if line.len() as u64 > LONGEST {
        return Err(wrong(
            "the first line on standard input is too long for a password",
        ));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Ok(Asked::Nothing),
        Ok(text) => Ok(Asked::Password(Password::new(text.to_owned()))),
        Err(_) => Err(wrong("the password on standard input is not UTF-8 text")),
    }
}

fn wrong(message: &str) -> Failure {
    Failure::new(ExitCode::Usage, "password", message)
}

/// As long as it lives, the terminal does not show what is typed. It shows the end of the line, so that what follows begins on
/// a new one.
struct Hidden(Termios);

impl Hidden {
    /// None where standard input is no terminal.
    fn begin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(&stdin)?;
        let mut hiding = before.clone();
        hiding.local_modes.remove(LocalModes::ECHO);
        hiding.local_modes.insert(LocalModes::ECHONL);
        termios::tcsetattr(&stdin, OptionalActions::Now, &hiding)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs no order.
        let _gone = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        let long = "x".repeat(5_000);
        let table = [
            ("secret\n", Ok(true)),
            ("secret\r\nand more\n", Ok(true)),
            ("secret", Ok(true)),
            (" spaces belong to it \n", Ok(true)),
            ("", Ok(false)),
            ("\n", Ok(false)),
            (long.as_str(), Err("too long")),
        ];
        for (text, expected) in table {
            match (read(text.as_bytes()), expected) {
                (Ok(asked), Ok(is_one)) => {
                    assert_eq!(matches!(asked, Asked::Password(_)), is_one, "{text:?}");
                }
                (Err(failure), Err(words)) => {
                    assert!(failure.message.contains(words), "{}", failure.message);
                    assert!(!failure.message.contains("xxx"), "it is not repeated");
                }
                (read, expected) => panic!("{text:?}: {read:?} instead of {expected:?}"),
            }
        }
        assert!(read(&b"\xff\xfe\n"[..]).is_err());
    }
}
