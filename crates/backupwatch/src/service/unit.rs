//! The file by which a manager knows of the service: made from the templates in `launchd/`, and never written over one that
//! somebody else wrote.

use super::Manager;
use crate::failure::Failure;
use backupwatch_agent::exit::ExitCode;
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const PLIST: &str = include_str!("../../../../launchd/dev.backupwatch.agent.plist");
const SYSTEMD: &str = include_str!("../../../../launchd/systemd/backupwatch.service");

/// By this line our own file is known again.
const MARK: &str = "Written by `backupwatch install`, and removed by `backupwatch uninstall`. Without this line they leave it alone.";

/// More than any such file.
const LONGEST: u64 = 256 << 10;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub program: PathBuf,
    /// Where this call was told to look, as arguments for the agent.
    pub options: Vec<String>,
    /// For what launchd itself has to say of it.
    pub logs: PathBuf,
}

/// What came of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    New,
    Changed,
    /// It was there already, word by word.
    Same,
    /// The one that came with the package says the same: none of our own is needed, and the package keeps its own up to date.
    Packaged,
}

impl Wrote {
    pub fn code(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Same => "unchanged",
            Self::Packaged => "packaged",
        }
    }
}

/// What is at the place of our file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Ours(String),
    /// Somebody else's, if it can be read; or a link, as systemd leaves one of a unit that was masked.
    Foreign(Option<String>),
}

/// Looks at the file, without following a link.
pub fn find(path: &Path) -> io::Result<Found> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
        Ok(meta) if meta.is_file() => {
            let mut text = String::new();
            match File::open(path)?.take(LONGEST).read_to_string(&mut text) {
                Ok(_) if text.contains(MARK) => Ok(Found::Ours(text)),
                Ok(_) => Ok(Found::Foreign(Some(text))),
                // A property list can be binary.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Ok(Found::Foreign(None))
                }
                Err(error) => Err(error),
            }
        }
        Ok(_) => Ok(Found::Foreign(None)),
    }
}

/// The text of the file.
pub fn render(manager: Manager, wanted: &Wanted) -> Result<String, Failure> {
    let program = writable(&wanted.program)?;
    let logs = writable(&wanted.logs)?;
    for option in &wanted.options {
        writable(Path::new(option))?;
    }
    Ok(match manager {
        Manager::Launchd => {
            let words = |word: &String| format!("\n\t\t<string>{}</string>", xml(word));
            let options: String = wanted.options.iter().map(words).collect();
            let agent = "<string>agent</string>";
            fill(
                PLIST,
                &[
                    (comment(PLIST, "<!--", "-->"), &format!("<!-- {MARK} -->")),
                    ("@EXECUTABLE@", &xml(program)),
                    (agent, &format!("{agent}{options}")),
                    ("@LOGS@", &xml(logs)),
                ],
            )
        }
        Manager::Systemd if program.contains(['"', '\'', '\\']) => {
            let message = format!(
                "systemd starts no program whose path has quotes or backslashes in it ({program})"
            );
            return Err(Failure::new(ExitCode::Usage, "path", message)
                .next("Give the folder a plain name, and try again."));
        }
        Manager::Systemd => {
            let words = |word: &String| format!(" {}", argument(word));
            let options: String = wanted.options.iter().map(words).collect();
            fill(
                SYSTEMD,
                &[
                    (
                        comment(SYSTEMD, "# A template", "\n"),
                        &format!("# {MARK}\n"),
                    ),
                    (
                        "\"@EXECUTABLE@\" agent",
                        &format!("\"{}\" agent{options}", quoted(program)),
                    ),
                ],
            )
        }
    })
}

/// The part of a template from `open` to `close`: what it says of itself.
fn comment<'t>(template: &'t str, open: &str, close: &str) -> &'t str {
    let inside = |from: usize| {
        let rest = template.get(from..)?;
        rest.get(..rest.find(close)? + close.len())
    };
    template.find(open).and_then(inside).unwrap_or_default()
}

/// Puts values into a template. What is put in is not looked at again: a path may have `@LOGS@` in it.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    loop {
        let first = values
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .filter_map(|(name, value)| Some((rest.find(name)?, name, value)))
            .min_by_key(|(at, _, _)| *at);
        let Some((before, after, value)) = first.and_then(|(_, name, value)| {
            let (before, after) = rest.split_once(*name)?;
            Some((before, after, value))
        }) else {
            out.push_str(rest);
            return out;
        };
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
}

/// A path as text that a file of lines can hold.
fn writable(path: &Path) -> Result<&str, Failure> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| {
        Failure::new(
            ExitCode::Usage,
            "path",
            format!(
                "the path {:?} cannot be written into a file for the service, because it has line breaks or bytes that are no letters in it",
                path.display().to_string()
            ),
        )
        .next("Give the folder a plain name, and try again.")
    })
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

/// Between double quotes of a unit. `%` begins a specifier there.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
}

/// An argument, in which `$` begins a variable, other than in the name of the program.
fn argument(text: &str) -> String {
    format!("\"{}\"", quoted(text).replace('$', "$$"))
}

