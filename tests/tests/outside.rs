//! What the agent tells programs outside, at a real server that works, fails, lies, hangs, is away and comes back.

use backupwatch_agent::outside::http::{self, HttpError, Plain, Url};
use backupwatch_e2e::{
    agent::{Agent, BY_DAY, WATCH_ONLY, configure},
    peers,
    table::{PATIENCE, Said, Table, persona},
};
use serde_json::Value;
use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the server does with one request.
#[derive(Clone)]
enum Act {
    Answer(u16),
    /// These bytes, and the end of the connection.
    Say(String),
    /// A head, and a body that never ends.
    Endless,
    /// Nothing, for as long as anybody waits.
    Hang,
}

/// What arrived.
#[derive(Debug, Clone)]
struct Came {
    path: String,
    head: Vec<(String, String)>,
    body: String,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A server that does what it is told, then answers 200 for good. It lives as long as the test.
struct Server {
    at: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Server {
    fn new(acts: &[Act]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), acts)
    }

    fn on(listener: TcpListener, acts: &[Act]) -> Self {
        let at = listener.local_addr().unwrap();
        let acts = Arc::new(Mutex::new(acts.iter().cloned().collect()));
        let came = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            at,
            came: Arc::clone(&came),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acts, came) = (Arc::clone(&acts), Arc::clone(&came));
                // Who breaks off is no fault of the server.
                std::thread::spawn(move || drop(converse(stream, &acts, &came)));
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// What arrived, once it is as it should be.
    #[track_caller]
    fn when(&self, agent: &Agent<'_>, what: &str, is: impl Fn(&[Came]) -> bool) -> Vec<Came> {
        let begin = Instant::now();
        loop {
            let came = self.came();
            if is(&came) {
                return came;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "it is still not so that {what}: {came:#?}\n{}",
                agent.words()
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

fn converse(
    stream: TcpStream,
    acts: &Mutex<VecDeque<Act>>,
    came: &Mutex<Vec<Came>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        head.push((name.to_lowercase(), value.to_owned()));
    }
    let length = head.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    came.lock().unwrap().push(Came { path, head, body });
    let act = acts.lock().unwrap().pop_front().unwrap_or(Act::Answer(200));
    let mut stream = stream;
    match act {
        Act::Answer(status) => {
            write!(
                stream,
                "HTTP/1.1 {status} So\r\ncontent-length: 2\r\n\r\nOK"
            )
        }
        Act::Say(words) => stream.write_all(words.as_bytes()),
        Act::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
        Act::Hang => {
            // Until the other end has had enough.
            let _end = stream.read(&mut [0; 1]);
            Ok(())
        }
    }
}

fn ours(table: &Table, arguments: &[&str]) -> Said {
    peers::run(&mut table.ours(arguments), PATIENCE).into()
}

/// A file that only its owner can read, or run.
fn file(table: &Table, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = table.home().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn webhook(url: &str, secret: &Path, more: &str) -> String {
    format!(
        "[[webhook]]\nurl = \"{url}\"\nsecret_file = \"{}\"\n{more}\n",
        secret.display()
    )
}

fn kinds(came: &[Came]) -> Vec<String> {
    let kind = |came: &Came| came.json()["type"].as_str().unwrap().to_owned();
    came.iter().map(kind).collect()
}

fn conversation<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// One request each. What counts is the head; nothing makes it wait, follow or keep more than it looks at.
#[test]
fn servers_that_lie() {
    let elsewhere = Server::new(&[]);
    let redirect = format!(
        "HTTP/1.1 307 Go\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url("/")
    );
    let say = |words: &str| Act::Say(words.to_owned());
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for (act, status) in [
        (Act::Answer(200), Some(200)),
        (Act::Answer(500), Some(500)),
        (Act::Endless, Some(200)),
        (
            say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
            Some(200),
        ),
        (say(&redirect), Some(307)),
        (say("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n"), None),
        (say("HTTP/1.1 200 OK\r\n"), None),
        (say("220 mail.example ESMTP\r\n"), None),
        (say("\0\u{1}\u{2}\u{3}"), None),
        (say(""), None),
        (say(&long), None),
    ] {
        let server = Server::new(&[act]);
        let url = Url::parse(&server.url("/secret"), Plain::Loopback).unwrap();
        let begin = Instant::now();
        let answer = conversation(http::post(&url, &[], "words".into()));
        assert!(begin.elapsed() < Duration::from_secs(10), "{answer:?}");
        match (&answer, status) {
            (Ok(answer), Some(status)) => {
                assert_eq!(answer.status, status);
                assert!(answer.body.len() <= 4096, "{}", answer.body.len());
            }
            (Err(HttpError::Http(_)), None) => {}
            (Ok(_) | Err(_), _) => panic!("{answer:?} is not {status:?}"),
        }
        let came = server.came();
        assert_eq!(came.len(), 1);
        assert_eq!(
            (came[0].path.as_str(), came[0].body.as_str()),
            ("/secret", "words")
        );
        assert!(came[0].header("user-agent").starts_with("backupwatch/"));
        assert!(!format!("{answer:?}").contains("/secret"));
    }
    assert!(elsewhere.came().is_empty(), "a redirect was followed");

    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = Url::parse(&format!("http://{nobody}/"), Plain::Loopback).unwrap();
    let answer = conversation(http::post(&url, &[], "words".into()));
    assert!(matches!(answer, Err(HttpError::Connect(_))), "{answer:?}");
    let url = Url::parse("https://no-such-host.invalid/", Plain::Loopback).unwrap();
    let answer = conversation(http::post(&url, &[], "words".into()));
    assert!(matches!(answer, Err(HttpError::Resolve(_))), "{answer:?}");
}

/// The first webhook's server fails and lies before it takes a message; the second one's hangs, and holds up neither the first nor
/// the agent.
#[test]
fn a_webhook_is_told_signed_and_again_until_it_hears() {
    let table = Table::of(vec![persona("stale-58-days")]);
    let elsewhere = Server::new(&[]);
    let redirect = format!(
        "HTTP/1.1 302 Go\r\nlocation: {}\r\n\r\n",
        elsewhere.url("/")
    );
    let server = Server::new(&[Act::Say(redirect), Act::Endless]);
    let hangs = Server::new(&[Act::Hang, Act::Hang, Act::Hang]);
    let named = Server::new(&[]);
    let secret = file(&table, "secret", SECRET, 0o600);
    let hooks = [
        webhook(&server.url("/hook/secret"), &secret, ""),
        webhook(&hangs.url("/hangs"), &secret, ""),
        webhook(&named.url("/named"), &secret, "names = true"),
    ];
    configure(&table, &format!("{WATCH_ONLY}{}", hooks.concat()));
    assert!(ours(&table, &["config", "check"]).ok());
    let agent = Agent::start(&table);
    let came = server.when(&agent, "the message was taken", |came| came.len() >= 2);
    assert_eq!(came.len(), 2, "{came:#?}");
    assert_eq!(came[0].body, came[1].body);
    assert_eq!(came[0].header("webhook-id"), came[1].header("webhook-id"));
    let message = came[1].json();
    assert_eq!(message["id"], came[1].header("webhook-id"));
    assert_eq!(message["type"], "protection_changed");
    assert_eq!(message["data"]["after"], "unprotected");
    assert!(message["data"].get("before").is_none(), "{message}");
    let udid = table.udid();
    assert!(!came[1].body.contains(&udid), "{message}");
    let told = named.when(&agent, "the third one was told", |came| !came.is_empty());
    assert_eq!(told[0].json()["data"]["device"]["udid"], udid.as_str());
    let status = agent.status();
    let (alias, name) = (&status.devices[0].alias, &status.devices[0].name);
    assert_eq!(
        message["data"]["device"]["alias"].as_str(),
        alias.as_deref()
    );
    assert!(
        !came[1].body.contains(name.as_deref().unwrap()),
        "{message}"
    );
    assert!(elsewhere.came().is_empty(), "a redirect was followed");
    let words = agent.words();
    assert!(
        !words.contains("/hook/secret") && !words.contains("MfKQ"),
        "{words}"
    );
    agent.end();

    // What nobody here wrote computes the same signature.
    let Some(python) = peers::python("hmac") else {
        return;
    };
    let body = file(&table, "body", &came[1].body, 0o600);
    let script = "import sys,hmac,hashlib,base64\n\
        secret,id,at,body=sys.argv[1:]\n\
        key=base64.b64decode(secret.removeprefix('whsec_'))\n\
        signed=f'{id}.{at}.'.encode()+open(body,'rb').read()\n\
        print('v1,'+base64.b64encode(hmac.new(key,signed,hashlib.sha256).digest()).decode())";
    let mut command = Command::new(python);
    let (id, at) = (
        came[1].header("webhook-id"),
        came[1].header("webhook-timestamp"),
    );
    command.args(["-c", script, SECRET, id, at]).arg(&body);
    let said: Said = peers::run(&mut command, PATIENCE).into();
    assert_eq!(
        said.out.trim(),
        came[1].header("webhook-signature"),
        "{said:?}"
    );
}

/// Killed while nobody takes its message, the agent has it still when it starts again, and sends it as the same one.
#[test]
fn a_message_outlives_the_agent() {
    let table = Table::of(vec![persona("stale-58-days")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let secret = file(&table, "secret", SECRET, 0o600);
    let hook = webhook(&format!("http://{at}/hook"), &secret, "");
    configure(&table, &format!("{WATCH_ONLY}{hook}"));
    let agent = Agent::start(&table);
    let status = agent.when("it is missed", |status| {
        let remarks = status.agent.remarks.join(" ");
        remarks.contains("The webhook at 127.0.0.1") && remarks.contains("never been reached")
    });
    assert!(
        !status.agent.remarks.join(" ").contains("/hook"),
        "{status:?}"
    );
    let waits = || {
        let state = rusqlite::Connection::open(table.state().join("state.db")).unwrap();
        let count: i64 = state
            .query_row("SELECT count(*) FROM outbox", (), |row| row.get(0))
            .unwrap();
        count
    };
    agent.when("it is on disk", |_| waits() == 1);
    let said = ours(&table, &["doctor"]);
    assert!(said.out.contains("The webhook at 127.0.0.1"), "{said:?}");
    agent.kill();

    let server = Server::on(TcpListener::bind(at).unwrap(), &[]);
    let agent = Agent::start(&table);
    let came = server.when(&agent, "it is told after all", |came| !came.is_empty());
    agent.when("it waits no more", |_| waits() == 0);
    assert_eq!(
        kinds(&came),
        ["protection_changed"],
        "and nothing is told anew"
    );
    agent.when("it is not missed any more", |status| {
        status.agent.remarks.is_empty()
    });
    agent.end();
    assert_eq!(
        server.came().len(),
        1,
        "once it was taken, it is not sent again"
    );
}

/// What is configured while the agent runs holds at once; what has a mistake in it does not, and the old configuration stays at work.
#[test]
fn a_changed_configuration_is_taken_over_whole_or_not_at_all() {
    let table = Table::of(vec![persona("stale-58-days")]);
    configure(&table, WATCH_ONLY);
    let agent = Agent::start(&table);
    agent.when_device(&table.udid(), "it is judged", |device| {
        device.protection == "unprotected"
    });
    let (hooked, pinged, other) = (Server::new(&[]), Server::new(&[]), Server::new(&[]));
    let secret = file(&table, "secret", SECRET, 0o600);
    let hook = webhook(&hooked.url("/hook"), &secret, "");
    let ping = |server: &Server| format!("[ping]\nurl = \"{}\"\n", server.url("/check"));
    let prom = table.home().join("first.prom");
    let fetched = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = fetched.local_addr().unwrap().port();
    let metrics = format!(
        "[metrics]\nlisten = \"127.0.0.1:{port}\"\ntextfile = \"{}\"\n",
        prom.display()
    );
    let reload = |text: &str| {
        configure(&table, &format!("{WATCH_ONLY}{text}"));
        ours(&table, &["config", "reload"])
    };

    // The port is taken, so nothing of this holds.
    let said = reload(&format!("{}{hook}{metrics}", ping(&pinged)));
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("failed to listen on") && said.err.contains("the old configuration"),
        "{said:?}"
    );
    assert!(hooked.came().is_empty() && pinged.came().is_empty() && !prom.exists());
    drop(fetched);
    let said = reload(&format!("{}{hook}{metrics}", ping(&pinged)));
    assert!(said.ok(), "{said:?}");
    let came = hooked.when(&agent, "the webhook is told", |came| !came.is_empty());
    assert_eq!(came[0].json()["data"]["after"], "unprotected");
    pinged.when(&agent, "the check is told", |came| {
        came.iter().any(|came| came.path == "/check/fail")
    });
    agent.when("the file is there", |_| prom.exists());
    let get = |port: u16| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let head = format!("GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    assert!(get(port).unwrap().contains("backupwatch_agent_up 1"));

    // The same once more tells nobody anything.
    let before = (hooked.came().len(), pinged.came().len());
    assert!(reload(&format!("{}{hook}{metrics}", ping(&pinged))).ok());
    assert!(get(port).unwrap().contains("backupwatch_agent_up 1"));
    assert_eq!((hooked.came().len(), pinged.came().len()), before);

    // A misspelt key, a secret that others can read, a program that others can change: the old configuration stays at work.
    let open = file(&table, "open", SECRET, 0o644);
    let program = file(&table, "program", "#!/bin/sh\n", 0o777);
    let wrong = [
        ("[ping]\nulr = \"x\"\n".to_owned(), "ulr"),
        (
            webhook(&other.url("/hook"), &open, ""),
            "others can read it",
        ),
        (
            format!("[hooks]\nafter_backup = [\"{}\"]\n", program.display()),
            "another user may change it",
        ),
    ];
    for (text, why) in wrong {
        configure(&table, &format!("{WATCH_ONLY}{text}"));
        let error = table
            .wait("an answer", agent.client().reload())
            .unwrap_err();
        let error = format!("{error} {error:?}");
        assert!(error.contains(why), "{error}");
        assert!(get(port).unwrap().contains("backupwatch_agent_up 1"));
    }

    // Others take their places; the old ones hear no more, and the old file says that nobody writes it.
    let said = reload(&format!(
        "{}[metrics]\ntextfile = \"{}\"\n",
        ping(&other),
        table.home().join("second.prom").display()
    ));
    assert!(said.ok(), "{said:?}");
    other.when(&agent, "the other check is told", |came| {
        came.iter().any(|came| came.path == "/check/fail")
    });
    agent.when("the other file is there", |_| {
        table.home().join("second.prom").exists()
    });
    let left = std::fs::read_to_string(&prom).unwrap();
    assert!(
        left.contains("backupwatch_agent_up 0") && !left.contains("protection"),
        "{left}"
    );
    assert_eq!(get(port), None, "nobody listens there any more");
    assert_eq!((hooked.came().len(), pinged.came().len()), before);
    agent.end();
    assert!(
        std::fs::read_to_string(table.home().join("second.prom"))
            .unwrap()
            .contains("backupwatch_agent_up 0")
    );
}

/// One backup, as a service that notices silence, a webhook and a program of the person's hear of it.
#[test]
fn a_backup_as_those_outside_hear_of_it() {
    let table = Table::of(vec![persona("backup-mixed")]);
    let udid = table.udid();
    let pings = Server::new(&[Act::Answer(500)]);
    let single = Server::new(&[]);
    let hooked = Server::new(&[]);
    let secret = file(&table, "secret", SECRET, 0o600);
    let told = table.home().join("told");
    let program = file(
        &table,
        "program",
        &format!(
            "#!/bin/sh\nenv > '{0}.new'\n[ \"$PWD\" = \"$BACKUPWATCH_BACKUP_PATH\" ] && [ -f Manifest.db ] && echo here >> '{0}.new'\n\
             mv '{0}.new' '{0}'\n[ \"$1\" = well ] || [ ! -e '{0}.bad' ] || {{ echo 'no room there' >&2; exit 7; }}\n",
            told.display()
        ),
        0o700,
    );
    let hook = webhook(
        &hooked.url("/hook"),
        &secret,
        "events = [\"backup_verified\", \"backup_failed\", \"hook_failed\"]",
    );
    configure(
        &table,
        &format!(
            "{BY_DAY}backup.mode = \"off\"\n[ping]\nurl = \"{}\"\n[device.\"{udid}\"]\nping = \"{}\"\n[hooks]\nafter_backup = [\"{}\", \"an argument\"]\n{hook}",
            pings.url("/all"),
            single.url("/one"),
            program.display(),
        ),
    );
    let check = ours(&table, &["config", "check"]);
    assert!(check.ok(), "{check:?}");
    let agent = Agent::start(&table);
    single.when(&agent, "the first beat came", |came| !came.is_empty());
    let begin = single.came().len();
    let said = ours(&table, &["backup"]);
    assert!(said.ok(), "{said:?}\n{}", agent.words());

    // Its own check: a begin and an end with one number, and beats beside them that have another one or none.
    let ends = |came: &[Came]| {
        let start = came
            .iter()
            .find_map(|came| came.path.strip_prefix("/one/start?rid="))?
            .to_owned();
        let end = came
            .iter()
            .find(|came| came.path == format!("/one?rid={start}"))?;
        Some(end.clone())
    };
    let came = single.when(&agent, "the end was told", |came| {
        came.get(begin..).and_then(ends).is_some()
    });
    let end = ends(&came[begin..]).unwrap();
    assert!(
        end.body.contains("verified") && end.body.contains("protected"),
        "{end:?}"
    );
    let came = pings.when(&agent, "the one for all heard of it too", |came| {
        came.iter()
            .any(|came| came.path.starts_with("/all/start?rid="))
    });
    assert!(
        came.iter().all(|came| !came.body.contains(&udid)),
        "{came:#?}"
    );
    let came = hooked.when(&agent, "the webhook was told", |came| !came.is_empty());
    assert_eq!(kinds(&came), ["backup_verified"]);
    assert_eq!(came[0].json()["data"]["outcome"], "verified");

    // The program: its environment is this and nothing else, and it begins in the backup.
    agent.when("the program has run", |_| told.exists());
    let environment = std::fs::read_to_string(&told).unwrap();
    let of = |name: &str| {
        let line = environment
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name}: {environment}"))
            .to_owned()
    };
    assert_eq!(of("BACKUPWATCH_DEVICE_UDID"), udid);
    let tree = table.state().join("backups").join(&udid);
    assert_eq!(Path::new(&of("BACKUPWATCH_BACKUP_PATH")), tree);
    assert_eq!(
        (
            of("BACKUPWATCH_RESULT").as_str(),
            of("BACKUPWATCH_LEVEL").as_str()
        ),
        ("verified", "L2")
    );
    assert!(environment.ends_with("here\n"), "{environment}");
    assert!(
        !environment.contains("USBMUXD") && !environment.contains("SECRET"),
        "{environment}"
    );
    let history = |what: &str| {
        agent.when(what, |_| ours(&table, &["history"]).out.contains(what));
    };
    history("The program after the backup ended well.");

    // It fails: the backup is as good as before, and the person learns of it.
    std::fs::write(format!("{}.bad", told.display()), "").unwrap();
    let said = ours(&table, &["backup"]);
    assert!(said.ok(), "{said:?}");
    history("failed with code 7; its last words: no room there.");
    let status = agent.when("it is told in the status", |status| {
        status
            .agent
            .remarks
            .join(" ")
            .contains("failed with code 7")
    });
    assert_eq!(status.devices[0].local.state, "verified");
    let came = hooked.when(&agent, "the webhook was told", |came| came.len() >= 3);
    assert_eq!(
        kinds(&came),
        ["backup_verified", "backup_verified", "hook_failed"]
    );
    agent.end();

    // Somebody else may change it now: it is not run, and whoever asks is told why.
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
    let check = ours(&table, &["config", "check"]);
    assert_eq!(check.code, Some(2), "{check:?}");
    assert!(
        check.err.contains("another user may change it"),
        "{check:?}"
    );
}

/// A certificate that this computer does not trust is as good as none; one that it trusts is enough.
#[test]
fn only_who_has_a_good_certificate_is_told_anything() {
    let table = Table::of(vec![persona("stale-58-days")]);
    let tls = Tls::new();
    let secret = file(&table, "secret", SECRET, 0o600);
    let url = format!("https://localhost:{}/hook", tls.at.port());
    configure(
        &table,
        &format!("{WATCH_ONLY}{}", webhook(&url, &secret, "")),
    );
    let agent = Agent::start(&table);
    let refused = agent.when("the server is not trusted", |status| {
        let remarks = status.agent.remarks.join(" ");
        remarks.contains("failed to make sure who the server is") && remarks.contains("certificate")
    });
    assert!(
        refused.agent.remarks.join(" ").contains("localhost"),
        "{refused:?}"
    );
    assert_eq!(*tls.came.lock().unwrap(), 0, "not a word was said");
    agent.end();

    let trusted = file(&table, "ca.pem", &tls.authority, 0o600);
    let mut command = table.ours(&["agent"]);
    let agent = Agent::launch(&table, command.env("SSL_CERT_FILE", &trusted));
    agent.wait_until_up();
    agent.when("the message was taken", |_| *tls.came.lock().unwrap() == 1);
    agent.end();
}

/// A server with a certificate of an authority of its own. It counts what it was told, and answers 200.
struct Tls {
    at: SocketAddr,
    authority: String,
    came: Arc<Mutex<usize>>,
}

impl Tls {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut about = rcgen::CertificateParams::default();
        about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = about.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(about, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let about = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = about.signed_by(&key, &issuer).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let came = Arc::new(Mutex::new(0));
        let count = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                // One read has the whole small request, or an end where the other side does not trust us.
                if stream.read(&mut [0; 64 << 10]).is_ok_and(|read| read > 0) {
                    *count.lock().unwrap() += 1;
                    let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            }
        });
        Self {
            at,
            authority,
            came,
        }
    }
}
