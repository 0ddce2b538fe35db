//! Many simulated phones in one process (`crates/sim/examples/bench_phones.rs`), and the built agent that looks at them.

use crate::bench::measure::{cpu_of, field_of};
use anyhow::{Context as _, Result, bail};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Longer than a slow machine takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// As a person has it, but that no backup begins and nothing is shown.
const CONFIG: &str =
    "notify.desktop = false\nmenu_bar = false\nbackup.mode = \"off\"\npage.enabled = false\n";

pub(crate) struct Phones {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Phones {
    pub(crate) fn start(release: &Path, home: &Path, count: u32) -> Result<Self> {
        let mut process = Command::new(release.join("examples/bench_phones"))
            .arg(home.join("usbmuxd"))
            .arg(crate::root().join("fixtures/phones/stale-58-days.toml"))
            .arg(count.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the phones could not be started")?;
        let mut phones = Self {
            orders: process.stdin.take().context("the phones have no ears")?,
            answers: BufReader::new(process.stdout.take().context("the phones have no voice")?),
            process,
        };
        phones.answer("ready")?;
        Ok(phones)
    }

    pub(crate) fn order(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders, "{order}").context("the phones are gone")?;
        self.answer("done")
    }

    fn answer(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.trim_end() != wanted {
            bail!("the phones are gone");
        }
        Ok(())
    }
}

impl Drop for Phones {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the agent has taken of the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

pub(crate) struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    pub(crate) fn start(release: &Path, home: &Path) -> Result<Self> {
        let (config, state) = (home.join("config.toml"), home.join("state"));
        fs::write(&config, CONFIG)?;
        let process = Command::new(release.join("backupwatch"))
            .arg("--config")
            .arg(&config)
            .arg("--state-dir")
            .arg(&state)
            .arg("agent")
            .env("HOME", home)
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_DATA_HOME")
            .env(
                "USBMUXD_SOCKET_ADDRESS",
                format!("UNIX:{}", home.join("usbmuxd").display()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the agent could not be started")?;
        let agent = Self {
            process,
            socket: state.join("agent.sock"),
        };
        agent.until(|status| Ok(status["agent"]["usbmuxd"] == true))?;
        // It sees nobody, and then it is quiet.
        sleep(Duration::from_secs(1));
        Ok(agent)
    }

    /// How long it took until all of them were seen to be in danger, up to the pause between two looks.
    pub(crate) fn until_judged(&self, count: u32) -> Result<f64> {
        self.until_judged_as(count, 0)
    }

    /// The same where so many are in danger, and so many are well.
    pub(crate) fn until_judged_as(&self, in_danger: u32, well: u32) -> Result<f64> {
        self.until(|status| is_judged_as(status, in_danger, well))
    }

    /// Whether they are seen so at this moment.
    pub(crate) fn judges_as(&self, in_danger: u32, well: u32) -> Result<bool> {
        is_judged_as(&self.status()?, in_danger, well)
    }

    fn until(&self, is: impl Fn(&serde_json::Value) -> Result<bool>) -> Result<f64> {
        let begin = Instant::now();
        loop {
            if let Ok(status) = self.status()
                && is(&status)?
            {
                return Ok(begin.elapsed().as_secs_f64());
            }
            if begin.elapsed() > PATIENCE {
                let mut words = BTreeMap::new();
                for device in self.status()?["devices"].as_array().into_iter().flatten() {
                    *words.entry(device["protection"].to_string()).or_insert(0) += 1;
                }
                bail!(
                    "it is not as it should be after {} s: {words:?}",
                    PATIENCE.as_secs()
                );
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn status(&self) -> Result<serde_json::Value> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let body = answer.get(end.context("an answer without a body")? + 4..);
        Ok(serde_json::from_slice(body.unwrap_or_default())?)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.process.id());
        fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
    }

    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu_of(&self.proc("stat")?).context("no processor time")
    }

    pub(crate) fn resident(&self) -> Result<u64> {
        field_of(&self.proc("status")?, "VmRSS:")
            .map(|kib| kib * 1024)
            .context("no memory")
    }

    pub(crate) fn held(&self) -> Result<Held> {
        let so_many = |folder| -> Result<u64> {
            let path = format!("/proc/{}/{folder}", self.process.id());
            Ok(fs::read_dir(path)?.count().try_into()?)
        };
        Ok(Held {
            memory: self.resident()?,
            descriptors: so_many("fd")?,
            threads: so_many("task")?,
        })
    }

    /// How often each of its threads went to sleep of its own will, which it must before it can be woken.
    pub(crate) fn wakes(&self) -> Result<BTreeMap<OsString, u64>> {
        let mut wakes = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let thread = thread?;
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let count = field_of(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            wakes.insert(thread.file_name(), count);
        }
        Ok(wakes)
    }

    /// How often its threads were woken since then.
    pub(crate) fn woken_since(&self, before: &BTreeMap<OsString, u64>) -> Result<u64> {
        let woken = self.wakes()?.into_iter().map(|(thread, after)| {
            let before = before.get(&thread).copied().unwrap_or(0);
            after.saturating_sub(before)
        });
        Ok(woken.sum())
    }
}

fn is_judged_as(status: &serde_json::Value, in_danger: u32, well: u32) -> Result<bool> {
    let devices = status["devices"]
        .as_array()
        .context("a status without devices")?;
    let so_many = |word: &str| {
        let they = devices.iter().filter(|device| {
            device["protection"] == word && device["links"] == serde_json::json!(["usb"])
        });
        they.count()
    };
    Ok(so_many("unprotected") == in_danger as usize && so_many("protected") == well as usize)
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
