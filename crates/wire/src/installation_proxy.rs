//! `com.apple.mobile.installation_proxy`: the list of installed apps, which readers of a backup expect in its `Info.plist`.
//! Both ends; its frames are those of [`crate::lockdown`].
//!
//! Not here: installing, removing or archiving anything. Those requests are not modelled.

use plist::{Dictionary, Value};

use crate::fields::{self, FieldError};

/// The service.
pub const SERVICE: &str = "com.apple.mobile.installation_proxy";

/// What a backup wants to know of an app.
pub const BACKUP_ATTRIBUTES: [&str; 3] =
    ["CFBundleIdentifier", "ApplicationSINF", "iTunesMetadata"];

/// From the host.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The apps, in any number of [`Reply::Page`]s.
    Browse(Options),
    /// The apps in one dictionary by bundle identifier.
    Lookup(Options),
    Other {
        command: String,
    },
}

/// Which apps, and what of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// "User", "System" or "Any".
    pub application_type: Option<String>,
    /// All attributes if empty.
    pub attributes: Vec<String>,
    /// Only these, if given; of [`Request::Lookup`].
    pub bundle_ids: Option<Vec<String>>,
}

impl Options {
    /// What a backup asks for.
    #[must_use]
    pub fn for_backup() -> Self {
        Self {
            application_type: Some("User".to_owned()),
            attributes: BACKUP_ATTRIBUTES.map(str::to_owned).to_vec(),
            bundle_ids: None,
        }
    }

    fn from_body(body: &Dictionary) -> Result<Self, FieldError> {
        let Some(options) = fields::dictionary(body, "ClientOptions")? else {
            return Ok(Self::default());
        };
        let application_type = fields::string(options, "ApplicationType")?;
        Ok(Self {
            application_type: application_type.map(str::to_owned),
            attributes: strings(options, "ReturnAttributes")?.unwrap_or_default(),
            bundle_ids: strings(options, "BundleIDs")?,
        })
    }

    fn to_value(&self) -> Value {
        let mut options = Dictionary::new();
        if let Some(kind) = &self.application_type {
            options.insert("ApplicationType".to_owned(), kind.as_str().into());
        }
        if !self.attributes.is_empty() {
            options.insert("ReturnAttributes".to_owned(), list(&self.attributes));
        }
        if let Some(ids) = &self.bundle_ids {
            options.insert("BundleIDs".to_owned(), list(ids));
        }
        Value::Dictionary(options)
    }
}

impl Request {
    /// Reads a dictionary from a host.
    ///
    /// # Errors
    /// When it has no command, or options of a wrong type.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let key = "Command";
        let body = fields::required(key, value.as_dictionary())?;
        Ok(match fields::required(key, fields::string(body, key)?)? {
            "Browse" => Self::Browse(Options::from_body(body)?),
            "Lookup" => Self::Lookup(Options::from_body(body)?),
            other => Self::Other {
                command: clip(other),
            },
        })
    }

    /// The dictionary.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let (command, options) = match self {
            Self::Browse(options) => ("Browse", Some(options)),
            Self::Lookup(options) => ("Lookup", Some(options)),
            Self::Other { command } => (command.as_str(), None),
        };
        let mut body = Dictionary::new();
        body.insert("Command".to_owned(), command.into());
        if let Some(options) = options {
            body.insert("ClientOptions".to_owned(), options.to_value());
        }
        Value::Dictionary(body)
    }
}

/// From the device.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Some of the apps.
    Page { apps: Vec<Dictionary> },
    /// The answer to [`Request::Lookup`].
    Found { apps: Dictionary },
    /// No more comes.
    Complete,
    /// The device refuses.
    Failed { error: String },
}

