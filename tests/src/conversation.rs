//! Our command on a terminal of its own, by `script` of util-linux, and a person at the keyboard.

use crate::{
    peers,
    table::{PATIENCE, Table},
};
use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

/// A command that asks.
#[derive(Debug)]
pub struct Conversation {
    child: Child,
    keyboard: Option<ChildStdin>,
    screen: Receiver<Vec<u8>>,
    said: String,
    /// What is before this was heard already.
    heard: usize,
}

impl Conversation {
    /// Starts it; `None` when there is no `script` here and the skip was recorded.
    #[must_use]
    pub fn start(table: &Table, arguments: &[&str]) -> Option<Self> {
        let script = peers::find("script")?;
        let ours = table.ours(arguments);
        let words: Vec<String> = std::iter::once(ours.get_program())
            .chain(ours.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut command = Command::new(script);
        command
            .args(["--quiet", "--return", "--command"])
            .arg(format!("stty cols 80 rows 40; exec {}", words.join(" ")))
            .arg("/dev/null")
            .env_clear();
        for (name, value) in ours.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let mut child = command
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", "1")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script starts");
        let mut stdout = child.stdout.take().expect("its output is piped");
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                // Nobody looks any more.
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Self {
            keyboard: child.stdin.take(),
            child,
            screen,
            said: String::new(),
            heard: 0,
        })
    }

    /// Waits until these words stand on the screen, after those that were heard before.
    #[track_caller]
    pub fn hear(&mut self, words: &str) {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.said[self.heard..].find(words) {
                self.heard += at + words.len();
                return;
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("there is no “{words}” in:\n{}", &self.said[self.heard..]),
            }
        }
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        let keyboard = self.keyboard.as_mut().expect("it is there");
        keyboard.write_all(keys.as_bytes()).expect("it is there");
        keyboard.flush().expect("it is there");
    }

    /// Waits for its end: how it ended, and all that it said.
    #[must_use]
    pub fn ended(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                break status;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.said
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        for bytes in self.screen.iter() {
            self.said.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status.code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
