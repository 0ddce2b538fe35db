use super::*;
use backupwatch_core::{Udid, notice::Action};

fn device(name: &str, protection: Protection) -> MenuDevice {
    MenuDevice {
        udid: "00008110-000A1B2C3D4E001E".parse::<Udid>().unwrap(),
        name: name.to_owned(),
        protection,
        reason: "iCloud has not backed up this iPhone for 58 days, and there is no copy on this computer.".to_owned(),
        progress: None,
        actions: vec![Action::BackUpNow, Action::ShowSteps, Action::Snooze],
    }
}

fn menu(devices: Vec<MenuDevice>) -> Menu {
    Menu {
        worst: devices.first().map(|device| device.protection),
        trouble: None,
        devices,
        more: 0,
    }
}

/// The menu as a person sees it, each device's own menu to its right.
fn drawn(lines: &[Line]) -> String {
    let one = |line: &Line| match line {
        Line::Words(words) => words.clone(),
        Line::Choice(label, _) => format!("[{label}]"),
        Line::Device(label, own) => {
            format!("{label}  > {}", drawn(own).replace('\n', " | "))
        }
        Line::Separator => "--".to_owned(),
    };
    lines.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Every text of a menu, with its own menus.
fn texts(lines: &[Line]) -> Vec<String> {
    let one = |line: &Line| match line {
        Line::Words(words) | Line::Choice(words, _) => vec![words.clone()],
        Line::Device(label, own) => std::iter::once(label.clone()).chain(texts(own)).collect(),
        Line::Separator => Vec::new(),
    };
    lines.iter().flat_map(one).collect()
}

#[test]
fn menus() {
    let mut running = device("Ben’s iPad", Protection::AtRisk);
    running.progress = Some("Backing up: 42 %, 1.2 GB, about 3 minutes left".to_owned());
    running.actions = vec![Action::ShowSteps, Action::Snooze];
    let ada = device("Ada’s iPhone 📱", Protection::Unprotected);
    let mut fine = device("Carl", Protection::Protected);
    fine.reason = "iCloud backed up this iPhone 5 hours ago.".to_owned();
    let mut many = menu((0..12).map(|_| ada.clone()).collect());
    many.more = 488;
    let mut blind = menu(vec![fine.clone()]);
    blind.trouble = Some("Phones cannot be seen: usbmuxd does not answer.".to_owned());
    let cases = [
        ("three", menu(vec![ada.clone(), running, fine.clone()])),
        ("none", menu(Vec::new())),
        ("blind", blind),
        ("fine", menu(vec![fine.clone(), fine])),
        ("five hundred", many),
    ];
    let drawn: Vec<String> = cases
        .iter()
        .map(|(name, menu)| {
            format!(
                "{name}: {} ({:?})\n{}",
                summary(menu),
                shown(menu),
                drawn(&lines(menu))
            )
        })
        .collect();
    insta::assert_snapshot!(drawn.join("\n==\n"));
}

/// What a phone calls itself is a stranger's text.
#[test]
fn hostile_names_are_text_on_one_short_line() {
    let novel = "Long ".repeat(100_000);
    let silent = "\u{202e}".repeat(100_000) + "late";
    let cases = [
        ("Ada\nQuit Until Next Login", "Ada Quit Until Next Login"),
        ("Ada\u{202e}enohPi", "AdaenohPi"),
        ("\u{2067}Ada\u{2069}\u{200f}", "Ada"),
        ("A\u{0}da\u{1b}[31m", "A da [31m"),
        ("\u{200b}\u{feff}", "A device without a name"),
        ("   ", "A device without a name"),
        (&silent, "A device without a name"),
        ("<b>&amp;_Ada_</b>", "<b>&amp;_Ada_</b>"),
        (&novel, "Long Long Long Long Long Long Long Long Long Lo…"),
        // One who writes from right to left keeps the name, and the verdict stays behind it.
        ("האייפון של נועה", "\u{2068}האייפון של נועה\u{2069}"),
    ];
    for (name, shown) in cases {
        let texts = texts(&lines(&menu(vec![device(name, Protection::AtRisk)])));
        assert_eq!(texts[0], format!("▲ {shown}: At risk"));
        assert!(
            texts
                .iter()
                .all(|text| text.chars().count() <= 72 && !text.contains(char::is_control)),
            "{texts:?}"
        );
    }
}

#[test]
fn a_hostile_reason_is_bounded_too() {
    let mut device = device("Ada", Protection::Unknown);
    device.reason = "x\n".repeat(100_000);
    device.progress = Some("\u{202e}y".repeat(100_000));
    let texts = texts(&lines(&menu(vec![device])));
    assert!(texts.len() < 20, "{}", texts.len());
    assert!(
        texts.iter().all(|text| text.chars().count() <= 72),
        "{texts:?}"
    );
}
