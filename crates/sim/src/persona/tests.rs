use super::{Dialog, LinkKind, LockdownFaultKind, Persona, PersonaError, Stamp};

const SMALLEST: &str = r#"
[identity]
udid = "00008101-000A11112222001E"
name = "Ada’s iPhone 📱"
"#;

#[test]
fn the_smallest_persona_is_a_healthy_trusted_phone_on_a_cable() {
    let persona = Persona::parse(SMALLEST).unwrap();
    assert!(persona.trust.paired);
    assert!(!persona.passcode.locked);
    assert_eq!(persona.link.len(), 1);
    assert_eq!(persona.link[0].kind, LinkKind::Usb);
    assert_eq!(persona.identity.device_class(), "iPhone");
    assert_eq!(persona.identity.ecid(), 0x000A_1111_2222_001E);
}

#[test]
fn the_words_of_a_persona_are_read() {
    let text = format!(
        r#"{SMALLEST}
[trust]
paired = false
dialog = {{ tap-after = 1.5 }}
[icloud]
last = {{ days-ago = 58.0 }}
[[lockdown.fault]]
request = "GetValue"
kind = "huge-length"
[[lockdown.fault]]
kind = {{ error = "ServiceLimit" }}
[[link]]
kind = "network"
"#
    );
    let persona = Persona::parse(&text).unwrap();
    assert_eq!(persona.trust.dialog, Dialog::TapAfter(1.5));
    assert_eq!(persona.icloud.last, Some(Stamp::DaysAgo(58.0)));
    assert_eq!(
        persona.lockdown.fault[0].kind,
        LockdownFaultKind::HugeLength
    );
    assert_eq!(
        persona.lockdown.fault[1].kind,
        LockdownFaultKind::Error("ServiceLimit".to_owned())
    );
    assert_eq!(persona.link[0].kind, LinkKind::Network);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let unknown = Persona::parse(&format!("{SMALLEST}\n[trust]\npared = true\n"));
    assert!(
        matches!(unknown, Err(PersonaError::Syntax(_))),
        "{unknown:?}"
    );
    let udid = Persona::parse("[identity]\nudid = \"../../etc\"\nname = \"x\"\n");
    assert!(matches!(udid, Err(PersonaError::Udid { .. })), "{udid:?}");
}

#[test]
fn a_stamp_counts_from_2001() {
    // protocol.md 5.1, capture A
    let at: jiff::Timestamp = "2025-05-15T20:37:27Z".parse().unwrap();
    assert_eq!(
        Stamp::At(at).value(at).as_signed_integer(),
        Some(769_034_247)
    );
    let day_later: jiff::Timestamp = "2025-05-16T20:37:27Z".parse().unwrap();
    assert_eq!(
        Stamp::DaysAgo(1.0).value(day_later).as_signed_integer(),
        Some(769_034_247)
    );
}
