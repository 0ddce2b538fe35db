//! Notes that no honest phone makes. The file is written by hand where a property list in memory could not hold it.

use std::fmt::Write as _;

use crate::persona::Absurd;

const DEPTH: usize = 100_000;
const MANY: usize = 10_000;

pub(super) fn file(kind: Absurd) -> Vec<u8> {
    match kind {
        Absurd::Wide => wide(),
        Absurd::Deep => deep(),
    }
    .into_bytes()
}

fn list(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>{body}</dict></plist>\n"
    )
}

fn deep() -> String {
    let open = "<key>underlyingError</key><dict>".repeat(DEPTH);
    list(&format!("{open}{}", "</dict>".repeat(DEPTH)))
}

fn wide() -> String {
    let mut body = String::new();
    for (key, value) in [
        ("FailureCount", "<integer>18446744073709551615</integer>"),
        ("MissingEncryptionKeyFailureCount", "<integer>-5</integer>"),
        ("RetryAfter", "<date>9999-12-31T23:59:59Z</date>"),
        (
            "AccountEnabledDate",
            "<string>&lt;script&gt;alert(2)&lt;/script&gt;</string>",
        ),
        ("RestoreInfo", "<array><true/></array>"),
        (
            "RemoteConfiguration",
            "<dict><key>BackupPeriod</key><integer>-1</integer>\
             <key>BackupWarningPeriod</key><real>1e300</real></dict>",
        ),
    ] {
        // Writing into a String cannot fail.
        let _ = write!(body, "<key>{key}</key>{value}");
    }
    body.push_str("<key>LastOnConditionEvents</key><array>");
    for number in 0..MANY {
        let _ = write!(
            body,
            "<string>2026-11-22T03:04:05.000Z|1e{number}|1|1|0|1|1|0|1|1|1|9|MBErrorDomain|{number}|2|0|0|0|-1</string>"
        );
    }
    body.push_str("</array><key>PreflightSizing</key><dict>");
    for number in 0..MANY {
        let _ = write!(
            body,
            "<key>AppDomain-&lt;b&gt;{number}</key><integer>18446744073709551615</integer>"
        );
    }
    body.push_str("<key>_TotalSize</key><false/></dict><key>BackupStateInfo</key><dict>");
    body.push_str("<key>progress</key><real>1e300</real><key>isCloud</key><integer>7</integer>");
    body.push_str("<key>estimatedTimeRemaining</key><real>-1e308</real><key>errors</key><array>");
    for number in 0..MANY {
        let _ = write!(
            body,
            "<dict><key>domain</key><string>&lt;img src=x onerror=alert(3)&gt;</string>\
             <key>code</key><integer>-{number}</integer><key>date</key><date>0001-01-01T00:00:00Z</date></dict>"
        );
    }
    // An honest chain is three errors deep; this one is as deep as a careful reader just follows.
    let link = "<key>domain</key><string>MBErrorDomain</string><key>code</key><integer>9223372036854775807</integer>";
    let chain = format!("{link}<key>underlyingError</key><dict>").repeat(24);
    let _ = write!(
        body,
        "<string>no dictionary</string><dict><key>date</key><date>2026-11-22T03:04:05Z</date>\
         <key>localizedDescription</key><string>{}</string>{chain}{link}{}</dict>",
        "x".repeat(100_000),
        "</dict>".repeat(24),
    );
    body.push_str("</array></dict>");
    list(&body)
}
