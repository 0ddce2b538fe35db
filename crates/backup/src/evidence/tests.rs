//! Hand-made books: the ones that phones write, as far as that is known, and ones that nobody should believe.

use backupwatch_core::evidence::{Attempt, ErrorCode, MOST_ATTEMPTS, MOST_LINKS, MOST_PARTS};
use backupwatch_core::{DeviceTime, Period};
use backupwatch_wire::codec;
use plist::{Dictionary, Value};

use super::*;

/// A public sample, of 2023 (remediation.md 1.2.4).
const WINDOW: &str = "2023-02-22T10:24:49.051-08:00|158966.533|1|1|0|1|1|0|120|73683|15023|0|MBErrorDomain|209|2|0|0|0|0";

fn at() -> HostTime {
    HostTime("2026-09-13T10:00:00Z".parse().unwrap())
}

fn on(text: &str) -> DeviceTime {
    DeviceTime(text.parse().unwrap())
}

fn xml(body: &str) -> Books {
    let list = format!("<plist version=\"1.0\"><dict>{body}</dict></plist>");
    parse(list.as_bytes(), at()).unwrap()
}

fn errors(entries: &str) -> Vec<Attempt> {
    xml(&format!(
        "<key>BackupStateInfo</key><dict><key>errors</key><array>{entries}</array></dict>"
    ))
    .attempts
}

fn entry(date: &str, code: i64, rest: &str) -> String {
    format!(
        "<dict><key>domain</key><string>MBErrorDomain</string><key>code</key><integer>{code}</integer>
         <key>date</key><date>{date}</date>{rest}</dict>"
    )
}

fn windows(lines: &[&str]) -> Option<Vec<backupwatch_core::evidence::Window>> {
    let lines: String = lines
        .iter()
        .map(|line| format!("<string>{line}</string>"))
        .collect();
    xml(&format!(
        "<key>LastOnConditionEvents</key><array>{lines}</array>"
    ))
    .windows
}

fn error(domain: &str, code: i64) -> ErrorCode {
    ErrorCode {
        domain: domain.to_owned(),
        code,
    }
}

/// A field report of September 2026: two failures on one evening, five in all, and a retry on the next day.
#[test]
fn the_last_attempts_the_counters_and_the_retry() {
    let books = xml(&format!(
        "<key>BackupStateInfo</key><dict>
           <key>isCloud</key><true/><key>progress</key><real>0.371</real><key>state</key><integer>3</integer>
           <key>estimatedTimeRemaining</key><real>7200.4</real>
           <key>errors</key><array>{}{}{}</array></dict>
         <key>FailureCount</key><integer>5</integer>
         <key>MissingEncryptionKeyFailureCount</key><integer>3</integer>
         <key>RetryAfter</key><date>2026-09-13T12:06:00Z</date>
         <key>AccountEnabledDate</key><date>2025-01-02T03:04:05Z</date>
         <key>RestoreInfo</key><dict><key>RestoreDate</key><date>2025-01-01T00:00:00Z</date><key>WasCloudRestore</key><true/></dict>
         <key>RemoteConfiguration</key><dict><key>BackupPeriod</key><integer>86400</integer>
           <key>BackupWarningPeriod</key><real>1209600</real><key>LocalSnapshotsDisabled</key><true/></dict>
         <key>PreflightSizing</key><dict><key>_TotalSize</key><integer>534000000000</integer>
           <key>MediaDomain</key><integer>12</integer><key>AppDomain-org.example.app</key><integer>900</integer>
           <key>InstallDomain</key><integer>0</integer></dict>
         <key>SomethingNew</key><array><integer>1</integer></array>",
        // Not in the order of their dates, as nobody promises.
        entry("2026-09-12T20:38:00Z", 202, ""),
        entry("2026-09-12T20:20:00Z", 209, ""),
        entry("2026-08-01T03:00:00Z", 0, "<key>localizedDescription</key><string>Backup succeeded</string>"),
    ));
    let codes: Vec<_> = books
        .attempts
        .iter()
        .map(|attempt| {
            (
                attempt.at.to_string(),
                attempt.chain.first().map(|error| error.code),
            )
        })
        .collect();
    assert_eq!(
        codes,
        [
            ("2026-08-01T03:00:00Z".to_owned(), None),
            ("2026-09-12T20:20:00Z".to_owned(), Some(209)),
            ("2026-09-12T20:38:00Z".to_owned(), Some(202)),
        ]
    );
    assert!(books.attempts[0].succeeded());
    assert_eq!(
        (books.failures, books.missing_key_failures),
        (Some(5), Some(3))
    );
    assert_eq!(books.retry_after, Some(on("2026-09-13T12:06:00Z")));
    assert_eq!(books.account_enabled, Some(on("2025-01-02T03:04:05Z")));
    assert_eq!(books.restored, Some(on("2025-01-01T00:00:00Z")));
    assert_eq!(
        (books.period, books.warning_period),
        (Some(Period::days(1)), Some(Period::days(14)))
    );
    let upload = books.upload.unwrap();
    assert_eq!(
        (upload.permille, upload.left),
        (371, Some(Period::seconds(7200)))
    );
    let largest: Vec<_> = books
        .largest
        .iter()
        .map(|part| (part.domain.as_str(), part.bytes))
        .collect();
    assert_eq!(
        largest,
        [("AppDomain-org.example.app", 900), ("MediaDomain", 12)]
    );
    assert_eq!(books.total, Some(534_000_000_000));
    assert_eq!(books.windows, None, "none were told");
}

