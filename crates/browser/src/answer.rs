//! The answer to a request for a file of a page: which encoding, whether it changed, how long it may be kept.

use super::{Asset, Pages};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// What pages may do: nothing from elsewhere, no inline script or style, a socket to where they came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A year: the most that caches are asked to keep.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Kept, and asked for again each time; the tag makes that cheap.
const ASK_AGAIN: &str = "no-cache";

impl Pages {
    /// The answer to GET of `path` below the page (`""` is the page itself), or `None` where there is no such file.
    #[must_use]
    pub fn answer(&'static self, path: &str, request: &HeaderMap) -> Option<Response<Bytes>> {
        let path = if path.is_empty() { "index.html" } else { path };
        let asset = self.assets.iter().find(|asset| asset.path == path)?;
        Some(asset.answer(request))
    }

    /// The page in the place of pages that are not built in: what is missing and how to get it.
    #[must_use]
    pub fn answer_absent(&'static self) -> Response<Bytes> {
        let why = self.absent.unwrap_or("the page was not built").replace('&', "&amp;").replace('<', "&lt;");
        let html = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tally</title>\
             <h1>Tally runs; its pages are not in it</h1><p>When this program was built: {why}.</p>\
             <p>To have them: install Node.js 20.19 or newer with npm, run <code>cargo clean -p tally-browser</code>, \
             and build again.</p>\
             <p>Everything else is here: the websocket at <code>/v1/ws</code>, channels at \
             <code>/v1/channels/…</code>, and <code>tally watch</code> in a terminal.</p>"
        );
        let mut response = Response::new(Bytes::from(html));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        guard(headers);
        response
    }
}

impl Asset {
    fn answer(&'static self, request: &HeaderMap) -> Response<Bytes> {
        let is_known = has_token(request, header::IF_NONE_MATCH, |tag| is_same_tag(tag, self.tag));
        let (encoding, body) = self.body(request);
        let mut response = Response::new(if is_known { Bytes::new() } else { Bytes::from_static(body) });
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        let keep = if self.is_hashed { FOR_EVER } else { ASK_AGAIN };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        headers.insert(header::ETAG, HeaderValue::from_static(self.tag));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if !is_known {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            if let Some(encoding) = encoding {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
        }
        guard(headers);
        response
    }

    /// The smallest form that the client takes.
    fn body(&'static self, request: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
        let packed = [("br", self.brotli), ("gzip", self.gzip)];
        packed
            .into_iter()
            .filter_map(|(encoding, bytes)| Some((encoding, bytes?)))
            .filter(|(encoding, _)| takes(request, encoding))
            .min_by_key(|(_, bytes)| bytes.len())
            .map_or((None, self.plain), |(encoding, bytes)| (Some(encoding), bytes))
    }
}

fn guard(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Named in Accept-Encoding and not with a weight of zero. `*` is passed over: plain is always right.
fn takes(request: &HeaderMap, encoding: &str) -> bool {
    has_token(request, header::ACCEPT_ENCODING, |token| {
        let (name, weight) = token.split_once(';').unwrap_or((token, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(encoding) && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// Tags are compared weakly: this is GET.
fn is_same_tag(said: &str, own: &str) -> bool {
    let bare = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    said == "*" || bare(said) == bare(own)
}

fn has_token(request: &HeaderMap, name: header::HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    let values = request.get_all(name);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|one| fits(one.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    static ASSETS: [Asset; 2] = [
        Asset {
            path: "index.html",
            content_type: "text/html; charset=utf-8",
            tag: "W/\"1\"",
            is_hashed: false,
            plain: b"plain",
            gzip: Some(b"gzip"),
            brotli: Some(b"br"),
        },
        Asset {
            path: "assets/a-1.js",
            content_type: "text/javascript; charset=utf-8",
            tag: "W/\"2\"",
            is_hashed: true,
            plain: b"js",
            gzip: None,
            brotli: None,
        },
    ];
    static PAGES: Pages = Pages { absent: None, assets: &ASSETS };

    fn get(path: &str, name: header::HeaderName, value: &'static str) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        PAGES.answer(path, &headers).unwrap()
    }

    #[test]
    fn the_smallest_encoding_that_is_taken() {
        let cases: &[(&str, Option<&str>, &[u8])] = &[
            ("gzip, deflate, br, zstd", Some("br"), b"br"),
            ("gzip", Some("gzip"), b"gzip"),
            ("GZIP;q=0.5", Some("gzip"), b"gzip"),
            ("br;q=0, gzip", Some("gzip"), b"gzip"),
            ("br; q=0.0", None, b"plain"),
            ("identity", None, b"plain"),
            ("", None, b"plain"),
        ];
        for (accepts, encoding, body) in cases {
            let response = get("", header::ACCEPT_ENCODING, accepts);
            let said = response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!((said, response.body().as_ref()), (*encoding, *body), "{accepts}");
            assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for (tags, status) in
            [("W/\"1\"", 304), ("\"1\"", 304), ("\"0\", W/\"1\"", 304), ("*", 304), ("\"2\"", 200), ("", 200)]
        {
            let response = get("", header::IF_NONE_MATCH, tags);
            assert_eq!(response.status(), status, "{tags}");
            assert_eq!(response.body().is_empty(), status == 304, "{tags}");
            assert_eq!(response.headers()[header::ETAG], "W/\"1\"");
        }
    }

    #[test]
    fn names_with_a_hash_are_kept_for_ever_and_the_page_is_asked_for_again() {
        assert_eq!(get("", header::ACCEPT, "*/*").headers()[header::CACHE_CONTROL], ASK_AGAIN);
        assert_eq!(get("assets/a-1.js", header::ACCEPT, "*/*").headers()[header::CACHE_CONTROL], FOR_EVER);
    }

    #[test]
    fn nothing_else_is_there() {
        for path in ["assets/a-2.js", "/index.html", "../index.html", "index.html.gz", "assets/"] {
            assert!(PAGES.answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn every_answer_forbids_what_is_inline_or_from_elsewhere() {
        static ABSENT: Pages = Pages { absent: Some("<b>no</b> Node.js"), assets: &[] };
        let absent = ABSENT.answer_absent();
        assert!(String::from_utf8_lossy(absent.body()).contains("&lt;b>no&lt;/b> Node.js"));
        for response in [absent, get("", header::ACCEPT, "*/*"), get("assets/a-1.js", header::ACCEPT, "*/*")]
        {
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
    }
}
