//! The services that send the phone's log, as a host of ours reads them: what is happening comes at once, only what was asked
//! for comes, and the phones with bad intentions do what their files say.

#![cfg(test)]

mod host;

use std::path::Path;

use backupwatch_sim::persona::Persona;
use backupwatch_sim::{CloudAttempt, SimHandle};
use backupwatch_wire::os_trace::{
    self, Activity, Answer, Decoder, Frame, Level, Record, RecordError, Request, StreamError,
};
use backupwatch_wire::syslog::{self, Line, Piece};
use host::{record, service, sim, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::client::TlsStream;

const PID: u32 = 214;

fn persona(name: &str) -> Persona {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/phones");
    Persona::load(&folder.join(format!("{name}.toml"))).unwrap()
}

struct Trace {
    stream: TlsStream<DuplexStream>,
    decoder: Decoder,
}

impl Trace {
    async fn new(sim: &SimHandle) -> Self {
        let udid = sim.phones().remove(0).udid().to_owned();
        Self {
            stream: service(sim, &udid, os_trace::SERVICE).await,
            decoder: Decoder::new(),
        }
    }

    async fn ask(&mut self, request: &Request) -> Answer {
        self.stream.write_all(&request.encode()).await.unwrap();
        self.stream.flush().await.unwrap();
        match self.next().await {
            Ok(Frame::Answer(answer)) => answer,
            Ok(other @ (Frame::Record(_) | Frame::Skipped(_))) => panic!("{other:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn start(sim: &SimHandle, pid: Option<u32>) -> Self {
        let mut trace = Self::new(sim).await;
        let start = Request::StartActivity(Activity::of(pid));
        assert_eq!(trace.ask(&start).await, Answer::Started);
        trace
    }

    async fn next(&mut self) -> Result<Frame, StreamError> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let some = soon(self.stream.read(&mut chunk)).await.unwrap();
            assert!(some > 0, "the log ended");
            self.decoder.push(&chunk[..some]);
        }
    }

    async fn record(&mut self) -> Record {
        match self.next().await {
            Ok(Frame::Record(record)) => record,
            Ok(other @ (Frame::Answer(_) | Frame::Skipped(_))) => panic!("{other:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

struct Lines {
    stream: TlsStream<DuplexStream>,
    decoder: syslog::Decoder,
}

impl Lines {
    async fn new(sim: &SimHandle) -> Self {
        let udid = sim.phones().remove(0).udid().to_owned();
        Self {
            stream: service(sim, &udid, syslog::SERVICE).await,
            decoder: syslog::Decoder::new(),
        }
    }

    async fn next(&mut self) -> Piece {
        let mut chunk = [0; 4096];
        loop {
            if let Some(piece) = self.decoder.next_piece() {
                return piece;
            }
            let some = soon(self.stream.read(&mut chunk)).await.unwrap();
            assert!(some > 0, "the log ended");
            self.decoder.push(&chunk[..some]);
        }
    }

    async fn line(&mut self) -> Line {
        match self.next().await {
            Piece::Line(line) => line,
            Piece::Skipped => panic!("a line that is none"),
        }
    }
}

#[tokio::test]
async fn the_processes_are_listed_and_backupd_among_them() {
    let sim = sim(vec![host::phone()]);
    let mut trace = Trace::new(&sim).await;
    let Answer::Processes(all) = trace.ask(&Request::PidList).await else {
        panic!("no list");
    };
    assert_eq!(all.get(&PID).map(String::as_str), Some("backupd"));
    let archive = Request::Other {
        request: "CreateArchive".to_owned(),
    };
    let refused = trace.ask(&archive).await;
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    // The connection is still good for what it is there for.
    let start = Request::StartActivity(Activity::of(Some(PID)));
    assert_eq!(trace.ask(&start).await, Answer::Started);
}

#[tokio::test]
async fn an_attempt_comes_as_records_of_the_one_program() {
    let sim = sim(vec![persona("icloud-full")]);
    let mut trace = Trace::start(&sim, Some(PID)).await;
    let phone = sim.phones().remove(0);
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Failed);
    loop {
        let record = trace.record().await;
        assert_eq!((record.pid, record.process_name()), (PID, "backupd"));
        assert_eq!(record.subsystem, "com.apple.mobilebackup");
        if record.level == Level::Error {
            let chain = "=cloud-backup= Backup failed: MBErrorDomain(303) Underlying error: CKErrorDomain(25), <";
            assert!(record.message.starts_with(chain), "{record:?}");
            break;
        }
    }
}

#[tokio::test]
async fn noise_of_others_comes_with_everything() {
    let sim = sim(vec![host::phone()]);
    let mut trace = Trace::start(&sim, None).await;
    let record = trace.record().await;
    assert_eq!(record.process_name(), "SpringBoard");
    assert!(record.message.contains("<private>"));
}

/// The noise goes on by itself: the log of a phone is never silent.
#[tokio::test(start_paused = true)]
async fn the_log_goes_on() {
    let sim = sim(vec![host::phone()]);
    let mut lines = Lines::new(&sim).await;
    for _ in 0..50 {
        lines.line().await;
    }
}

#[tokio::test]
async fn an_attempt_comes_as_lines() {
    let sim = sim(vec![persona("icloud-no-network")]);
    let mut lines = Lines::new(&sim).await;
    let first = lines.line().await;
    assert_eq!(
        (first.host.as_str(), first.process.as_str()),
        ("Bos-iPhone", "SpringBoard")
    );
    let phone = sim.phones().remove(0);
    phone.join_other_network();
    assert_eq!(phone.back_up_to_icloud_now(), CloudAttempt::Succeeded);
    loop {
        let line = lines.line().await;
        if line.message == "=cloud-backup= Backup finished successfully" {
            assert_eq!((line.process.as_str(), line.pid), ("backupd", PID));
            break;
        }
    }
}

#[tokio::test]
async fn a_hostile_log_of_records() {
    let sim = sim(vec![persona("hostile-log")]);
    let mut trace = Trace::start(&sim, None).await;
    for expected in [
        RecordError::Level { level: 0x42 },
        RecordError::Short { len: 10 },
        RecordError::Texts,
    ] {
        assert_eq!(trace.next().await, Ok(Frame::Skipped(expected)));
    }
    assert!(trace.record().await.message.len() > 60_000);
    let error = trace.next().await.unwrap_err();
    assert!(
        matches!(
            error,
            StreamError::TooLong {
                length: u32::MAX,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_hostile_log_of_lines() {
    let sim = sim(vec![persona("hostile-log")]);
    let mut lines = Lines::new(&sim).await;
    assert_eq!(lines.next().await, Piece::Skipped);
    let controls = lines.line().await;
    let steers = |text: &str| text.chars().any(char::is_control);
    assert!(
        !steers(&controls.message) && !steers(&controls.process),
        "{controls:?}"
    );
    assert_eq!(lines.next().await, Piece::Skipped);
    // A line without end: whatever is read of it, nothing comes of it and nothing is kept.
    let mut chunk = vec![0; 64 << 10];
    for _ in 0..64 {
        let some = lines.stream.read(&mut chunk).await.unwrap();
        lines.decoder.push(&chunk[..some]);
        assert_eq!(lines.decoder.next_piece(), None);
    }
}

#[tokio::test]
async fn who_reads_nothing_holds_nothing_up() {
    let sim = sim(vec![persona("icloud-full")]);
    let _lines = Lines::new(&sim).await;
    let phone = sim.phones().remove(0);
    for _ in 0..2_000 {
        phone.back_up_to_icloud_now();
    }
    let udid = phone.udid().to_owned();
    let mut lockdown = host::Lockdown::new(&sim, &udid).await;
    lockdown.start_session(&record(&sim, &udid)).await.unwrap();
}