#[test]
fn nothing_in_them_is_nothing_known() {
    let books = xml("");
    assert_eq!(books, Books::blank(at()));
}

#[test]
fn the_binary_form_says_the_same() {
    let text = format!(
        "<plist><dict><key>FailureCount</key><integer>2</integer><key>BackupStateInfo</key><dict><key>errors</key><array>{}</array></dict></dict></plist>",
        entry("2026-09-01T00:00:00Z", 303, "")
    );
    let value = codec::decode(text.as_bytes(), codec::Limits::of_bytes(MAX)).unwrap();
    let binary = codec::to_binary(&value);
    assert_eq!(
        parse(&binary, at()).unwrap(),
        parse(text.as_bytes(), at()).unwrap()
    );
    assert_eq!(parse(&binary, at()).unwrap().attempts.len(), 1);
}

#[test]
fn an_error_below_an_error_is_the_next_link() {
    let attempts = errors(&entry(
        "2026-09-01T00:00:00Z",
        100,
        "<key>filePath</key><string>/var/mobile/secret.jpg</string>
         <key>localizedDescription</key><string>Failed to upload “Anna’s diary” from /var/mobile/secret.jpg</string>
         <key>underlyingError</key><dict><key>domain</key><string>CKErrorDomain</string><key>code</key><integer>16</integer>
           <key>filePath</key><string>AppDomain-com.example.clip:Library/projects/Anna.fci</string>
           <key>underlyingError</key><dict><key>domain</key><string>NSPOSIXErrorDomain</string><key>code</key><integer>-5</integer>
             <key>underlyingError</key><dict><key>domain</key><string>not a domain</string><key>code</key><integer>1</integer></dict>
           </dict></dict>",
    ));
    assert_eq!(
        attempts[0].chain,
        [
            error("MBErrorDomain", 100),
            error("CKErrorDomain", 16),
            error("NSPOSIXErrorDomain", -5)
        ]
    );
    assert_eq!(attempts[0].app.as_deref(), Some("com.example.clip"));
    assert_eq!(
        attempts[0].text.as_deref(),
        Some("Failed to upload … from …")
    );

    let nameless = errors(&entry("2026-09-01T00:00:00Z", 1, "").replace("MBErrorDomain", "/var/x"));
    assert!(!nameless[0].succeeded(), "it does not turn into a success");
}

#[test]
fn a_chain_and_a_list_without_end_have_one() {
    let mut chain =
        "<key>domain</key><string>D</string><key>code</key><integer>1</integer>".to_owned();
    for _ in 0..20 {
        chain = format!(
            "<key>domain</key><string>D</string><key>code</key><integer>1</integer><key>underlyingError</key><dict>{chain}</dict>"
        );
    }
    let long = format!("<dict>{chain}<key>date</key><date>2026-09-01T00:00:00Z</date></dict>");
    assert_eq!(errors(&long)[0].chain.len(), MOST_LINKS);

    let many: String = (0..400)
        .map(|n| {
            entry(
                &format!("2026-08-{:02}T00:00:{:02}Z", n / 40 + 1, n % 40),
                n,
                "",
            )
        })
        .collect();
    let attempts = errors(&many);
    assert_eq!(attempts.len(), MOST_ATTEMPTS);
    assert_eq!(attempts[9].chain[0].code, 399, "the newest are kept");

    let parts: String = (0..50)
        .map(|n| format!("<key>AppDomain-org.example.a{n}</key><integer>{n}</integer>"))
        .collect();
    let books = xml(&format!("<key>PreflightSizing</key><dict>{parts}</dict>"));
    assert_eq!(books.largest.len(), MOST_PARTS);
    assert_eq!(books.largest[0].bytes, 49);
}

