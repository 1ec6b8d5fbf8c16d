//! A few requests in a row, as a machine draws them: mostly such as get past the first check, so that
//! the later ones are reached.

use arbitrary::Arbitrary;
use axum::body::Body as Bytes;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::content::{Body, Text, encode};
use crate::service::{AUTHOR, DRAFT, NOBODY, POST, STRANGER, Service};
use crate::support::FORM;

#[derive(Debug, Arbitrary)]
pub(crate) struct Scene {
    pub(crate) is_reference: bool,
    pub(crate) calls: Vec<Call>,
}

#[derive(Debug, Arbitrary)]
pub(crate) struct Call {
    /// One of the document's.
    operation: u8,
    method: Option<Verb>,
    caller: Caller,
    id: Id,
    query: Vec<(Parameter, Text)>,
    headers: Vec<(Header, Vec<u8>)>,
    media: Media,
    body: Body,
}

#[derive(Debug, Arbitrary)]
enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Caller {
    Nobody,
    Author,
    Stranger,
    Gone,
    Header(Vec<u8>),
    Token(String),
}

#[derive(Debug, Arbitrary)]
enum Id {
    Post,
    Draft,
    Me,
    Number(i64),
    Text(Vec<u8>),
    /// The rest of the path as it is.
    Raw(String),
}

#[derive(Debug, Arbitrary)]
enum Parameter {
    Limit,
    Skip,
    Search,
    Other(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Header {
    ContentType,
    Authorization,
    Origin,
    AccessControlRequestMethod,
    XRequestId,
    ContentLength,
    Expect,
    Host,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Media {
    Fitting,
    None,
    Json,
    Form,
    Multipart,
    Text,
}

impl Call {
    /// What it asks; nothing if that cannot be said in HTTP.
    pub(crate) fn request(
        &self,
        service: &Service,
        operations: &[(String, String)],
    ) -> Option<Request<Bytes>> {
        let (method, route) = &operations[usize::from(self.operation) % operations.len()];
        let method: Method = match &self.method {
            Some(verb) => verb.name().parse().ok()?,
            None => method.parse().ok()?,
        };
        let uri: Uri = self.target(route).parse().ok()?;
        let (media, body) = self.content(route);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(authorization) = self.caller.authorization(service) {
            request = request.header("authorization", authorization);
        }
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        for (name, value) in &self.headers {
            let name: HeaderName = name.name().parse().ok()?;
            request = request.header(name, HeaderValue::from_bytes(value).ok()?);
        }
        request.body(Bytes::from(body)).ok()
    }

    fn target(&self, route: &str) -> String {
        let mut target = match &self.id {
            Id::Raw(path) => format!("/{path}"),
            id => route.replace("{id}", &id.segment()),
        };
        for (number, (name, value)) in self.query.iter().enumerate() {
            target.push(if number == 0 { '?' } else { '&' });
            target.push_str(&name.spelled());
            target.push('=');
            target.push_str(&encode(&value.bytes()));
        }
        target
    }

    fn content(&self, route: &str) -> (Option<&'static str>, Vec<u8>) {
        let is_login = route == "/login";
        let media = match self.media {
            Media::Fitting => Some(if is_login { FORM } else { "application/json" }),
            Media::None => None,
            Media::Json => Some("application/json"),
            Media::Form => Some(FORM),
            Media::Multipart => Some("multipart/form-data; boundary=b"),
            Media::Text => Some("text/plain"),
        };
        (media, self.body.bytes())
    }
}

impl Verb {
    fn name(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other(name) => name,
        }
    }
}

impl Parameter {
    fn spelled(&self) -> String {
        match self {
            Self::Limit => "limit".to_owned(),
            Self::Skip => "skip".to_owned(),
            Self::Search => "search".to_owned(),
            Self::Other(name) => encode(name),
        }
    }
}

impl Caller {
    fn authorization(&self, service: &Service) -> Option<HeaderValue> {
        let token = match self {
            Self::Nobody => return None,
            Self::Header(value) => return HeaderValue::from_bytes(value).ok(),
            Self::Author => service.token_of(AUTHOR),
            Self::Stranger => service.token_of(STRANGER),
            Self::Gone => service.token_of(NOBODY),
            Self::Token(text) => text.clone(),
        };
        HeaderValue::from_str(&format!("Bearer {token}")).ok()
    }
}

impl Id {
    fn segment(&self) -> String {
        match self {
            Self::Post => POST.to_string(),
            Self::Draft => DRAFT.to_string(),
            Self::Me => "me".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(bytes) => encode(bytes),
            Self::Raw(text) => text.clone(),
        }
    }
}

impl Header {
    fn name(&self) -> &str {
        match self {
            Self::ContentType => "content-type",
            Self::Authorization => "authorization",
            Self::Origin => "origin",
            Self::AccessControlRequestMethod => "access-control-request-method",
            Self::XRequestId => "x-request-id",
            Self::ContentLength => "content-length",
            Self::Expect => "expect",
            Self::Host => "host",
            Self::Other(name) => name,
        }
    }
}
