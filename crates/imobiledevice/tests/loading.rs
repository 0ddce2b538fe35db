//! Libraries that are not there, not libraries, or not new enough: each is one sentence with what to do next. The libraries are made
//! here, by the C compiler that Rust links with.

#![cfg(test)]

mod stage;

use std::path::{Path, PathBuf};
use std::process::Command;

use backupwatch_imobiledevice::{Library, LoadError};
use stage::{example, find, library_is_here};

/// A shared library of this C.
fn library(cc: &Path, dir: &Path, name: &str, code: &str, more: &[&str]) -> PathBuf {
    let source = dir.join(format!("{name}.c"));
    std::fs::write(&source, code).unwrap();
    let file = dir.join(name);
    let mut command = Command::new(cc);
    command
        .args(["-shared", "-fPIC", "-o"])
        .arg(&file)
        .arg(&source)
        .args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    file
}

fn sentence(file: &Path) -> String {
    Library::load_from(file).unwrap_err().to_string()
}

#[test]
fn a_library_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let error = Library::load_from(&dir.path().join("libimobiledevice-1.0.so.6")).unwrap_err();
    assert!(matches!(error, LoadError::Missing), "{error:?}");
    let told = error.to_string();
    assert!(
        told.starts_with("libimobiledevice is not installed; install it with: "),
        "{told}"
    );
    assert!(
        told.contains("apt install libimobiledevice-1.0-6")
            || told.contains("brew install libimobiledevice"),
        "{told}"
    );
}

#[test]
fn a_file_that_is_no_library() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("libimobiledevice-1.0.so.6");
    for content in [
        &b""[..],
        b"this is text",
        b"\x7fELF and then nothing of the kind",
    ] {
        std::fs::write(&file, content).unwrap();
        let told = sentence(&file);
        assert!(
            told.starts_with(&format!(
                "libimobiledevice at {} cannot be loaded (",
                file.display()
            )),
            "{told}"
        );
        assert!(told.contains("; install it anew with: "), "{told}");
    }
}

#[test]
fn a_library_whose_own_libraries_are_missing() {
    let Some(cc) = find("cc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let needed = library(
        &cc,
        dir.path(),
        "libneeded.so",
        "int needed(void) { return 1; }",
        &[],
    );
    let code = "int needed(void); int idevice_free(void *device) { return needed(); }";
    let file = library(
        &cc,
        dir.path(),
        "libbroken.so",
        code,
        &[needed.to_str().unwrap()],
    );
    std::fs::remove_file(needed).unwrap();
    let error = Library::load_from(&file).unwrap_err();
    assert!(matches!(error, LoadError::Broken { .. }), "{error:?}");
    assert!(error.to_string().contains("libneeded.so"), "{error}");
}

#[test]
fn a_library_that_is_too_old_is_told_by_what_it_lacks() {
    let Some(cc) = find("cc") else { return };
    let dir = tempfile::tempdir().unwrap();
    // 1.2 had this one, and not the list that tells cable from Wi-Fi.
    let code = "int idevice_free(void *device) { return 0; }";
    let file = library(&cc, dir.path(), "libold.so", code, &[]);
    let error = Library::load_from(&file).unwrap_err();
    assert!(matches!(error, LoadError::TooOld { .. }), "{error:?}");
    let told = error.to_string();
    let expected = format!(
        "libimobiledevice at {} is too old: it has no idevice_get_device_list_extended, and version 1.3 or newer is needed; update it with: ",
        file.display()
    );
    assert!(told.starts_with(&expected), "{told}");
}

#[test]
fn the_current_folder_is_not_looked_into() {
    let Some(cc) = find("cc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let code =
        "#include <stdlib.h>\n__attribute__((constructor)) static void loaded(void) { exit(66); }";
    library(&cc, dir.path(), "libimobiledevice-1.0.so.6", code, &[]);
    let run = |trusted: bool| {
        let mut command = Command::new(example("exercise"));
        command.arg("library").current_dir(dir.path());
        if trusted {
            command.env("LD_LIBRARY_PATH", dir.path());
        }
        command.output().unwrap().status.code()
    };
    assert_ne!(run(false), Some(66));
    // That the library made here does end the process, where somebody tells the system to look there.
    if cfg!(target_os = "linux") {
        assert_eq!(run(true), Some(66));
    }
}

#[test]
fn the_library_that_is_here_says_what_it_is_and_where() {
    if !library_is_here() {
        return;
    }
    let library = Library::load().unwrap();
    assert!(library.version().starts_with("1."), "{}", library.version());
    assert!(
        library.file().is_absolute() && library.file().is_file(),
        "{}",
        library.file().display()
    );
    // The one and the same.
    assert!(std::ptr::eq(library, Library::load().unwrap()));
    let again = Library::load_from(library.file()).unwrap();
    assert_eq!(again.version(), library.version());
}
