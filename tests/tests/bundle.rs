//! `Backupwatch.app`, made of executables that do nothing: what macOS looks for in it is there, and its seal holds.
//!
//! On Linux nothing links a real executable for macOS; the seal and what is around it are the same for any.

use backupwatch_e2e::{
    binary,
    macho::{self, ARM64, Processor, X86_64},
    peers,
};
use plist::{Dictionary, Value};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(240);

/// The bundle of these processors' executables; `None` where nothing can sign, and the skip was recorded.
fn bundle(home: &Path, processors: &[Processor]) -> Option<PathBuf> {
    peers::find(if cfg!(target_os = "macos") {
        "codesign"
    } else {
        "rcodesign"
    })?;
    let mut command = binary::xtask();
    command.args(["bundle", "--out"]).arg(home);
    for (index, processor) in processors.iter().enumerate() {
        let file = home.join(format!("executable-{index}"));
        fs::write(&file, macho::executable(*processor)).unwrap();
        command.arg("--executable").arg(file);
    }
    let output = peers::run(&mut command, PATIENCE);
    assert!(output.status.success(), "{}", peers::words(&output));
    Some(home.join("Backupwatch.app/Contents"))
}

fn read(path: &Path) -> Dictionary {
    plist::from_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below, relative to the folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap();
                found.insert(name.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn the_bundle_is_what_macos_looks_for() {
    let home = tempfile::tempdir().unwrap();
    let Some(contents) = bundle(home.path(), &[ARM64]) else {
        return;
    };
    let expected = [
        "Info.plist",
        "Library/LaunchAgents/dev.backupwatch.agent.plist",
        "MacOS/backupwatch",
        "Resources/AppIcon.icns",
        "_CodeSignature/CodeResources",
    ];
    assert_eq!(files(&contents), expected.map(str::to_owned).into());

    let info = read(&contents.join("Info.plist"));
    let text = |key: &str| info.get(key).and_then(Value::as_string);
    assert_eq!(text("CFBundleIdentifier"), Some("dev.backupwatch"));
    assert_eq!(text("CFBundlePackageType"), Some("APPL"));
    let version = Some(env!("CARGO_PKG_VERSION"));
    assert_eq!(text("CFBundleVersion"), version);
    assert_eq!(text("CFBundleShortVersionString"), version);
    assert_eq!(text("LSMinimumSystemVersion"), Some("13.0"));
    assert_eq!(info.get("LSUIElement"), Some(&Value::Boolean(true)));
    assert!(!info.contains_key("LSBackgroundOnly"));
    for volume in ["Removable", "Network"] {
        let why = text(&format!("NS{volume}VolumesUsageDescription"));
        assert!(why.is_some_and(|why| why.ends_with('.')), "{why:?}");
    }
    let executable = contents
        .join("MacOS")
        .join(text("CFBundleExecutable").unwrap());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(executable).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o755);
    let icon = contents
        .join("Resources")
        .join(text("CFBundleIconFile").unwrap());
    assert_icon(&fs::read(icon.with_extension("icns")).unwrap());
}

/// The pictures are PNG of the sizes that their kinds promise, and something is drawn in them.
fn assert_icon(icns: &[u8]) {
    let number = |offset: usize| {
        let bytes: [u8; 4] = icns[offset..][..4].try_into().unwrap();
        usize::try_from(u32::from_be_bytes(bytes)).unwrap()
    };
    assert_eq!((&icns[..4], number(4)), (b"icns".as_slice(), icns.len()));
    let (mut offset, mut seen) = (8, Vec::new());
    while offset < icns.len() {
        let png = &icns[offset + 8..offset + number(offset + 4)];
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let width = number(offset + 8 + 16);
        assert_eq!(number(offset + 8 + 20), width, "it is square");
        assert!(png.len() > 5 * width, "{width}: {} bytes", png.len());
        seen.push((str::from_utf8(&icns[offset..offset + 4]).unwrap(), width));
        offset += number(offset + 4);
    }
    let expected = [
        ("ic11", 32),
        ("ic12", 64),
        ("ic07", 128),
        ("ic13", 256),
        ("ic08", 256),
        ("ic14", 512),
        ("ic09", 512),
        ("ic10", 1024),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_agent_in_the_bundle_is_the_one_of_launchd() {
    let home = tempfile::tempdir().unwrap();
    let Some(contents) = bundle(home.path(), &[ARM64]) else {
        return;
    };
    let agent = contents.join("Library/LaunchAgents/dev.backupwatch.agent.plist");
    assert!(
        !fs::read_to_string(&agent).unwrap().contains('@'),
        "no place is left open"
    );
    let mut agent = read(&agent);
    let program = agent.remove("BundleProgram").unwrap();
    let program = program.as_string().unwrap();
    assert!(
        contents.parent().unwrap().join(program).is_file(),
        "{program}"
    );
    let arguments = agent.remove("ProgramArguments").unwrap();
    assert_eq!(
        arguments,
        Value::Array(vec!["backupwatch".into(), "agent".into()])
    );
    let ours = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../launchd/dev.backupwatch.agent.plist"
    );
    let mut ours = read(Path::new(ours));
    for path in ["ProgramArguments", "StandardOutPath", "StandardErrorPath"] {
        assert!(ours.remove(path).is_some(), "{path}");
    }
    assert_eq!(agent, ours, "all else is the same");
}

#[test]
fn the_seal_is_over_the_whole_bundle() {
    let home = tempfile::tempdir().unwrap();
    let Some(contents) = bundle(home.path(), &[ARM64, X86_64]) else {
        return;
    };
    let executable = fs::read(contents.join("MacOS/backupwatch")).unwrap();
    let info = macho::sha256(&fs::read(contents.join("Info.plist")).unwrap());
    let resources = contents.join("_CodeSignature/CodeResources");
    let sealed = macho::sha256(&fs::read(&resources).unwrap());
    let slices = macho::slices(&executable);
    let processors: Vec<Processor> = slices.iter().map(|(processor, _)| *processor).collect();
    assert_eq!(processors, [ARM64, X86_64]);
    for (processor, slice) in slices {
        let signature = macho::signature(slice).expect("it is signed");
        assert_eq!(signature.identifier, "dev.backupwatch", "{processor:?}");
        assert_eq!(signature.flags, 2, "ad hoc, and not the linker's");
        assert_eq!(signature.info, info, "{processor:?}");
        assert_eq!(signature.resources, sealed, "{processor:?}");
        assert!(signature.code_holds, "{processor:?}");
    }

    let resources = read(&resources);
    let resources = resources["files2"].as_dictionary().unwrap();
    for file in [
        "Library/LaunchAgents/dev.backupwatch.agent.plist",
        "Resources/AppIcon.icns",
    ] {
        let hash = resources[file].as_dictionary().unwrap()["hash2"]
            .as_data()
            .unwrap();
        let content = fs::read(contents.join(file)).unwrap();
        assert_eq!(hash, macho::sha256(&content), "{file}");
    }
}

#[test]
fn an_executable_that_is_none_makes_no_bundle() {
    let home = tempfile::tempdir().unwrap();
    if bundle(home.path(), &[ARM64]).is_none() {
        return;
    }
    let text = home.path().join("text");
    fs::write(&text, "#!/bin/sh\n").unwrap();
    let mut command = binary::xtask();
    command.args(["bundle", "--out"]).arg(home.path());
    let output = peers::run(command.arg("--executable").arg(text), PATIENCE);
    assert!(!output.status.success(), "{}", peers::words(&output));
}
