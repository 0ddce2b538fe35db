//! The one way to a manager of services: a program with its arguments, and what it said. What the words mean is not known here.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// More than `launchctl print` ever says of one service.
const LONGEST: u64 = 256 << 10;
/// Between two looks at a program that has not ended.
const LOOK: Duration = Duration::from_millis(10);
/// For what a program that has ended said last. Somebody that it left behind may hold the pipe open for longer.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a program ended, and what it said until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// The last line of what it complained about, for a sentence to a person.
    pub fn complaint(&self) -> String {
        let last = |text: &str| {
            let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
            line.map(str::to_owned)
        };
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        match last(&self.err).or_else(|| last(&self.out)) {
            // What programs say is not ours, and one line of it is enough.
            Some(line) => {
                let line = line.chars().filter(|letter| !letter.is_control()).take(300);
                let line: String = line.collect();
                format!("{} ({code})", line.trim_end_matches('.'))
            }
            None => code,
        }
    }
}

/// Runs programs. The other implementation is the recorded fake of the tests.
pub trait Port {
    /// Waits for the end of a program. [`io::ErrorKind::NotFound`] where there is none of this name,
    /// [`io::ErrorKind::TimedOut`] where it was ended because it took longer than `limit`.
    fn run(&self, program: &str, arguments: &[&str], limit: Duration) -> io::Result<Said>;

    /// Waits.
    fn pause(&self, time: Duration);
}

/// The programs of this computer.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Port for System {
    fn run(&self, program: &str, arguments: &[&str], limit: Duration) -> io::Result<Said> {
        let mut child = Command::new(program)
            .args(arguments)
            // What is read here is read by a program.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begin.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("it did not end within {} s", limit.as_secs()),
                ));
            }
            std::thread::sleep(LOOK);
        };
        let words =
            |from: mpsc::Receiver<String>| from.recv_timeout(LAST_WORDS).unwrap_or_default();
        Ok(Said {
            code: status.code(),
            out: words(out),
            err: words(err),
        })
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Reads beside the program, which would wait for a reader of a full pipe.
fn reader(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What came before a fault is what there is.
            let _ = stream.take(LONGEST).read_to_end(&mut bytes);
        }
        // Nobody waits any longer: then nobody wants it.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> io::Result<Said> {
        System.run("sh", &["-c", script], limit)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn what_a_program_says_is_heard_and_bounded() {
        let said = shell("echo data; echo no such thing >&2; exit 113", LONG).unwrap();
        assert_eq!(
            said,
            Said {
                code: Some(113),
                out: "data\n".to_owned(),
                err: "no such thing\n".to_owned()
            }
        );
        assert_eq!(said.complaint(), "no such thing (exit code 113)");
        let killed = shell("kill -9 $$", LONG).unwrap();
        assert_eq!(
            (killed.code, killed.complaint()),
            (None, "a signal".to_owned())
        );
        let much = shell("head -c 3000000 /dev/zero | tr '\\0' x", LONG).unwrap();
        assert_eq!(much.out.len() as u64, LONGEST);
    }

    #[test]
    fn a_program_that_is_missing_or_hangs_is_an_error() {
        let missing = System.run("backupwatch-no-such-program", &[], LONG);
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        let begin = Instant::now();
        let late = shell("sleep 60", Duration::from_millis(100));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() < LONG, "it is not waited for");
        // The child that it leaves behind keeps the pipes open.
        let left = shell("sleep 30 & echo gone", LONG).unwrap();
        assert!(left.ok());
        assert!(begin.elapsed() < LONG, "nor is what it leaves behind");
    }
}