#[test]
fn what_cannot_be_true_is_left_out() {
    for (why, bad) in [
        ("before iCloud Backup", entry("2009-01-01T00:00:00Z", 303, "")),
        ("after the backup it is in", entry("2026-09-20T00:00:00Z", 303, "")),
        ("no date", "<dict><key>domain</key><string>MBErrorDomain</string><key>code</key><integer>303</integer></dict>".to_owned()),
        ("no code", "<dict><key>domain</key><string>MBErrorDomain</string><key>date</key><date>2026-09-01T00:00:00Z</date></dict>".to_owned()),
        ("a date in words", "<dict><key>domain</key><string>D</string><key>code</key><integer>1</integer><key>date</key><string>2026-09-01</string></dict>".to_owned()),
        ("no dictionary", "<string>MBErrorDomain</string>".to_owned()),
    ] {
        assert_eq!(errors(&bad), [], "{why}");
    }
    let books = xml(
        "<key>FailureCount</key><integer>-1</integer>
         <key>MissingEncryptionKeyFailureCount</key><string>3</string>
         <key>RetryAfter</key><date>2031-01-01T00:00:00Z</date>
         <key>AccountEnabledDate</key><integer>5</integer>
         <key>RestoreInfo</key><array/>
         <key>RemoteConfiguration</key><dict><key>BackupPeriod</key><real>nan</real><key>BackupWarningPeriod</key><integer>0</integer></dict>
         <key>PreflightSizing</key><dict><key>_TotalSize</key><integer>9223372036854775807</integer>
           <key>/private/var/Anna</key><integer>5</integer><key>MediaDomain</key><integer>-5</integer></dict>
         <key>LastOnConditionEvents</key><dict/>",
    );
    assert_eq!(
        Books {
            attempts: Vec::new(),
            ..books
        },
        xml("")
    );
}

/// Our own backup is one, too, and may be noted there before the file is copied.
#[test]
fn a_backup_to_a_computer_is_no_upload() {
    for (state, is) in [
        (
            "<key>isCloud</key><false/><key>progress</key><real>0.5</real>",
            false,
        ),
        ("<key>progress</key><real>0.5</real>", false),
        (
            "<key>isCloud</key><true/><key>progress</key><real>1</real>",
            false,
        ),
        (
            "<key>isCloud</key><true/><key>progress</key><real>0</real>",
            false,
        ),
        (
            "<key>isCloud</key><true/><key>progress</key><real>0.5</real>",
            true,
        ),
    ] {
        let books = xml(&format!("<key>BackupStateInfo</key><dict>{state}</dict>"));
        assert_eq!(books.upload.is_some(), is, "{state}");
    }
}

#[test]
fn the_windows_of_the_public_sample() {
    let windows = windows(&[WINDOW]).unwrap();
    let window = &windows[0];
    assert_eq!(window.start, on("2023-02-22T18:24:49.051Z"));
    assert_eq!(window.length, Period::seconds(158_966));
    assert_eq!(
        (
            window.enabled,
            window.on_power,
            window.locked,
            window.on_wifi
        ),
        (true, true, false, true),
        "unlocking ended it"
    );
    assert_eq!(window.error, Some(error("MBErrorDomain", 209)));
    assert_eq!(window.ignored, 0);
}

#[test]
fn windows_of_another_form_are_not_known() {
    assert_eq!(
        windows(&[]),
        Some(Vec::new()),
        "none at all is something that is known"
    );
    let fields: Vec<&str> = WINDOW.split('|').collect();
    let with = |at: usize, field: &str| {
        let mut fields = fields.clone();
        fields[at] = field;
        fields.join("|")
    };
    for line in [
        fields[..18].join("|"),
        format!("{WINDOW}|0"),
        format!("{WINDOW}|0|0|0"),
        with(0, "yesterday"),
        with(0, "2001-02-22T10:24:49.051-08:00"),
        with(1, "-1"),
        with(1, "NaN"),
        with(1, "1e300"),
        with(4, "2"),
        with(13, "many"),
        with(18, "-1"),
        String::new(),
        "|".repeat(1000),
    ] {
        assert_eq!(windows(&[WINDOW, &line]), None, "{line}");
    }
    let without = windows(&[&with(12, "").replace("|209|", "|0|")]).unwrap();
    assert_eq!(without[0].error, None, "no error is a window, too");
}

#[test]
fn what_is_no_list_is_not_read() {
    let mut deep = "<array>".repeat(100);
    deep.push_str(&"</array>".repeat(100));
    for bytes in [
        b"".to_vec(),
        b"bplist00".to_vec(),
        b"<plist><array/></plist>".to_vec(),
        codec::to_binary(&Value::Dictionary(Dictionary::new()))[..20].to_vec(),
        format!("<plist><dict><key>a</key>{deep}</dict></plist>").into_bytes(),
        vec![b' '; MAX + 1],
    ] {
        assert!(parse(&bytes, at()).is_err(), "{} bytes", bytes.len());
    }
}
