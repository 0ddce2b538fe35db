//! What monitoring is told, read by those who read it: a Prometheus that fetches it from a running agent and judges it by our
//! rules, a node_exporter that finds it in a file, and OpenTelemetry's own definitions for what is pushed.

use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers,
    table::{PATIENCE, Table, persona},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const TOKEN: &str = "correct-horse-battery-staple";

/// A file that ships.
fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../contrib")
        .join(path)
}

/// A port that nobody else had a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// One answer: its status, and its body.
fn get(mut stream: impl Read + Write, host: &str, path: &str, more: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{more}\r\n");
    let mut answer = String::new();
    let read = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer));
    if read.is_err() {
        return (0, answer);
    }
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status.unwrap_or(0), body.unwrap_or_default())
}

/// From a port of this computer; status 0 while nobody listens there.
fn fetch(port: u16, path: &str, more: &str) -> (u16, String) {
    match TcpStream::connect(("127.0.0.1", port)) {
        Ok(stream) => {
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            get(stream, &format!("127.0.0.1:{port}"), path, more)
        }
        Err(_) => (0, String::new()),
    }
}

/// What the local API says.
fn at_the_socket(table: &Table, more: &str) -> (u16, String) {
    let stream = UnixStream::connect(table.state().join("agent.sock")).unwrap();
    get(stream, "localhost", "/metrics", more)
}

#[track_caller]
fn wait_for<T>(what: &str, mut is: impl FnMut() -> Option<T>, words: impl Fn() -> String) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = is() {
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "after {PATIENCE:?} it is still not so that {what}\n{}",
            words()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A table with this configuration beside the usual one.
fn table(phones: &[&str], more: &str) -> Table {
    let table = Table::of(phones.iter().map(|name| persona(name)).collect());
    configure(&table, &format!("{WATCH_ONLY}{more}"));
    table
}

fn critical(agent: &Agent<'_>, udid: &str) {
    agent.when_device(udid, "it is judged", |device| {
        device.icloud.state == "critical"
    });
}

fn file(table: &Table, name: &str, text: &str) -> PathBuf {
    let path = table.home().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A Prometheus with our rules, which are waited for as long as the rules say: `for` is left out, and a day is five seconds.
struct Prometheus {
    port: u16,
    words: PathBuf,
    // Killed at the end.
    _child: Killed,
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Prometheus {
    fn start(program: &Path, table: &Table, agent: u16) -> Self {
        let rules = fs::read_to_string(shipped("prometheus/backupwatch.rules.yml")).unwrap();
        let is_for = |line: &&str| line.trim_start().starts_with("for: ");
        assert!(rules.lines().filter(is_for).count() > 3, "the rules wait");
        let rules: Vec<&str> = rules.lines().filter(|line| !is_for(line)).collect();
        let rules = rules.join("\n");
        assert!(rules.contains("> 86400"));
        let rules = file(table, "rules.yml", &rules.replace("> 86400", "> 5"));
        let configuration = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [ {} ]\n\
             scrape_configs:\n- job_name: backupwatch\n  static_configs: [ {{ targets: [ '127.0.0.1:{agent}' ] }} ]\n",
            rules.display()
        );
        let configuration = file(table, "prometheus.yml", &configuration);
        let words = table.home().join("prometheus.err");
        let port = free_port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                table.home().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&words).unwrap())
            .spawn()
            .unwrap();
        Self {
            port,
            words,
            _child: Killed(child),
        }
    }

    fn words(&self) -> String {
        fs::read_to_string(&self.words).unwrap_or_default()
    }

    /// The labels and values that a query gives now; nothing while it does not answer.
    fn query(&self, query: &str) -> Option<Vec<(Value, String)>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, body) = fetch(self.port, &format!("/api/v1/query?query={encoded}"), "");
        assert!(status != 400, "{query}: {body}");
        let answer: Value = serde_json::from_str(&body).ok()?;
        let samples = answer["data"]["result"].as_array()?;
        let one = |sample: &Value| {
            let value = sample["value"][1].as_str().unwrap_or_default().to_owned();
            (sample["metric"].clone(), value)
        };
        Some(samples.iter().map(one).collect())
    }

    /// Waits until a query gives something.
    #[track_caller]
    fn some(&self, query: &str) -> Vec<(Value, String)> {
        let found = || self.query(query).filter(|samples| !samples.is_empty());
        wait_for(&format!("there is {query}"), found, || self.words())
    }

    /// Waits until a query gives nothing.
    #[track_caller]
    fn none(&self, query: &str) {
        let found = || self.query(query).filter(Vec::is_empty);
        wait_for(&format!("there is no {query}"), found, || self.words());
    }
}

