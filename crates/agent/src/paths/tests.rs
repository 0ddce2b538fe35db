//! The same rules for both systems, on whichever system the tests run.

use super::*;

fn base(system: System) -> Base {
    Base {
        system,
        home: "/home/ada".into(),
        config: "/home/ada/.config".into(),
        state: "/home/ada/.local/state".into(),
        data: "/home/ada/.local/share".into(),
        runtime: Some("/run/user/1000".into()),
        uid: 1000,
    }
}

#[test]
fn the_default_places_of_both_systems() {
    let linux = Paths::resolve(&base(System::Xdg), &Moved::default());
    assert_eq!(
        linux.config,
        Path::new("/home/ada/.config/backupwatch/config.toml")
    );
    assert_eq!(linux.state, Path::new("/home/ada/.local/state/backupwatch"));
    assert_eq!(
        linux.socket,
        Path::new("/home/ada/.local/state/backupwatch/agent.sock")
    );
    assert_eq!(
        linux.backups,
        Path::new("/home/ada/.local/share/backupwatch/backups")
    );
    assert_eq!(linux.logs, None);

    let mac = Paths::resolve(&base(System::MacOs), &Moved::default());
    assert_eq!(
        mac.config,
        Path::new("/home/ada/.config/backupwatch/config.toml")
    );
    assert_eq!(
        mac.state,
        Path::new("/home/ada/Library/Application Support/backupwatch")
    );
    assert_eq!(
        mac.backups,
        Path::new("/home/ada/Library/Application Support/backupwatch/Backups")
    );
    assert_eq!(
        mac.logs.as_deref(),
        Some(Path::new("/home/ada/Library/Logs/backupwatch"))
    );
}

#[test]
fn a_moved_state_folder_takes_everything_along_that_is_not_named() {
    for system in [System::Xdg, System::MacOs] {
        let moved = Moved {
            state: Some("~/trial".into()),
            ..Moved::default()
        };
        let paths = Paths::resolve(&base(system), &moved);
        for path in [
            &paths.state,
            &paths.database,
            &paths.socket,
            &paths.backups,
            paths.logs.as_ref().unwrap(),
        ] {
            assert!(
                path.starts_with("/home/ada/trial"),
                "{system:?}: {}",
                path.display()
            );
        }
        let named = Moved {
            backups: Some("/Volumes/Safe".into()),
            logs: Some("~/l".into()),
            ..moved
        };
        let paths = Paths::resolve(&base(system), &named);
        assert_eq!(paths.backups, Path::new("/Volumes/Safe"));
        assert_eq!(paths.logs.as_deref(), Some(Path::new("/home/ada/l")));
    }
}

#[test]
fn a_socket_path_always_fits_the_address() {
    let long = PathBuf::from("/home/ada").join("x".repeat(120));
    let moved = Moved {
        state: Some(long.clone()),
        ..Moved::default()
    };
    let with_runtime = Paths::resolve(&base(System::Xdg), &moved).socket;
    assert!(
        with_runtime.starts_with("/run/user/1000/backupwatch"),
        "{}",
        with_runtime.display()
    );
    assert!(with_runtime.as_os_str().len() <= SOCKET_PATH_MAX);

    let without = Base {
        runtime: None,
        ..base(System::MacOs)
    };
    let own = Paths::resolve(&without, &moved).socket;
    assert!(
        own.starts_with("/tmp/backupwatch-1000"),
        "{}",
        own.display()
    );

    let endless = Base {
        runtime: Some(long.join("run")),
        ..base(System::Xdg)
    };
    assert!(
        Paths::resolve(&endless, &moved)
            .socket
            .starts_with("/tmp/backupwatch-1000")
    );

    let other = Moved {
        state: Some(long.join("other")),
        ..Moved::default()
    };
    assert_ne!(
        own,
        Paths::resolve(&without, &other).socket,
        "two states must not share a socket"
    );
}

#[test]
fn on_macos_a_file_in_application_support_is_read_when_it_is_the_only_one() {
    let home = tempfile::tempdir().unwrap();
    let base = Base {
        home: home.path().to_owned(),
        config: home.path().join(".config"),
        ..base(System::MacOs)
    };
    let xdg = home.path().join(".config/backupwatch/config.toml");
    let support = home
        .path()
        .join("Library/Application Support/backupwatch/config.toml");
    assert_eq!(base.config_file(None), xdg);
    std::fs::create_dir_all(support.parent().unwrap()).unwrap();
    std::fs::write(&support, "").unwrap();
    assert_eq!(base.config_file(None), support);
    std::fs::create_dir_all(xdg.parent().unwrap()).unwrap();
    std::fs::write(&xdg, "").unwrap();
    assert_eq!(base.config_file(None), xdg);
    assert_eq!(
        base.config_file(Some(Path::new("/x.toml"))),
        Path::new("/x.toml")
    );
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_state_folder_is_closed_to_others() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("a/b/state");
    let moved = Moved {
        state: Some(state.clone()),
        ..Moved::default()
    };
    let paths = Paths::resolve(&base(System::Xdg), &moved);
    paths.create_state().unwrap();
    assert_eq!(mode(&state), 0o700);

    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    paths.create_state().unwrap();
    assert_eq!(mode(&state), 0o700, "an empty one is closed");

    std::fs::write(state.join("holiday.jpg"), "").unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = paths.create_state().unwrap_err();
    assert!(
        matches!(refused, PathsError::TooOpen { mode: 0o755, .. }),
        "{refused}"
    );
    assert_eq!(mode(&state), 0o755, "somebody's folder keeps its mode");

    std::fs::write(state.join("state.db"), "").unwrap();
    paths.create_state().unwrap();
    assert_eq!(mode(&state), 0o700, "one of ours is closed");

    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let moved = Moved {
        state: Some(file),
        ..Moved::default()
    };
    let refused = Paths::resolve(&base(System::Xdg), &moved)
        .create_state()
        .unwrap_err();
    assert!(
        matches!(refused, PathsError::NotAFolder { .. }),
        "{refused}"
    );
}
