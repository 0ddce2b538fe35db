//! The simulated phone of a case, as a process of its own: `crates/sim/examples/bench_phone.rs`.

use super::{
    Bench,
    cases::{Case, Link},
};
use anyhow::{Context as _, Result};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

pub(super) struct Phone {
    process: Child,
    /// It ends when this is closed, so that it outlives us in no case.
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(super) socket: PathBuf,
    pub(super) udid: String,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Phone {
    pub(super) fn of(bench: &Bench, case: &Case) -> Result<Self> {
        let persona = crate::root().join(format!("fixtures/phones/bench/{}.toml", case.phone));
        let socket = bench.scratch.join("usbmuxd");
        let mut process = Command::new(bench.release.join("examples/bench_phone"))
            .arg(&socket)
            .arg(persona)
            .arg(match case.link {
                Link::Tls => "tls",
                Link::Plain => "plain",
            })
            .arg(bench.divisor.to_string())
            .env("TMPDIR", &bench.scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start the simulated phone")?;
        let orders = process.stdin.take().context("the phone has no ears")?;
        let answers = process.stdout.take().context("the phone has no voice")?;
        let mut phone = Self {
            process,
            orders,
            answers: BufReader::new(answers),
            socket,
            udid: String::new(),
            files: 0,
            bytes: 0,
        };
        let ready = phone.answer()?;
        let mut words = ready.split_whitespace().skip(1);
        phone.udid = words.next().context("the phone did not start")?.to_owned();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        phone.files = number().context("a phone without files")?;
        phone.bytes = number().context("a phone without bytes")?;
        Ok(phone)
    }

    /// One percent of the files get new content.
    pub(super) fn mutate(&mut self) -> Result<()> {
        self.order("mutate 1").map(drop)
    }

    /// What the phone says of the backup that just ended, such as `Full 50000`; an error when there was none.
    pub(super) fn finished(&mut self) -> Result<String> {
        let said = self.order("finished")?;
        let finished = said.strip_prefix("finished ").map(str::to_owned);
        finished.context("the phone knows of no finished backup")
    }

    fn order(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}").context("the phone is gone")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("the phone is gone")?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // It may be gone already. All that it has on the disk is in our scratch folder.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
