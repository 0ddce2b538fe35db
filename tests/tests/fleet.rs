//! The recipes of `docs/fleet.md`, as they stand there: each is read by the program that it is for, or run.

use backupwatch_agent::config::Config;
use backupwatch_e2e::{
    agent::{Agent, WATCH_ONLY, configure},
    peers, schema,
    table::{PATIENCE, Said, Table, persona},
};
use serde_json::Value;
use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

const ADA: &str = "00008101-000A111122225058";

/// How the recipes call us for the person at the screen of a Mac.
const AS_THE_PERSON: &str = "sudo -H -u \"$(stat -f %Su /dev/console)\" /usr/local/bin/backupwatch";

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet.md");
    fs::read_to_string(page).unwrap()
}

/// The blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let page = page();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    let blocks: Vec<String> = blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "no {language} in the page");
    blocks
}

/// The one block with these words in it.
fn block(language: &str, words: &str) -> String {
    let mut found = blocks(language)
        .into_iter()
        .filter(|block| block.contains(words));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("no {language} with {words}"));
    assert_eq!(found.next(), None, "{words}");
    block
}

/// A block of shell, with our binary on this table in place of the one of a Mac.
fn run(table: &Table, script: &str) -> Said {
    let ours = table.ours(&[]);
    let words: Vec<String> = std::iter::once(ours.get_program())
        .chain(ours.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let call = format!("{} status", words.join(" "));
    let script = script
        .replace(&format!("{AS_THE_PERSON} status"), &call)
        .replace("backupwatch status", &call);
    assert!(script.contains(&call), "{script}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env_clear();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap());
    }
    peers::run(&mut command, PATIENCE).into()
}

#[test]
fn every_configuration_is_one() {
    for text in blocks("toml") {
        let config = Config::parse(&text).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"));
        assert_ne!(config, Config::default(), "{text}");
    }
}

#[test]
fn prometheus_and_alertmanager_take_theirs() {
    let (Some(promtool), Some(amtool)) = (peers::find("promtool"), peers::find("amtool")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/prometheus");
    fs::copy(
        contrib.join("backupwatch.rules.yml"),
        at("backupwatch.rules.yml"),
    )
    .unwrap();
    fs::write(at("backupwatch.token"), "correct-horse-battery").unwrap();
    let here = format!("{}/", folder.path().display());
    let prometheus = block("yaml", "scrape_configs:").replace("/etc/prometheus/", &here);
    assert_eq!(prometheus.matches(&here).count(), 2);
    fs::write(at("prometheus.yml"), prometheus).unwrap();
    fs::write(at("alertmanager.yml"), block("yaml", "receivers:")).unwrap();
    for (program, arguments, file) in [
        (&promtool, ["check", "config"].as_slice(), "prometheus.yml"),
        (&amtool, &["check-config"], "alertmanager.yml"),
    ] {
        let mut command = Command::new(program);
        let output = peers::run(command.args(arguments).arg(at(file)), PATIENCE);
        assert!(output.status.success(), "{}", peers::words(&output));
    }
    // Who is unprotected is told within a minute, and by the same receiver.
    let mut command = Command::new(amtool);
    command
        .args(["config", "routes", "test", "--verify.receivers=school"])
        .arg(format!(
            "--config.file={}",
            at("alertmanager.yml").display()
        ))
        .args(["alertname=BackupwatchUnprotected", "severity=critical"]);
    let output = peers::run(&mut command, PATIENCE);
    assert!(output.status.success(), "{}", peers::words(&output));
}

#[test]
fn an_inventory_asks_for_one_line() {
    if peers::find("jq").is_none() {
        return;
    }
    let table = Table::of(vec![persona("stale-58-days"), persona("fresh")]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    let status = agent.when("both are judged", |status| {
        let judged = status
            .devices
            .iter()
            .filter(|device| device.protection != "unknown");
        judged.count() == 2
    });
    let worst = block("sh", "case $?");
    assert_eq!(run(&table, &worst).out, "<result>unprotected</result>\n");

    let each = block("sh", "<result>\\(.)</result>");
    let said = run(&table, &each);
    assert_eq!(said.err, "");
    let expected = |device: &backupwatch_agent::status::DeviceStatus| {
        format!("{}: {}", device.name.as_deref().unwrap(), device.protection)
    };
    let expected: Vec<String> = status.devices.iter().map(expected).collect();
    let line = |begin: &str, devices: &[String]| {
        format!("<result>{begin}{}</result>\n", devices.join("; "))
    };
    let mut reverse = expected.clone();
    reverse.reverse();
    assert!(
        said.out == line("", &expected) || said.out == line("", &reverse),
        "{said:?}"
    );

    let whose = run(&table, &block("sh", "\\(.alias)"));
    for device in &status.devices {
        let line = format!(
            "{}  {}\n",
            device.alias.as_deref().unwrap(),
            device.name.as_deref().unwrap()
        );
        assert!(whose.out.contains(&line), "{whose:?}");
    }

    agent.end();
    let said = run(&table, &each);
    assert!(
        said.out.starts_with("<result>agent not running; "),
        "{said:?}"
    );

    // Good news need somebody who still looks.
    let table = Table::of(vec![persona("fresh")]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is judged", |device| {
        device.protection == "protected"
    });
    assert_eq!(run(&table, &worst).out, "<result>protected</result>\n");
    agent.end();
    assert_eq!(
        run(&table, &worst).out,
        "<result>agent not running</result>\n"
    );
}

/// The table that osquery makes is SQLite's own query on the state, beside an agent that writes to it.
#[test]
fn osquery_sees_the_phones_in_the_state_of_a_running_agent() {
    let Some(sqlite) = peers::find("sqlite3") else {
        return;
    };
    let table = Table::of(vec![persona("stale-58-days")]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    let seen = agent.when_device(&table.udid(), "it is judged", |device| {
        device.icloud.state == "critical"
    });
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/osquery/backupwatch.json");
    let config: Value = serde_json::from_str(&fs::read_to_string(config).unwrap()).unwrap();
    let ours = &config["auto_table_construction"]["backupwatch_devices"];
    assert!(ours["path"].as_str().unwrap().ends_with("/state.db"));
    let query = ours["query"].as_str().unwrap();
    let ask = |statement: &str| {
        let mut command = Command::new(&sqlite);
        command
            .args(["-readonly", "-json"])
            .arg(table.state().join("state.db"))
            .arg(format!(
                "CREATE TEMP VIEW backupwatch_devices AS {query}; {statement}"
            ));
        let output = peers::run(&mut command, PATIENCE);
        assert!(output.status.success(), "{}", peers::words(&output));
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        rows
    };
    let all = begin_until(
        || ask("SELECT * FROM backupwatch_devices;"),
        |rows| rows[0]["protection"] == "unprotected",
    );
    let mut columns: Vec<&str> = all[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut promised: Vec<&str> = ours["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    promised.sort_unstable();
    columns.sort_unstable();
    assert_eq!(columns, promised);
    assert_eq!(all[0]["udid"], table.udid());
    assert_eq!(all[0]["icloud"], "critical");
    assert_eq!(all[0]["icloud_last"], seen.icloud.last.unwrap().as_second());
    assert_eq!(all[0]["last_run"], Value::Null);

    let asked = ask(&block("sql", "backupwatch_devices"));
    assert_eq!(asked[0]["name"], seen.name.unwrap(), "{asked}");
    agent.end();

    // Two days later nobody has looked again, and nothing is known any more.
    let two_days = "UPDATE observations SET at = at - 172800000;";
    let mut command = Command::new(&sqlite);
    let output = peers::run(
        command.arg(table.state().join("state.db")).arg(two_days),
        PATIENCE,
    );
    assert!(output.status.success(), "{}", peers::words(&output));
    let later = ask("SELECT * FROM backupwatch_devices;");
    assert_eq!(
        (&later[0]["protection"], &later[0]["icloud"]),
        (&Value::from("unknown"), &Value::from("unknown"))
    );
}

/// What the agent knows, it writes a moment later.
fn begin_until(ask: impl Fn() -> Value, is: impl Fn(&Value) -> bool) -> Value {
    let begin = std::time::Instant::now();
    loop {
        let rows = ask();
        if is(&rows) {
            return rows;
        }
        assert!(begin.elapsed() < PATIENCE, "{rows}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// For one command, a system in whose `/etc` our script has laid the managed file; nobody else on this computer sees it.
fn managed(table: &Table, text: &str, mode: &str, arguments: &[&str]) -> Option<Said> {
    let unshare = peers::find("unshare")?;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        peers::missed("root, who makes a system of its own");
        return None;
    }
    let file = table.home().join("managed.toml");
    fs::write(&file, text).unwrap();
    let ours = table.ours(arguments);
    let folder = Path::new(ours.get_program()).parent().unwrap();
    let script = "mount -t tmpfs -o mode=0755 tmpfs /etc; \"$1\" \"$2\"; chmod \"$3\" /etc/backupwatch/config.toml\n\
        shift 3; exec \"$@\"";
    let mut command = Command::new(unshare);
    command
        .args(["--mount", "sh", "-ec", script, "sh"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/mdm/lay-down.sh"))
        .arg(file)
        .arg(mode)
        .arg(ours.get_program())
        .args(ours.get_args())
        .env_clear();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env(
        "PATH",
        format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", folder.display()),
    );
    Some(peers::run(&mut command, PATIENCE).into())
}

#[test]
fn what_is_managed_holds_above_the_persons_own_and_is_shown() {
    let table = Table::of(Vec::new());
    configure(&table, "[icloud]\nlate = \"1 d\"\nstale = \"5 d\"\n");
    let text = "[icloud]\nstale = \"3 d\"\n[metrics]\ntextfile = \"/tmp/m.prom\"\n";
    let Some(shown) = managed(&table, text, "644", &["config", "show"]) else {
        return;
    };
    let holds = Config::parse(&shown.out).unwrap_or_else(|error| panic!("{error} {shown:?}"));
    let icloud = &holds.policies.general.icloud;
    assert_eq!(
        (icloud.late.to_string(), icloud.stale.to_string()),
        ("1 d".to_owned(), "3 d".to_owned()),
        "{shown:?}"
    );
    let said = managed(&table, text, "644", &["status"]).unwrap();
    let words = "set icloud.stale, metrics.textfile in /etc/backupwatch/config.toml";
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(line(&said.out).contains(words), "{said:?}");
    let said = managed(&table, text, "644", &["status", "--json"]).unwrap();
    let status: Value = serde_json::from_str(&said.out).unwrap();
    let keys = &status["agent"]["managed"]["keys"];
    assert_eq!(
        keys,
        &serde_json::json!(["icloud.stale", "metrics.textfile"])
    );
    let said = managed(&table, text, "644", &["doctor"]).unwrap();
    assert!(line(&said.out).contains(words), "{said:?}");

    // What a person sets beside it is written, and they hear what of it does not hold.
    let store = table.home().join("store");
    let carts = format!(
        "[device.{ADA}]\nname = \"Cart 3\"\nicloud.late = \"3 d\"\nbackup.root = {store:?}\n"
    );
    let root = table.home().join("photos");
    let mine = format!("--root={}", root.display());
    let set = |more: &[&str]| {
        let arguments = [["device", "set", ADA].as_slice(), more].concat();
        managed(&table, &carts, "644", &arguments).unwrap()
    };
    let said = set(&["--name", "Mine", "icloud.stale=5", "--json", &mine]);
    let document: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    schema::assert_hold(&[("device".to_owned(), document.clone())]);
    let words = "Of this, backup.root, name does not hold: whoever looks after this computer has set it otherwise in \
                 /etc/backupwatch/config.toml.";
    assert_eq!(document["overridden"], words, "{document:#}");
    assert!(document.get("moved").is_none(), "{document:#}");
    let said = set(&["backup.min_battery=30"]);
    assert!(line(&said.out).contains(words), "{said:?}");
    // With what is laid down it would be wrong, so it is not written.
    let before = fs::read_to_string(table.config()).unwrap();
    let said = set(&["icloud.stale=3"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("nothing was written") && said.err.contains("together with"),
        "{said:?}"
    );
    assert_eq!(fs::read_to_string(table.config()).unwrap(), before);

    // A mistake is not laid down, and whoever else could have written it is not believed.
    let said = managed(&table, "[icloud]\nstael = 3\n", "644", &["config", "show"]).unwrap();
    assert!(!said.ok() && said.err.contains("stael"), "{said:?}");
    let said = managed(&table, text, "666", &["config", "check"]).unwrap();
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("users other than root may change"),
        "{said:?}"
    );
}