/// Fetched over TCP, judged by the rules that ship, shown by the dashboard that ships; and when the agent is killed, that shows.
#[test]
fn an_alert_fires_for_a_stale_phone_and_clears_when_it_is_fresh() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let port = free_port();
    let configuration = format!("metrics.listen = \"127.0.0.1:{port}\"\nmetrics.names = true\n");
    let table = table(&["stale-58-days", "hostile-name"], &configuration);
    let phone = table.phone();
    let agent = Agent::start(&table);
    critical(&agent, phone.udid());
    let alias = agent.when_device(phone.udid(), "it has an alias", |device| {
        device.alias.is_some()
    });
    let alias = alias.alias.unwrap();
    let prometheus = Prometheus::start(&program, &table, port);

    let alert = |name: &str| {
        format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\",device=\"{alias}\"}}")
    };
    prometheus.some(&alert("BackupwatchICloudStale"));
    prometheus.some(&alert("BackupwatchUnprotected"));
    let age = prometheus.some(&format!(
        "(time() - backupwatch_icloud_last_backup_timestamp_seconds{{device=\"{alias}\"}}) / 86400"
    ));
    let days: f64 = age[0].1.parse().unwrap();
    assert!((57.0..60.0).contains(&days), "{days}");
    // The other phone's name came through as it is.
    let hostile = prometheus.some("backupwatch_protection{name=~\"<script>.*\"}");
    assert!(
        hostile
            .iter()
            .all(|(labels, _)| labels["name"] == "<script>alert(1)</script>\"'&"),
        "{hostile:?}"
    );
    assert_eq!(hostile.len(), 4);
    // What a counter is, Prometheus was told.
    let (_, metadata) = fetch(
        prometheus.port,
        "/api/v1/metadata?metric=backupwatch_agent_wakeups",
        "",
    );
    assert!(metadata.contains("\"type\":\"counter\""), "{metadata}");
    every_panel_finds_its_numbers(&prometheus);

    phone.set_cloud_date(jiff::Timestamp::now());
    phone.unplug();
    phone.plug();
    prometheus.none(&alert("BackupwatchICloudStale"));
    prometheus.none(&alert("BackupwatchUnprotected"));
    prometheus.some(&format!(
        "backupwatch_icloud_state{{device=\"{alias}\",state=\"fresh\"}} == 1"
    ));

    prometheus.none("ALERTS{alertname=\"BackupwatchSilent\",alertstate=\"firing\"}");
    agent.kill();
    prometheus.some("ALERTS{alertname=\"BackupwatchSilent\",alertstate=\"firing\"}");
    prometheus.none("backupwatch_protection{protection=\"protected\"}");
}

/// All queries of the dashboard are good ones, and those that are not about local backups have something to show here.
fn every_panel_finds_its_numbers(prometheus: &Prometheus) {
    let board = fs::read_to_string(shipped("grafana/backupwatch.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let mut asked = 0;
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let is_of_backups = ["local_", "backup_runs", "backup_last_duration"]
                .iter()
                .any(|of| query.contains(of));
            if is_of_backups {
                assert!(prometheus.query(query).is_some(), "{query}");
            } else {
                prometheus.some(query);
            }
            asked += 1;
        }
    }
    assert!(asked > 12, "{asked}");
}

#[test]
fn the_rules_do_what_they_say() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    for (verb, path) in [
        ("check", "prometheus/backupwatch.rules.yml"),
        ("test", "prometheus/backupwatch.rules.test.yml"),
    ] {
        let mut command = Command::new(&promtool);
        let output = peers::run(command.args([verb, "rules"]).arg(shipped(path)), PATIENCE);
        assert!(output.status.success(), "{}", peers::words(&output));
    }
    // Each has a test, and each stands in the page.
    let rules = fs::read_to_string(shipped("prometheus/backupwatch.rules.yml")).unwrap();
    let tests = fs::read_to_string(shipped("prometheus/backupwatch.rules.test.yml")).unwrap();
    let page = fs::read_to_string(shipped("../docs/metrics.md")).unwrap();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 9, "{alerts:?}");
    for alert in alerts {
        assert!(
            tests.contains(&format!("alertname: {alert}\n")),
            "{alert} has no test"
        );
        assert!(
            page.contains(&format!("| `{alert}` |")),
            "{alert} is not in the page"
        );
    }
}

