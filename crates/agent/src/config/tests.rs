//! Tables over `fixtures/config`: every good file reads back from what it shows, every bad one names its line.

use super::*;
use crate::paths::Base;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/config")
        .join(path)
}

#[test]
fn good_files_read_back_from_what_they_show() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture("good")).unwrap() {
        let path = entry.unwrap().path();
        let config =
            Config::load(&path, true).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let shown = config.show().unwrap();
        assert_eq!(
            Config::parse(&shown),
            Ok(config),
            "{} shows as\n{shown}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen >= 3, "the fixtures are missing");
}

#[test]
fn a_device_overrides_what_it_names_and_nothing_else() {
    let config = Config::load(&fixture("good/everything.toml"), true).unwrap();
    let grandma = Udid::parse("00008110-000A1B2C3D4E5F60").unwrap();
    let other = Udid::parse("00008110-000A1B2C3D4E5F61").unwrap();
    // However it is typed.
    let typed = Config::parse("[device.\"00008110-000a1b2c3d4e5f60\"]\nname = \"Gran\"\n");
    assert!(typed.unwrap().nicknames.contains_key(&grandma));
    assert_eq!(
        config.nicknames.get(&grandma).map(String::as_str),
        Some("Grandma's phone")
    );
    assert_eq!(config.policy(&grandma).icloud.stale.to_string(), "3 d");
    assert_eq!(
        config.policy(&grandma).icloud.alarm,
        config.policy(&other).icloud.alarm
    );
    assert_eq!(
        config.policy(&grandma).poll.interval.to_string(),
        "20 min",
        "from the general part of the file"
    );
    assert_eq!(config.policy(&other).icloud.stale.to_string(), "4 d");
    assert_eq!(
        config.own.backup.root.as_deref(),
        Some(Path::new("/Volumes/Safe/phones"))
    );
}

/// Every bad file begins with comments `# expect: LINE TEXT`.
#[test]
fn bad_files_say_where_and_why() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture("bad")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# expect: "))
            .unwrap();
        let (line, words) = expected.split_once(' ').unwrap();
        let mistake = Config::parse(&text).expect_err(&path.display().to_string());
        let name = path.file_name().unwrap().to_string_lossy();
        assert_eq!(
            mistake.place.map(|(line, _)| line),
            line.parse().ok(),
            "{name}: {mistake}"
        );
        assert!(mistake.message.contains(words), "{name}: {mistake}");
        assert!(!mistake.to_string().contains('\n'), "{name}: {mistake}");
        seen += 1;
    }
    assert!(seen >= 10, "the fixtures are missing");
}

/// Whoever has the address of a check can silence it.
#[test]
fn of_addresses_outside_only_the_host_is_shown() {
    let text = "[ping]\nurl = \"https://hc.example/secret\"\n[[webhook]]\nurl = \"https://hook.example/secret\"\n\
        secret_file = \"/home/me/key\"\n[device.\"00008110-000A1B2C3D4E5F60\"]\nping = \"https://hc.example:8443/secret\"\n";
    let config = Config::parse(text).unwrap();
    let shown = config.show().unwrap();
    assert!(!shown.contains("secret\""), "{shown}");
    for told in [
        "https://hc.example/...",
        "https://hook.example/...",
        "https://hc.example:8443/...",
        "/home/me/key",
    ] {
        assert!(shown.contains(told), "{shown}");
    }
    assert!(!format!("{config:?}").contains("secret\""));
    assert!(Config::parse(&shown).is_ok(), "{shown}");
}

#[test]
fn the_defaults_as_a_file() {
    insta::assert_snapshot!(Config::default().show().unwrap());
}