/// The program that such a file has started, whoever wrote it.
pub fn program(manager: Manager, text: &str) -> Option<PathBuf> {
    match manager {
        Manager::Launchd => {
            let value = plist::Value::from_reader(io::Cursor::new(text.as_bytes())).ok()?;
            let words = value.as_dictionary()?.get("ProgramArguments")?.as_array()?;
            Some(words.first()?.as_string()?.into())
        }
        Manager::Systemd => {
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("ExecStart="))?;
            let word = match line.strip_prefix('"') {
                Some(rest) => unquoted(rest),
                None => line.split_whitespace().next()?.to_owned(),
            };
            Some(word.replace("%%", "%").into())
        }
    }
}

/// Up to the closing quote.
fn unquoted(rest: &str) -> String {
    let mut out = String::new();
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    out
}

/// Writes the file whole or not at all, as everybody may read it and only its owner change it.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let fail = |error: io::Error| {
        Failure::new(
            ExitCode::Usage,
            "write",
            format!("failed to write {}: {error}", path.display()),
        )
        .next("See that the folder is yours and that its disk has room, and try again.")
    };
    let Some(folder) = path.parent() else {
        return Err(fail(io::ErrorKind::InvalidInput.into()));
    };
    fs::create_dir_all(folder).map_err(fail)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(program: &str, options: &[&str]) -> Wanted {
        Wanted {
            program: program.into(),
            options: options.iter().map(|&word| word.to_owned()).collect(),
            logs: "/Users/ada/Library/Logs/backupwatch".into(),
        }
    }

    #[test]
    fn the_templates_have_what_is_filled_in_once() {
        for (template, of_itself, names) in [
            (
                PLIST,
                comment(PLIST, "<!--", "-->"),
                ["@EXECUTABLE@", "<string>agent</string>"].as_slice(),
            ),
            (
                SYSTEMD,
                comment(SYSTEMD, "# A template", "\n"),
                &["\"@EXECUTABLE@\" agent"],
            ),
        ] {
            assert!(of_itself.contains("A template"));
            let filled = template.replace(of_itself, "");
            for name in names {
                assert_eq!(filled.matches(name).count(), 1, "{name}");
            }
        }
        assert_eq!(PLIST.matches("@LOGS@/").count(), 2);
    }

    /// Names that a person can give to a folder, and that mean something to a manager.
    const ODD: &[&str] = &[
        "/Applications/Backupwatch.app/Contents/MacOS/backupwatch",
        "/Users/Ada Lovelace/bin/backupwatch",
        "/home/ada & ben/100%h/\"quoted\"/it's/a<b>/$HOME/${x}/back\\slash/@LOGS@/ünï",
        "/home/ada/]]>/-->/@EXECUTABLE@/agent/%%/$$/;/backupwatch",
    ];

    #[test]
    fn every_path_arrives_as_it_is() {
        for program in ODD {
            let wanted = wanted(program, &["--config", program, "--state-dir", program]);
            let text = render(Manager::Launchd, &wanted).unwrap();
            let value = plist::Value::from_reader(io::Cursor::new(text.as_bytes())).unwrap();
            let dictionary = value.as_dictionary().unwrap();
            let words: Vec<&str> = dictionary["ProgramArguments"]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_string().unwrap())
                .collect();
            let arguments = [
                program,
                "agent",
                "--config",
                program,
                "--state-dir",
                program,
            ];
            assert_eq!(words, arguments);
            assert_eq!(
                dictionary["StandardErrorPath"].as_string(),
                Some("/Users/ada/Library/Logs/backupwatch/agent.launchd.log")
            );
            for manager in [Manager::Launchd, Manager::Systemd] {
                let text = match render(manager, &wanted) {
                    Ok(text) => text,
                    Err(refused) => {
                        assert!(refused.message.contains("quotes"), "{refused:?}");
                        assert!(manager == Manager::Systemd && program.contains('"'));
                        continue;
                    }
                };
                assert!(
                    text.contains(MARK) && !text.contains("A template"),
                    "{text}"
                );
                assert_eq!(super::program(manager, &text), Some(PathBuf::from(program)));
            }
        }
        for bad in [
            "/home/a\nExecStart=/bin/evil",
            "/home/a\u{7}b",
            "/home/\u{85}",
        ] {
            for wanted in [wanted(bad, &[]), wanted("/bin/a", &[bad])] {
                let refused = render(Manager::Systemd, &wanted).unwrap_err();
                assert!(refused.message.contains("cannot be written"), "{refused:?}");
            }
        }
    }

    #[test]
    fn the_files_as_they_are_written() {
        let wanted = wanted(ODD[1], &["--state-dir", "/Volumes/Data/100% & more"]);
        insta::assert_snapshot!("plist", render(Manager::Launchd, &wanted).unwrap());
        insta::assert_snapshot!("unit", render(Manager::Systemd, &wanted).unwrap());
    }

    #[test]
    fn only_a_file_with_our_line_is_ours() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("Library/LaunchAgents/a.plist");
        assert_eq!(find(&path).unwrap(), Found::Nothing);
        let text = render(Manager::Launchd, &wanted("/bin/a", &[])).unwrap();
        write(&path, &text).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Ours(text.clone()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let theirs = text.replace(MARK, "mine");
        write(&path, &theirs).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Foreign(Some(theirs)));
        fs::write(&path, b"bplist00\xff\xfe").unwrap();
        assert_eq!(find(&path).unwrap(), Found::Foreign(None));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Foreign(None));
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "no half of a file is left");
    }
}
