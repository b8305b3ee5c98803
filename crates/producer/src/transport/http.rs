//! Publishing over HTTP to a gateway: one POST per attempt, over connections that are kept.
//!
//! It follows no redirect and uses no proxy. Plain `http` sets up no TLS; `https` trusts the system's certificates.

mod answer;
mod body;

use crate::limits::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT};
use crate::pipeline::{Answer, Attempt};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::time::Duration;

/// Idle connections are closed before a server or a balancer on the way does.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

const PRODUCER: HeaderName = HeaderName::from_static("tally-producer");
const BATCH: HeaderName = HeaderName::from_static("tally-batch");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why an address cannot be published to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("{0:?} is not a URL such as http://127.0.0.1:8420: {1}")]
    Invalid(String, String),
    #[error(
        "scheme {0:?} is not supported; give the http:// or https:// URL of a gateway, or a redis:// URL"
    )]
    Scheme(String),
    #[error("the URL may not have {0}")]
    Extra(&'static str),
    #[error("the publish key may only have visible ASCII characters")]
    PublishKey,
    #[error("the system's certificates cannot be used: {0}")]
    Certificates(String),
}

pub(crate) struct Http {
    client: Connections,
    scheme: Scheme,
    authority: Authority,
    /// Of the URL, without a slash at its end.
    path: String,
    authorization: Option<HeaderValue>,
}

enum Connections {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Http {
    pub(crate) fn new(
        url: &str,
        publish_key: Option<&str>,
        connections_max: usize,
    ) -> Result<Self, UrlError> {
        let invalid = |reason: &str| UrlError::Invalid(without_credentials(url), reason.to_owned());
        let parts = url.parse::<Uri>().map_err(|error| invalid(&error.to_string()))?.into_parts();
        let scheme = parts.scheme.ok_or_else(|| invalid("it needs a scheme"))?;
        let authority = parts.authority.ok_or_else(|| invalid("it needs a host"))?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Extra("a user name or password; use a publish key"));
        }
        if parts.path_and_query.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(UrlError::Extra("a query"));
        }
        let path = parts.path_and_query.map_or_else(String::new, |path| path.path().to_owned());
        let client = if scheme == Scheme::HTTP {
            Connections::Plain(client(tcp(true), connections_max))
        } else if scheme == Scheme::HTTPS {
            Connections::Tls(client(tls()?, connections_max))
        } else {
            return Err(UrlError::Scheme(scheme.to_string()));
        };
        let authorization = publish_key.map(bearer).transpose()?;
        Ok(Self { client, scheme, authority, path: path.trim_end_matches('/').to_owned(), authorization })
    }

    pub(crate) async fn send(&self, attempt: &Attempt) -> Answer {
        let request = match self.request(attempt) {
            Ok(request) => request,
            Err(error) => {
                let message = format!("the request cannot be built: {error}").into();
                return Answer::Refused { code: "bad_request".into(), message };
            }
        };
        let response = match &self.client {
            Connections::Plain(client) => client.request(request).await,
            Connections::Tls(client) => client.request(request).await,
        };
        match response {
            Ok(response) => read_answer(response).await,
            // Nothing of the request can have left before there was a connection.
            Err(error) if error.is_connect() => Answer::Unreachable { message: self.describe(&error).into() },
            Err(error) => Answer::Perhaps { message: self.describe(&error).into() },
        }
    }

    fn request(&self, attempt: &Attempt) -> Result<Request<Full<Bytes>>, http::Error> {
        let body = body::encode(&attempt.content);
        let (endpoint, content_type) = match &body {
            body::Encoded::Events(_) => ("events", NDJSON),
            body::Encoded::Counts(_) => ("counts", JSON),
        };
        // Every character of a channel name may stand in a path as it is.
        let path = format!("{}/v1/channels/{}/{endpoint}", self.path, attempt.ticket.channel);
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()?;
        let mut request = Request::post(uri)
            .header(CONTENT_TYPE, content_type)
            .header(PRODUCER, attempt.batch.producer.as_str())
            .header(BATCH, attempt.batch.number);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Full::new(body.into_bytes()))
    }

    /// The chain of an error in one line; the first link of hyper's says little alone.
    fn describe(&self, error: &Error) -> String {
        let mut text = format!("{}://{}: {error}", self.scheme, self.authority);
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

async fn read_answer(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let retry_after = retry_after(&head.headers);
    // Without its body the status alone has to do, which says nothing of what was published.
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    answer::read(head.status, retry_after, &body)
}

/// What may be shown of a URL that is not understood.
fn without_credentials(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else { return url.to_owned() };
    let scheme = before.find("://").map_or("", |end| &before[..end + "://".len()]);
    format!("{scheme}…@{host}")
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn client<C>(connector: C, connections_max: usize) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(connections_max)
        .build(connector)
}

fn tcp(enforce_http: bool) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.enforce_http(enforce_http);
    tcp
}

fn tls() -> Result<HttpsConnector<HttpConnector>, UrlError> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|error| UrlError::Certificates(error.to_string()))?;
    Ok(builder.https_only().enable_http1().wrap_connector(tcp(false)))
}

fn bearer(key: &str) -> Result<HeaderValue, UrlError> {
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(UrlError::PublishKey);
    }
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| UrlError::PublishKey)?;
    value.set_sensitive(true);
    Ok(value)
}