#[test]
fn files_that_are_not_there_not_text_or_endless() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    assert_eq!(Config::load(&path, false).unwrap(), Config::default());
    let refused = Config::load(&path, true).unwrap_err();
    assert!(
        matches!(refused, ConfigError::Io { .. }),
        "a file that was named must be there: {refused}"
    );

    std::fs::write(&path, b"\xff\xfe[poll]").unwrap();
    assert!(
        Config::load(&path, false)
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
    std::fs::write(&path, "#".repeat(2 << 20)).unwrap();
    assert!(
        Config::load(&path, false)
            .unwrap_err()
            .to_string()
            .contains("longer than")
    );
    std::fs::write(&path, format!("x = {}", "[".repeat(100_000))).unwrap();
    assert!(
        Config::load(&path, false).is_err(),
        "depth is bounded by the parser"
    );
}

/// The managed file holds for what it says, the person's own for the rest, and each mistake is told of its file.
#[test]
fn what_is_managed_wins_key_by_key() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let (own, managed) = (dir.path().join("own.toml"), dir.path().join("managed.toml"));
    let home = dir.path().to_owned();
    let base = Base {
        system: crate::paths::System::Xdg,
        config: home.clone(),
        state: home.clone(),
        data: home.clone(),
        runtime: None,
        uid: 0,
        home,
    };
    let us = rustix::process::geteuid().as_raw();
    let sources = Sources {
        managed: Some(managed.clone()),
        file: own.clone(),
        named: false,
        base,
    };
    let load = || sources.load_of(&[0, us]);
    let write = |path: &Path, text: &str, mode: u32| {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let udid: Udid = "00008110-000A1B2C3D4E001E".parse().unwrap();

    // Neither is there, then the person's, then both.
    assert_eq!(load().unwrap(), Config::default());
    write(
        &own,
        "[icloud]\nlate = \"1 d\"\nstale = \"5 d\"\n[ping]\nurl = \"https://own.example/1\"\n\
         [device.00008110-000a1b2c3d4e001e]\nname = \"Ada\"\nicloud.stale = \"6 d\"\n",
        0o600,
    );
    assert_eq!(load().unwrap().managed, None);
    write(
        &managed,
        "[icloud]\nstale = \"3 d\"\n[metrics]\ntextfile = \"~/m.prom\"\n\
         [device.00008110-000A1B2C3D4E001E]\nicloud.stale = \"60 h\"\n",
        0o644,
    );
    let both = load().unwrap();
    let general = &both.policies.general.icloud;
    assert_eq!(
        (general.late.to_string(), general.stale.to_string()),
        ("1 d".to_owned(), "3 d".to_owned())
    );
    assert_eq!(both.policy(&udid).icloud.stale.to_string(), "60 h");
    assert_eq!(both.nicknames.get(&udid).map(String::as_str), Some("Ada"));
    assert!(both.own.ping.url.is_some());
    let prom = dir.path().join("m.prom");
    assert_eq!(both.own.metrics.textfile.as_deref(), Some(&*prom));
    let words = both.managed.unwrap().words();
    assert!(words.contains("icloud.stale, metrics.textfile"), "{words}");

    // Each mistake is told of the file that it is in; one of both together, too.
    let words = |error: ConfigError| crate::medium::in_full(&error);
    write(&managed, "[icloud]\nstael = \"3 d\"\n", 0o644);
    let error = words(load().unwrap_err());
    assert!(error.contains("managed.toml, line 2, column 1"), "{error}");
    write(&managed, "[icloud]\nlate = \"70 h\"\n", 0o644);
    write(&own, "[icloud]\nstale = \"60 h\"\n", 0o644);
    let error = words(load().unwrap_err());
    assert!(
        error.contains("managed.toml") && error.contains("together with"),
        "{error}"
    );

    // Somebody else could have written it: by the file, by its folder, or by being its owner.
    write(&managed, "menu_bar = false\n", 0o664);
    let error = words(load().unwrap_err());
    assert!(
        error.contains("users other than root may change"),
        "{error}"
    );
    write(&managed, "menu_bar = false\n", 0o644);
    assert!(!load().unwrap().own.menu_bar);
    assert!(sources.load_of(&[u32::MAX]).is_err());
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(load(), Err(ConfigError::Untrusted { .. })));
}
