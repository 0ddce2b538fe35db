//! Which requests are heeded. Every answer passes here and gets its headers; every request passes here before a route sees it:
//! - `Host` is this page's own, so that a name that somebody else points at 127.0.0.1 leads nowhere (DNS rebinding);
//! - all but the files and `/enter` need the cookie of a session;
//! - a POST comes from this page itself (`Sec-Fetch-Site`, `Origin`), is a short form, and carries the session's token.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::entrance::{Said, Secret};
use super::{Context, Door, assets, draw};

/// No form of ours is longer.
const FORM_MAX: usize = 4 << 10;
/// How long a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nothing but what this page serves itself, and nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Of every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The session of a request that has passed.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    session: Secret,
    /// For the forms.
    pub(super) token: Secret,
}

impl Visit {
    /// Says something on the next page.
    pub(super) fn say(&self, door: &Door, good: bool, words: String) {
        door.entrance().say(&self.session, Said { good, words });
    }

    /// What is to be said on this page.
    pub(super) fn said(&self, door: &Door) -> Option<Said> {
        door.entrance().said(&self.session)
    }
}

/// What a form has sent, beside the token.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        fields
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The name of the cookie. Cookies know no ports, so that each page has a name of its own.
pub(super) fn cookie_name(port: u16) -> String {
    format!("backupwatch-{port}")
}

/// The layer around all routes.
pub(super) async fn guard(
    State(context): State<Context>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match heed(&context, request).await {
        Ok(request) => next.run(request).await,
        Err(refused) => *refused,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn heed(context: &Context, mut request: Request) -> Result<Request, Box<Response>> {
    let port = context.door.port();
    if !is_for_us(&request, port) {
        return Err(refused(
            StatusCode::MISDIRECTED_REQUEST,
            "This address is not the page’s own.",
        ));
    }
    if let Some(file) = assets::file(request.uri().path()) {
        return if is_read(request.method()) {
            Err(Box::new(file))
        } else {
            Err(refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "This can only be read.",
            ))
        };
    }
    if request.uri().path() == super::routes::ENTER {
        return Ok(request);
    }
    let session = cookie(request.headers(), &cookie_name(port));
    let now = context.clock.now();
    let visit = session.and_then(|session| {
        let token = context.door.entrance().visit(&session, now)?;
        Some(Visit { session, token })
    });
    let Some(visit) = visit else {
        return Err(Box::new(
            draw::page(StatusCode::FORBIDDEN, draw::closed()).into_response(),
        ));
    };
    if *request.method() == Method::POST {
        request = posted(request, &visit, port).await?;
    } else if !is_read(request.method()) {
        return Err(refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "The page knows no such request.",
        ));
    }
    request.extensions_mut().insert(visit);
    Ok(request)
}

/// A POST that this page itself has sent, with its form taken out.
async fn posted(request: Request, visit: &Visit, port: u16) -> Result<Request, Box<Response>> {
    if !is_from_us(request.headers(), port) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "This was not sent by the page itself.",
        ));
    }
    let sort = single(request.headers(), &header::CONTENT_TYPE);
    if sort != Some("application/x-www-form-urlencoded") {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The page takes only its own forms.",
        ));
    }
    let (mut parts, body) = request.into_parts();
    let body = tokio::time::timeout(PATIENCE, to_bytes(body, FORM_MAX)).await;
    let Ok(body) = body else {
        return Err(refused(
            StatusCode::REQUEST_TIMEOUT,
            "The form did not arrive in time.",
        ));
    };
    let Ok(body) = body else {
        return Err(refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The form did not arrive whole, or is too long.",
        ));
    };
    let form = Form(form_urlencoded::parse(&body).into_owned().collect());
    let token = form.get("token").and_then(Secret::parse);
    if !token.is_some_and(|token| token.is(&visit.token)) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "This form is of an older visit. Go back, reload the page, and try again.",
        ));
    }
    parts.extensions.insert(form);
    Ok(Request::from_parts(parts, Body::empty()))
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether the request names this page and no other, once.
fn is_for_us(request: &Request, port: u16) -> bool {
    let ours = |name: &str| is_ours(name, port);
    let by_line = request.uri().authority();
    single(request.headers(), &header::HOST).is_some_and(ours)
        && by_line.is_none_or(|authority| ours(authority.as_str()))
}

