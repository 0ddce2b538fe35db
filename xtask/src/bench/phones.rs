//! Not one phone but many: how long until the agent has judged all of them, and what they cost it.
//!
//! The phones are one process (`crates/sim/examples/bench_phones.rs`), the agent is the built program with nothing but its own
//! way to them. It is asked for its status, as a face would, until every phone has a verdict; what that costs is in the numbers.

use super::{
    Bench,
    measure::{cpu_of, field_of},
    report::{in_mebibytes, in_seconds, table},
};
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

pub(super) const TITLE: &str = "phones: so many at once on one agent";

/// How many phones are plugged in at the same moment.
const COUNTS: &[u32] = &[1, 10, 100, 500];
/// What is promised of the largest number: seconds to all verdicts, and memory for each phone.
const SECONDS: f64 = 5.0;
const EACH: f64 = 64.0 * 1024.0;

/// Longer than a slow machine takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// By then it has given back what was only for the visits: the threads of disk and DNS end after ten seconds.
const REST: Duration = Duration::from_secs(12);
/// How long it is watched when all is quiet.
const QUIET: Duration = Duration::from_secs(10);
/// A tenth of the phones goes away and comes back, this often and this far apart.
const FLAPS: (u32, u64) = (100, 50);

/// As a person has it, but that no backup begins and nothing is shown.
const CONFIG: &str =
    "notify.desktop = false\nmenu_bar = false\nbackup.mode = \"off\"\npage.enabled = false\n";

struct Row {
    count: u32,
    /// Until every phone had a verdict, from the moment that they were plugged in.
    settled: f64,
    cpu: f64,
    /// Bytes.
    resident: u64,
    /// Processor time of a quiet spell, and how often a thread was woken in it.
    quiet: (f64, u64),
    /// After flapping: until all had verdicts again, and the memory then.
    again: f64,
    afterwards: u64,
}

/// The table and what follows from it.
pub(super) fn text(bench: &Bench) -> String {
    let mut rows = Vec::new();
    for count in COUNTS {
        match measure(bench, *count) {
            Ok(row) => rows.push(row),
            Err(why) => return format!("LEFT OUT: with {count} phones: {why:#}.\n"),
        }
    }
    let mut text = table(&cells(&rows));
    for line in findings(&rows) {
        text.push_str(&format!("\n- {line}"));
    }
    text.push('\n');
    text
}

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let head = [
        "phones",
        "all verdicts",
        "CPU",
        "memory",
        "quiet for 10 s",
        "after flapping",
        "memory then",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        cells.push(vec![
            row.count.to_string(),
            in_seconds(row.settled),
            in_seconds(row.cpu),
            in_mebibytes(row.resident),
            format!("{} wake-ups, {}", row.quiet.1, in_seconds(row.quiet.0)),
            in_seconds(row.again),
            in_mebibytes(row.afterwards),
        ]);
    }
    cells
}

fn findings(rows: &[Row]) -> Vec<String> {
    let (Some(one), Some(most)) = (rows.first(), rows.last()) else {
        return Vec::new();
    };
    let word = |kept: bool| if kept { "PASS" } else { "OVER" };
    let more = f64::from(most.count - one.count).max(1.0);
    let each = most.resident.saturating_sub(one.resident) as f64 / more;
    let count = most.count;
    vec![
        format!(
            "all verdicts of {count} phones: {} (budget: less than {SECONDS} s, {})",
            in_seconds(most.settled),
            word(most.settled < SECONDS)
        ),
        format!(
            "memory for each phone more: {:.1} KiB (budget: less than {} KiB, {})",
            each / 1024.0,
            EACH / 1024.0,
            word(each < EACH)
        ),
        format!(
            "CPU for each phone more: {:.1} ms",
            1000.0 * (most.cpu - one.cpu) / more
        ),
    ]
}

fn measure(bench: &Bench, count: u32) -> Result<Row> {
    let home = bench.scratch.join(format!("phones-{count}"));
    fs::create_dir_all(&home)?;
    let mut phones = Phones::start(bench, &home, count)?;
    let agent = Agent::start(bench, &home)?;
    let before = agent.cpu()?;
    phones.order("plug")?;
    let settled = agent.until_judged(count)?;
    let cpu = agent.cpu()? - before;
    sleep(REST);
    let resident = agent.resident()?;
    let (cpu_before, wakes_before) = (agent.cpu()?, agent.wakes()?);
    sleep(QUIET);
    let woken = agent.wakes()?.into_iter().map(|(thread, after)| {
        let before = wakes_before.get(&thread).copied().unwrap_or(0);
        after.saturating_sub(before)
    });
    let quiet = (agent.cpu()? - cpu_before, woken.sum());
    phones.order(&format!("flap {} {}", FLAPS.0, FLAPS.1))?;
    let again = agent.until_judged(count)?;
    sleep(REST);
    Ok(Row {
        count,
        settled,
        cpu,
        resident,
        quiet,
        again,
        afterwards: agent.resident()?,
    })
}

struct Phones {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Phones {
    fn start(bench: &Bench, home: &Path, count: u32) -> Result<Self> {
        let mut process = Command::new(bench.release.join("examples/bench_phones"))
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

    fn order(&mut self, order: &str) -> Result<()> {
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

struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(bench: &Bench, home: &Path) -> Result<Self> {
        let (config, state) = (home.join("config.toml"), home.join("state"));
        fs::write(&config, CONFIG)?;
        let process = Command::new(bench.release.join("backupwatch"))
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

    /// How long it took, up to the pause between two looks.
    fn until_judged(&self, count: u32) -> Result<f64> {
        self.until(|status| {
            let devices = status["devices"]
                .as_array()
                .context("a status without devices")?;
            let judged = devices.iter().filter(|device| {
                device["protection"] == "unprotected"
                    && device["links"] == serde_json::json!(["usb"])
            });
            Ok(judged.count() == count as usize)
        })
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
                bail!(
                    "the agent has not judged all of them within {} s",
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

    fn cpu(&self) -> Result<f64> {
        cpu_of(&self.proc("stat")?).context("no processor time")
    }

    fn resident(&self) -> Result<u64> {
        field_of(&self.proc("status")?, "VmRSS:")
            .map(|kib| kib * 1024)
            .context("no memory")
    }

    /// How often each of its threads went to sleep of its own will, which it must before it can be woken.
    fn wakes(&self) -> Result<BTreeMap<OsString, u64>> {
        let mut wakes = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let thread = thread?;
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let count = field_of(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            wakes.insert(thread.file_name(), count);
        }
        Ok(wakes)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
