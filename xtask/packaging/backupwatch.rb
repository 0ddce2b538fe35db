# Written by `cargo xtask dist`; the template is in xtask/packaging.
class Backupwatch < Formula
  desc "Watches that iPhones and iPads are really backed up"
  homepage "https://github.com/@REPOSITORY@"
  url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/@ARCHIVE@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on macos: :ventura

  def install
    # Homebrew enters the folder that is alone in an archive. Here that is the bundle itself.
    app = prefix/"Backupwatch.app"
    app.install "Contents"
    executable = app/"Contents/MacOS/backupwatch"
    # Not a link: macOS would look for the bundle around the link.
    bin.write_exec_script executable
    generate_completions_from_executable executable, "completions"
    system executable, "man", "--out", buildpath/"man"
    man1.install Dir["man/*.1"]
    # The path that stays when the version changes.
    (prefix/"dev.backupwatch.agent.plist").write <<~PLIST
@PLIST@
    PLIST
  end

  service do
    name macos: "dev.backupwatch.agent"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/backupwatch --version")
  end
end
