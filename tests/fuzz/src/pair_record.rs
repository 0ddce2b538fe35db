//! A pair record as usbmuxd keeps it.

use backupwatch_wire::lockdown::PairRecord;

use super::bytes::settles_as_xml;

pub fn target(input: &[u8]) {
    let Ok(record) = PairRecord::decode(input) else {
        return;
    };
    settles_as_xml(&record, PairRecord::encode, PairRecord::decode);
    let sent = record.for_device();
    assert!(sent.host_private_key.is_none() && sent.root_private_key.is_none());
    assert_eq!(
        format!("{record:?}"),
        "PairRecord(..)",
        "nothing of it is shown"
    );
}
