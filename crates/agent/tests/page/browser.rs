//! As little of a browser as the page needs: bytes over TCP, one connection a request, and a cookie.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::Running;

/// An answer.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Said {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Sends these bytes to 127.0.0.1 and reads until the other side closes.
pub async fn raw(port: u16, bytes: &[u8]) -> Said {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // A server that has heard enough may close before it has heard all.
    let _refused = stream.write_all(bytes).await;
    read(&mut stream).await
}

pub async fn read(stream: &mut TcpStream) -> Said {
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    let _reset = reading.await.expect("no answer");
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Said {
        status: head
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A browser, in or not in.
#[derive(Debug, Clone)]
pub struct Browser {
    pub port: u16,
    /// With its name.
    pub cookie: Option<String>,
    pub token: String,
}

impl Browser {
    pub fn stranger(port: u16) -> Self {
        Self {
            port,
            cookie: None,
            token: String::new(),
        }
    }

    /// One that has used a link of the agent.
    pub async fn enter(agent: &Running) -> Self {
        let (port, path) = link(agent).await;
        let mut browser = Self::stranger(port);
        let said = browser.get(&path).await;
        assert_eq!(said.status, 200, "{said:?}");
        let cookie = said.header("set-cookie").expect("a cookie");
        browser.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        let page = browser.get("/").await;
        assert_eq!(page.status, 200, "{page:?}");
        browser.token = between(&page.body, "name=\"token\" value=\"", "\"").to_owned();
        browser
    }

    pub async fn get(&self, path: &str) -> Said {
        self.send("GET", path, &[], "").await
    }

    /// A form of the page, as browsers send it.
    pub async fn post(&self, path: &str, fields: &str) -> Said {
        let form = format!("token={}&{fields}", self.token);
        self.send("POST", path, &OWN_FORM, &form).await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Said {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n",
            self.port
        );
        if let Some(cookie) = &self.cookie {
            head.push_str(&format!("Cookie: {cookie}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        raw(self.port, head.as_bytes()).await
    }
}

/// What browsers say of a form that the page itself sends.
pub const OWN_FORM: [(&str, &str); 3] = [
    ("Origin", "null"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Content-Type", "application/x-www-form-urlencoded"),
];

/// A fresh link: its port, and the rest.
pub async fn link(agent: &Running) -> (u16, String) {
    let url = agent.client.page(None, None).await.unwrap().url;
    let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
    let (port, path) = rest.split_once('/').unwrap();
    (port.parse().unwrap(), format!("/{path}"))
}

pub fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} is missing in {text}"));
    rest.split_once(after).unwrap().0
}
