//! A release: its checksums, and the Homebrew formula, which is run as Homebrew would run it, in a Homebrew of a few lines.

use backupwatch_e2e::{binary, macho, peers};
use plist::{Dictionary, Value};
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(240);

/// What the formula needs of Homebrew. It installs into ARGV[1], from the folder that it is started in, and tells what was said.
const HOMEBREW: &str = r##"
require "pathname"
require "fileutils"
require "json"

class Pathname
  def install(name)
    mkpath
    FileUtils.cp_r(name, self, preserve: true)
  end

  def write_exec_script(target)
    mkpath
    script = self/target.basename
    script.write("#!/bin/bash\nexec \"#{target}\" \"$@\"\n")
    script.chmod(0755)
  end
end

class Formula
  SAID = {}
  class << self
    %w[desc homepage url sha256 license depends_on].each do |word|
      define_method(word) { |value| SAID[word] = value }
    end
    def service(&block) = instance_eval(&block)
    def name(value) = SAID["name"] = value
    def test; end
  end
  def prefix = Pathname.new(ARGV[1])
  def opt_prefix = Pathname.new(ARGV[2])
  def buildpath = Pathname.pwd
  def bin = prefix/"bin"
  def man1 = Class.new { def install(pages) = SAID["pages"] = pages }.new
  def system(*words) = SAID["system"] = words.map(&:to_s)
  def generate_completions_from_executable(*words) = SAID["completions"] = words.map(&:to_s)
end

load ARGV[0]
Backupwatch.new.install
puts JSON.generate(Formula::SAID)
"##;

/// `cargo xtask dist --sums` of a folder with these files.
fn dist(folder: &Path, repository: &str) -> std::process::Output {
    let mut command = binary::xtask();
    command.args(["dist", "--sums", "--repository", repository, "--out"]);
    peers::run(command.arg(folder), PATIENCE)
}

fn archive() -> String {
    format!("Backupwatch-{}.zip", env!("CARGO_PKG_VERSION"))
}

/// A release with an app whose content nobody reads, and a package.
fn release(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(archive()), "an app").unwrap();
    fs::write(folder.join("backupwatch_0.1.0-1_amd64.deb"), "a package").unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_checksums_are_of_every_file_and_hold() {
    let home = tempfile::tempdir().unwrap();
    release(home.path());
    for _ in 0..2 {
        // A second time, the list itself is no part of the list.
        let output = dist(home.path(), "ada/backupwatch");
        assert!(output.status.success(), "{}", peers::words(&output));
    }
    let sums = fs::read_to_string(home.path().join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 3, "{sums}");
    let package = hex(&macho::sha256(b"a package"));
    assert!(
        sums.contains(&format!("{package}  backupwatch_0.1.0-1_amd64.deb\n")),
        "{sums}"
    );
    let Some(sha256sum) = peers::find("sha256sum") else {
        return;
    };
    let mut check = Command::new(sha256sum);
    check
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(home.path());
    let checked = peers::run(&mut check, PATIENCE);
    assert!(checked.status.success(), "{}", peers::words(&checked));
}

#[test]
fn a_repository_that_would_write_the_formula_is_refused() {
    let home = tempfile::tempdir().unwrap();
    release(home.path());
    for repository in [
        "ada",
        "a/b/c",
        "ada/x\"; system \"true",
        "ada/x#{1}",
        "ada/x\ny",
    ] {
        let output = dist(home.path(), repository);
        assert!(!output.status.success(), "{repository:?}");
    }
    assert!(!home.path().join("backupwatch.rb").exists());
}

#[test]
fn the_formula_installs_the_app_a_wrapper_and_the_agent() {
    let Some(ruby) = peers::find("ruby") else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("dist");
    release(&folder);
    let output = dist(&folder, "ada/backupwatch");
    assert!(output.status.success(), "{}", peers::words(&output));
    let formula = folder.join("backupwatch.rb");
    let text = fs::read_to_string(&formula).unwrap();
    assert!(
        !text.contains("@REPOSITORY@") && !text.contains("@PLIST@"),
        "{text}"
    );
    let checked = peers::run(Command::new(&ruby).arg("-wc").arg(&formula), PATIENCE);
    let words = peers::words(&checked);
    assert!(
        checked.status.success() && !words.contains("warning"),
        "{words}"
    );

    // The archive's only folder, which Homebrew has entered.
    let app = home.path().join("Backupwatch.app");
    let program = app.join("Contents/MacOS/backupwatch");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, macho::executable(macho::ARM64)).unwrap();
    let prefix = home.path().join("Cellar/backupwatch/0.1.0");
    let opt = home.path().join("opt/backupwatch");
    fs::create_dir_all(&prefix).unwrap();
    fs::create_dir_all(opt.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&prefix, &opt).unwrap();
    let homebrew = home.path().join("homebrew.rb");
    fs::write(&homebrew, HOMEBREW).unwrap();
    let mut install = Command::new(ruby);
    install
        .arg(homebrew)
        .arg(formula)
        .args([&prefix, &opt])
        .current_dir(&app);
    let installed = peers::run(&mut install, PATIENCE);
    assert!(installed.status.success(), "{}", peers::words(&installed));
    let said: Json = serde_json::from_slice(&installed.stdout).unwrap();

    assert_eq!(said["sha256"], hex(&macho::sha256(b"an app")));
    assert_eq!(
        said["url"],
        format!(
            "https://github.com/ada/backupwatch/releases/download/v{}/{}",
            env!("CARGO_PKG_VERSION"),
            archive()
        )
    );
    assert_eq!(said["name"]["macos"], "dev.backupwatch.agent");
    let executable = prefix.join("Backupwatch.app/Contents/MacOS/backupwatch");
    assert!(executable.is_file());
    let executable = executable.to_str().unwrap();
    assert_eq!(
        said["completions"],
        serde_json::json!([executable, "completions"])
    );
    assert_eq!(said["system"][0], executable);
    let wrapper = prefix.join("bin/backupwatch");
    assert!(
        !wrapper.is_symlink(),
        "by a link, macOS does not find the bundle"
    );
    let wrapper = fs::read_to_string(wrapper).unwrap();
    assert!(
        wrapper.contains(&format!("exec \"{executable}\"")),
        "{wrapper}"
    );
    the_agent_is_launchds_with_the_path_that_stays(&prefix, &opt);
}

fn the_agent_is_launchds_with_the_path_that_stays(prefix: &Path, opt: &Path) {
    let mut agent: Dictionary =
        plist::from_file(prefix.join("dev.backupwatch.agent.plist")).unwrap();
    let arguments = agent.remove("ProgramArguments").unwrap();
    let arguments = arguments.as_array().unwrap().clone();
    let program = PathBuf::from(arguments[0].as_string().unwrap());
    assert!(
        program.starts_with(opt) && program.is_file(),
        "{}",
        program.display()
    );
    assert_eq!(arguments[1..], [Value::from("agent")]);
    let ours = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../launchd/dev.backupwatch.agent.plist"
    );
    let mut ours: Dictionary = plist::from_file(ours).unwrap();
    for path in ["ProgramArguments", "StandardOutPath", "StandardErrorPath"] {
        assert!(ours.remove(path).is_some(), "{path}");
    }
    assert_eq!(agent, ours, "all else is the same");
}
