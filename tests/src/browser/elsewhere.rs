//! A web server of somebody who means no good: one page at every address, and a list of what was asked of it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// Serves until the test ends.
#[derive(Debug)]
pub struct Elsewhere {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Elsewhere {
    /// Serves this page.
    #[must_use]
    pub fn serve(html: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (html, list) = (html.to_owned(), Arc::clone(&asked));
        // Ends with the process of the test, which is this test's alone.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A browser opens connections that it does not use.
                if let Some(line) = answer(stream, &html) {
                    list.lock().expect("nobody panics").push(line);
                }
            }
        });
        Self { address, asked }
    }

    /// Its address under a name of its own, so that a browser takes it for another site.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://elsewhere.test:{}/", self.address.port())
    }

    /// The same as another port of this computer, which a browser takes for the same site.
    #[must_use]
    pub fn neighbour(&self) -> String {
        format!("http://127.0.0.1:{}/", self.address.port())
    }

    /// The lines of the requests that came.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

fn answer(mut stream: TcpStream, html: &str) -> Option<String> {
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .ok()?;
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    // The rest of the head; whoever hangs up before its end wants no answer.
    lines.find(String::is_empty)?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close";
    write!(
        stream,
        "{head}\r\ncontent-length: {}\r\n\r\n{html}",
        html.len()
    )
    .ok()?;
    Some(first)
}
