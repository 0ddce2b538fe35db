//! The configuration file.

use backupwatch_agent::config::Config;

pub fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match Config::parse(text) {
        Ok(config) => {
            let shown = config.show().expect("what is configured can be shown");
            assert_eq!(Config::parse(&shown).as_ref(), Ok(&config), "{shown}");
        }
        Err(mistake) => {
            let _sentence = mistake.to_string();
            assert!(!mistake.message.is_empty());
            if let Some((line, column)) = mistake.place {
                assert!(line >= 1 && column >= 1);
                assert!(line <= text.split('\n').count(), "line {line} of {text:?}");
            }
        }
    }
}