/// node_exporter runs as another user, reads the folder when it likes, and does not know when an agent has died.
#[test]
fn node_exporter_finds_the_file_and_no_verdict_outlives_a_polite_end() {
    let Some(program) = peers::find("prometheus-node-exporter") else {
        return;
    };
    let table = table(
        &["stale-58-days"],
        "metrics.textfile = \"~/textfile/backupwatch.prom\"\n",
    );
    let folder = table.home().join("textfile");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("backupwatch.prom");
    let port = free_port();
    let _exporter = Killed(
        Command::new(program)
            .args(["--collector.disable-defaults", "--collector.textfile"])
            .arg(format!(
                "--collector.textfile.directory={}",
                folder.display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let told = || fetch(port, "/metrics", "").1;
    let is_critical = |text: &str| {
        text.lines()
            .any(|line| line.contains("state=\"critical\"} 1"))
    };
    let as_of = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("backupwatch_as_of_timestamp_seconds "));
        line.and_then(|value| value.parse::<f64>().ok())
    };

    let agent = Agent::start(&table);
    let seen = wait_for(
        "node_exporter tells of the phone",
        || Some(told()).filter(|text| is_critical(text)),
        told,
    );
    assert!(seen.contains("node_textfile_scrape_error 0"), "{seen}");
    assert!(
        seen.contains("# TYPE backupwatch_agent_wakeups_total counter"),
        "{seen}"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o644
    );
    let name = agent.status().devices[0].name.clone().unwrap();
    assert!(
        !seen.contains(&name) && !seen.contains(&table.udid()),
        "{seen}"
    );

    agent.kill();
    assert_eq!(
        as_of(&told()),
        as_of(&fs::read_to_string(&path).unwrap()),
        "the time stays behind"
    );
    let agent = Agent::start(&table);
    wait_for(
        "it tells again",
        || Some(told()).filter(|text| as_of(text) > as_of(&seen) && is_critical(text)),
        told,
    );
    agent.end();
    let left = fs::read_to_string(&path).unwrap();
    let left: Vec<&str> = left.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(left[0], "backupwatch_agent_up 0.0");
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_folder_that_is_not_there_is_told_of() {
    let table = table(&[], "metrics.textfile = \"~/nowhere/backupwatch.prom\"\n");
    let agent = Agent::start(&table);
    agent.when("it says so", |status| {
        let mut remarks = status.agent.remarks.iter();
        remarks.any(|remark| {
            remark.starts_with("The file of metrics cannot be written (metrics.textfile): ")
        })
    });
    fs::create_dir(table.home().join("nowhere")).unwrap();
    // The next one is written when something has happened.
    table.wait("usbmuxd ends", table.sim().mux_down());
    agent.when("it is well again", |status| {
        let mut remarks = status.agent.remarks.iter();
        !remarks.any(|remark| remark.contains("metrics.textfile"))
    });
    agent.end();
}

/// OpenTelemetry's definitions read what we have written by hand.
#[test]
fn what_is_pushed_is_understood_by_opentelemetry() {
    let Some(python) = peers::python("opentelemetry.proto") else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/otlp_receiver.py");
    let mut receiver = Killed(
        Command::new(python)
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(receiver.0.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap();
    let configuration = format!(
        "metrics.otlp = \"http://127.0.0.1:{port}/v1/metrics\"\nmetrics.otlp_token_file = \"~/token\"\n"
    );
    let table = table(&["stale-58-days"], &configuration);
    let token = file(&table, "token", TOKEN);
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
    let agent = Agent::start(&table);
    critical(&agent, &table.udid());
    let alias = agent.status().devices[0].alias.clone().unwrap();
    agent.end();
    // One was pushed at the start, be it before the phone was seen; the next agent knows the phone from its first moment on.
    let agent = Agent::start(&table);
    let mut told = Value::Null;
    for line in lines.by_ref() {
        told = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(told["error"], Value::Null);
        let points = told["points"].as_array().unwrap();
        if points
            .iter()
            .any(|point| point["labels"]["device"] == alias.as_str())
        {
            break;
        }
    }
    assert_eq!(told["path"], "/v1/metrics");
    assert_eq!(told["type"], "application/json");
    assert_eq!(told["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(told["resource"]["service.name"], "backupwatch");
    assert_eq!(
        told["resource"]["service.instance.id"]
            .as_str()
            .unwrap()
            .len(),
        16
    );
    assert_eq!(
        told["resource"]["host.name"],
        Value::Null,
        "names are not allowed"
    );
    let point = |name: &str, of: &dyn Fn(&Value) -> bool| {
        let points = told["points"].as_array().unwrap().iter();
        points
            .clone()
            .find(|point| point["name"] == name && of(point))
            .cloned()
            .unwrap_or_else(|| panic!("{name}: {told:#}"))
    };
    let state = point("backupwatch_icloud_state", &|point| {
        point["labels"]["state"] == "critical"
    });
    assert_eq!(
        (&state["value"], &state["sort"]),
        (&Value::from(1.0), &Value::from("gauge"))
    );
    let last = point("backupwatch_icloud_last_backup_timestamp", &|_| true);
    assert_eq!(last["unit"], "s");
    let turns = point("backupwatch_agent_wakeups", &|_| true);
    assert_eq!(
        (&turns["sort"], &turns["monotonic"]),
        (&Value::from("sum"), &Value::from(true))
    );
    let (start, time) = (
        turns["start"].as_u64().unwrap(),
        turns["time"].as_u64().unwrap(),
    );
    assert!(0 < start && start < time, "{turns}");
    agent.end();
}

#[test]
fn a_receiver_that_is_away_is_told_of() {
    let table = table(
        &[],
        &format!(
            "metrics.otlp = \"http://127.0.0.1:{}/v1/metrics\"\n",
            free_port()
        ),
    );
    let agent = Agent::start(&table);
    agent.when("it says so", |status| {
        let mut remarks = status.agent.remarks.iter();
        remarks.any(|remark| remark.starts_with("Metrics do not reach 127.0.0.1"))
    });
    agent.end();
}

/// Who may have them, and in which format.
#[test]
fn metrics_are_for_who_may_have_them() {
    let (open, closed) = (free_port(), free_port());
    let phones = ["stale-58-days"];
    let here = table(&phones, &format!("metrics.listen = \"127.0.0.1:{open}\"\n"));
    let agent = Agent::start(&here);
    critical(&agent, &here.udid());
    let (status, text) = fetch(open, "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        !text.contains("# EOF") && text.contains("\nbackupwatch_agent_up 1.0\n"),
        "{text}"
    );
    let (_, metrics) = at_the_socket(
        &here,
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(
        fetch(open, "/v1/status", "").0,
        404,
        "nothing else is there"
    );
    let stream = TcpStream::connect(("127.0.0.1", open)).unwrap();
    assert_eq!(get(stream, "evil.example", "/metrics", "").0, 421);
    if let Some(promtool) = peers::find("promtool") {
        let path = file(&here, "metrics.txt", &text);
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" check metrics < \"$1\""])
            .arg(promtool)
            .arg(path);
        let output = peers::run(&mut command, PATIENCE);
        assert!(output.status.success(), "{}", peers::words(&output));
    }
    agent.end();

    let there = table(
        &phones,
        &format!("metrics.listen = \"0.0.0.0:{closed}\"\nmetrics.token_file = \"~/token\"\n"),
    );
    let token = file(&there, "token", TOKEN);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let agent = Agent::start(&there);
    assert_eq!(fetch(closed, "/metrics", "").0, 401);
    assert_eq!(
        fetch(
            closed,
            "/metrics",
            "Authorization: Bearer wrong-horse-battery\r\n"
        )
        .0,
        401
    );
    let (status, text) = fetch(
        closed,
        "/metrics",
        &format!("Authorization: Bearer {TOKEN}\r\n"),
    );
    assert_eq!(status, 200);
    assert!(text.contains("backupwatch_agent_up 1.0"));
    agent.end();

    // A token that others can read opens nothing, and the agent says why.
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let agent = Agent::start(&there);
    agent.when("it says so", |status| {
        let mut remarks = status.agent.remarks.iter();
        remarks.any(|remark| {
            remark.contains("No metrics can be fetched") && remark.contains("chmod 600")
        })
    });
    assert_eq!(fetch(closed, "/metrics", "").0, 0, "nobody listens");
    agent.end();
}