fn is_ours(name: &str, port: u16) -> bool {
    let host = name.strip_suffix(&format!(":{port}"));
    matches!(host, Some("127.0.0.1" | "localhost"))
}

/// Browsers say where a POST comes from. With `Referrer-Policy: no-referrer` the origin of our own forms is `null`, so the newer
/// header is what vouches for them; an origin that is named must be ours in any case.
fn is_from_us(headers: &HeaderMap, port: u16) -> bool {
    let site = HeaderName::from_static("sec-fetch-site");
    let by_site = match headers.contains_key(&site) {
        true => Some(single(headers, &site) == Some("same-origin")),
        false => None,
    };
    let by_origin = match headers.contains_key(header::ORIGIN) {
        true => match single(headers, &header::ORIGIN) {
            Some("null") => None,
            origin => Some(
                origin
                    .and_then(|origin| origin.strip_prefix("http://"))
                    .is_some_and(|host| is_ours(host, port)),
            ),
        },
        false => None,
    };
    by_site.or(by_origin).is_some() && by_site != Some(false) && by_origin != Some(false)
}

/// The value of a header that stands there exactly once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let all = headers.get_all(header::COOKIE).into_iter();
    all.filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .find_map(|(_, value)| Secret::parse(value))
}

fn refused(status: StatusCode, words: &str) -> Box<Response> {
    Box::new(draw::page(status, draw::refusal(words)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_pages_own_names_are_heeded() {
        for (line, hosts, heeded) in [
            ("/", vec!["127.0.0.1:4877"], true),
            ("/", vec!["localhost:4877"], true),
            ("http://127.0.0.1:4877/", vec!["127.0.0.1:4877"], true),
            ("/", vec![], false),
            ("/", vec!["127.0.0.1"], false),
            ("/", vec!["127.0.0.1:80"], false),
            ("/", vec!["evil.example:4877"], false),
            ("/", vec!["127.0.0.1.evil.example:4877"], false),
            ("/", vec!["evil.example@127.0.0.1:4877"], false),
            ("/", vec!["[::1]:4877"], false),
            ("/", vec!["127.0.0.1:4877", "evil.example"], false),
            ("/", vec!["127.0.0.1:4877", "127.0.0.1:4877"], false),
            ("http://evil.example/", vec!["127.0.0.1:4877"], false),
        ] {
            let mut request = Request::builder().uri(line);
            for host in &hosts {
                request = request.header(header::HOST, *host);
            }
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(is_for_us(&request, 4877), heeded, "{line} {hosts:?}");
        }
    }

    #[test]
    fn a_post_is_the_pages_own_or_nobodys() {
        let (site, origin) = ("sec-fetch-site", "origin");
        for (sent, ours) in [
            // Chromium, Firefox and Safari with our referrer policy.
            (vec![(site, "same-origin"), (origin, "null")], true),
            (vec![(site, "same-origin")], true),
            (
                vec![(site, "same-origin"), (origin, "http://127.0.0.1:4877")],
                true,
            ),
            (vec![(origin, "http://localhost:4877")], true),
            // Another port of this computer is the same site, and another program.
            (vec![(site, "same-site"), (origin, "null")], false),
            (
                vec![(site, "same-site"), (origin, "http://127.0.0.1:9")],
                false,
            ),
            (
                vec![(site, "cross-site"), (origin, "https://evil.example")],
                false,
            ),
            (vec![(site, "none")], false),
            (
                vec![(site, "same-origin"), (origin, "https://evil.example")],
                false,
            ),
            (vec![(site, "same-origin"), (site, "cross-site")], false),
            (vec![(origin, "https://127.0.0.1:4877")], false),
            (vec![(origin, "null")], false),
            (vec![], false),
        ] {
            assert_eq!(is_from_us(&headers(&sent), 4877), ours, "{sent:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let good = "ab".repeat(32);
        for (line, found) in [
            (format!("backupwatch-4877={good}"), true),
            (format!("a=b; backupwatch-4877={good}; c"), true),
            (format!("backupwatch-4878={good}"), false),
            (format!("xbackupwatch-4877={good}"), false),
            (format!("backupwatch-4877=\"{good}\""), false),
            (String::new(), false),
        ] {
            let headers = headers(&[("cookie", &line)]);
            let cookie = cookie(&headers, &cookie_name(4877));
            assert_eq!(cookie.is_some(), found, "{line}");
        }
    }
}
