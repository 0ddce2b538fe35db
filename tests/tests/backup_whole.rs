//! Every byte that a phone sends is on the host's disk, by the phone's own word: it makes its contents again and compares them
//! with the tree, through the keybag and the password where there is one. First a whole backup, then another after most things
//! that can happen to files have happened to them.

use backupwatch_e2e::{
    story::each,
    table::{PASSWORD, Table},
};
use backupwatch_sim::{
    mobilebackup2::How,
    persona::{LinkKind, LinkSpec, Persona},
};

/// A phone with these contents.
struct Phone {
    name: &'static str,
    contents: &'static str,
    change: fn(&mut Persona),
}

const fn phone(name: &'static str, contents: &'static str, change: fn(&mut Persona)) -> Phone {
    Phone {
        name,
        contents,
        change,
    }
}

fn plain(_: &mut Persona) {}

fn encrypted(persona: &mut Persona) {
    persona.backup.password = Some(PASSWORD.to_owned());
}

const ODD_NAMES: &str = r#"
    seed = 1
    [[groups]]
    domain = "CameraRollDomain"
    prefix = "Media/Zoe\u0308 und Noe\u0301"
    count = 120
    size = [0, 5_000]
    names = [
        "\U0001F469\u200D\U0001F467 {n}.jpg", "Zoe\u0308 {n}.mov", "Zo\u00EB {n}.mov", " leading {n}", "trailing {n} ", "-rf {n}",
        "{n}\n.txt", "{n}\\..\\x", "CON {n}", "%2e%2e {n}", "\u202E{n}", "con:{n}", "\u5BB6\u65CF {n}", ".hidden {n}",
    ]
    [[groups]]
    domain = "AppDomainGroup-group.net.example.a b'c\"d"
    count = 20
    size = [1, 100]
    [[files]]
    domain = "HomeDomain"
    path = "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/deep"
    size = 10
"#;

const NOTHING_IN_THEM: &str = r#"
    seed = 2
    [[groups]]
    domain = "HomeDomain"
    prefix = "Library/Caches"
    count = 150
    size = [0, 0]
    [[directories]]
    domain = "MediaDomain"
    path = "Empty/Folder"
    [[symlinks]]
    domain = "HomeDomain"
    path = "Library/link"
    target = "/etc/passwd"
"#;

/// Lengths around everything that has a length: blocks of the cipher, frames, records of TLS, our pieces and buffers.
const EDGES: &str = r#"
    seed = 3
    [[files]]
    domain = "HomeDomain"
    path = "15"
    size = 15
    [[files]]
    domain = "HomeDomain"
    path = "16"
    size = 16
    [[files]]
    domain = "HomeDomain"
    path = "17"
    size = 17
    [[files]]
    domain = "HomeDomain"
    path = "16 KiB"
    size = 16_384
    [[files]]
    domain = "HomeDomain"
    path = "32 KiB less one"
    size = 32_767
    [[files]]
    domain = "HomeDomain"
    path = "32 KiB and one"
    size = 32_769
    [[files]]
    domain = "HomeDomain"
    path = "128 KiB"
    size = 131_072
    [[files]]
    domain = "HomeDomain"
    path = "128 KiB and one"
    size = 131_073
    [[files]]
    domain = "HomeDomain"
    path = "256 KiB"
    size = 262_144
    [[files]]
    domain = "HomeDomain"
    path = "4 MiB and one"
    size = 4_194_305
    [[files]]
    domain = "HomeDomain"
    path = "a film"
    size = 24_000_000
"#;

const MANY: &str = r#"
    seed = 4
    [[groups]]
    domain = "AppDomain-net.example.chat"
    prefix = "Documents/messages"
    count = 1_500
    size = [0, 600]
    [[groups]]
    domain = "HomeDomain"
    prefix = "Library/Preferences"
    count = 300
    size = [42, 900]
"#;

fn is_whole(phone: &Phone) {
    let mut persona = Persona::plain("00008101-000A11112222AAAA", phone.name);
    persona.contents = toml::from_str(phone.contents).unwrap();
    (phone.change)(&mut persona);
    let table = Table::unix(persona);
    let all = table.phone().phone().backup().catalog().files().count();

    table.back_up_well(&[]);
    let verdict = table.phone().verdict(&table.root());
    assert_eq!(verdict.files, all, "{}", phone.name);

    table.phone().phone().backup().change(|catalog| {
        catalog.mutate(20.0);
        let first = catalog.files().next().unwrap().clone();
        catalog
            .rename(&first.domain, &first.path, "moved \u{1F69A}")
            .unwrap();
        let last = catalog.files().last().unwrap().clone();
        catalog.delete(&last.domain, &last.path).unwrap();
        catalog
            .add("NewDomain", "new/\u{e9}te\u{301}", 40_000)
            .unwrap();
        catalog.add("NewDomain", "new/empty", 0).unwrap();
    });
    table.back_up_well(&[]);
    let finished = table.phone().phone().backup().finished().unwrap();
    assert_eq!(finished.how, How::Incremental, "{}", phone.name);
    let verdict = table.phone().verdict(&table.root());
    assert_eq!(verdict.files, all + 1, "{}", phone.name);
}

fn are_whole(phones: &[Phone]) {
    each(phones, |phone| phone.name, is_whole);
}

#[test]
fn names_that_are_easily_got_wrong() {
    are_whole(&[
        phone("odd names", ODD_NAMES, plain),
        phone("odd names, encrypted", ODD_NAMES, encrypted),
    ]);
}

#[test]
fn files_without_a_byte_in_them() {
    are_whole(&[
        phone("nothing in them", NOTHING_IN_THEM, plain),
        phone("nothing in them, encrypted", NOTHING_IN_THEM, encrypted),
    ]);
}

#[test]
fn lengths_at_every_edge() {
    are_whole(&[phone("edges", EDGES, plain)]);
}

#[test]
fn lengths_at_every_edge_encrypted() {
    are_whole(&[phone("edges, encrypted", EDGES, encrypted)]);
}

#[test]
fn many_small_files() {
    are_whole(&[phone("many", MANY, plain)]);
}

#[test]
fn a_phone_that_works_in_small_steps() {
    are_whole(&[
        phone("one file at a time", NOTHING_IN_THEM, |persona| {
            persona.backup.batch = 1;
        }),
        phone("frames of one block", ODD_NAMES, |persona| {
            persona.backup.frame = 16;
        }),
    ]);
}

#[test]
fn over_wifi() {
    are_whole(&[phone("Wi-Fi", ODD_NAMES, |persona| {
        let link = LinkSpec {
            kind: LinkKind::Network,
            ..persona.link[0].clone()
        };
        persona.link = vec![link];
    })]);
}