impl Reply {
    /// Reads a dictionary from the device.
    ///
    /// # Errors
    /// When it is no reply.
    pub fn from_value(value: &Value) -> Result<Self, FieldError> {
        let body = fields::required("Status", value.as_dictionary())?;
        if let Some(error) = fields::string(body, "Error")? {
            return Ok(Self::Failed { error: clip(error) });
        }
        if let Some(apps) = fields::dictionary(body, "LookupResult")? {
            return Ok(Self::Found { apps: apps.clone() });
        }
        if let Some(apps) = fields::array(body, "CurrentList")? {
            let apps = apps.iter().filter_map(|app| app.as_dictionary().cloned());
            return Ok(Self::Page {
                apps: apps.collect(),
            });
        }
        match fields::required("Status", fields::string(body, "Status")?)? {
            "Complete" => Ok(Self::Complete),
            // A page that has no list has no apps.
            _ => Ok(Self::Page { apps: Vec::new() }),
        }
    }

    /// The dictionary; `index` is the number of apps in the pages before.
    #[must_use]
    pub fn to_value(&self, index: u64) -> Value {
        let mut body = Dictionary::new();
        let status = match self {
            Self::Page { apps } => {
                let amount = u64::try_from(apps.len()).unwrap_or(u64::MAX);
                body.insert("CurrentIndex".to_owned(), index.into());
                body.insert("CurrentAmount".to_owned(), amount.into());
                let apps = apps.iter().cloned().map(Value::Dictionary).collect();
                body.insert("CurrentList".to_owned(), Value::Array(apps));
                "BrowsingApplications"
            }
            Self::Found { apps } => {
                body.insert("LookupResult".to_owned(), Value::Dictionary(apps.clone()));
                "Complete"
            }
            Self::Complete => "Complete",
            Self::Failed { error } => {
                body.insert("Error".to_owned(), error.as_str().into());
                return Value::Dictionary(body);
            }
        };
        body.insert("Status".to_owned(), status.into());
        Value::Dictionary(body)
    }
}

fn strings(body: &Dictionary, key: &'static str) -> Result<Option<Vec<String>>, FieldError> {
    let texts = fields::array(body, key)?.map(|array| {
        let texts = array.iter().filter_map(Value::as_string);
        texts.map(str::to_owned).collect()
    });
    Ok(texts)
}

fn list(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|text| text.as_str().into()).collect())
}

fn clip(text: &str) -> String {
    crate::devicelink::stream::clip(text, 256).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(id: &str) -> Dictionary {
        let mut app = Dictionary::new();
        app.insert("CFBundleIdentifier".to_owned(), id.into());
        app
    }

    #[test]
    fn requests_round_trip() {
        let lookup = Options {
            bundle_ids: Some(vec!["dev.example.app".to_owned()]),
            ..Options::default()
        };
        let requests = [
            Request::Browse(Options::for_backup()),
            Request::Lookup(lookup),
            Request::Lookup(Options::default()),
            Request::Other {
                command: "Archive".to_owned(),
            },
        ];
        for request in requests {
            assert_eq!(Request::from_value(&request.to_value()), Ok(request));
        }
    }

    #[test]
    fn replies_round_trip() {
        let mut found = Dictionary::new();
        found.insert("a".to_owned(), Value::Dictionary(app("a")));
        let replies = [
            Reply::Page {
                apps: vec![app("a"), app("b")],
            },
            Reply::Page { apps: Vec::new() },
            Reply::Found { apps: found },
            Reply::Complete,
            Reply::Failed {
                error: "APIInternalError".to_owned(),
            },
        ];
        for reply in replies {
            assert_eq!(Reply::from_value(&reply.to_value(0)), Ok(reply));
        }
    }

    #[test]
    fn a_page_says_where_it_stands() {
        let page = Reply::Page {
            apps: vec![app("c")],
        };
        let value = page.to_value(2);
        let body = value.as_dictionary().unwrap();
        let number = |key| body.get(key).and_then(Value::as_unsigned_integer);
        assert_eq!(number("CurrentIndex"), Some(2));
        assert_eq!(number("CurrentAmount"), Some(1));
    }

    #[test]
    fn an_empty_reply_is_no_reply() {
        assert!(Reply::from_value(&Value::Dictionary(Dictionary::new())).is_err());
        assert!(Reply::from_value(&Value::from(1u64)).is_err());
    }
}
