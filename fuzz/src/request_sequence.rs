//! Sequences of requests, generated from the bytes of the fuzzer. Most of them pass the first
//! checks, so that they reach the later ones.
//!
//! The fields and variants here decide what the inputs in `corpus/` mean. A change to them makes
//! the corpus less useful.

use arbitrary::Arbitrary;
use axum::body::Body as HttpBody;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::content::{Body, Text, encode};
use crate::service::{AUTHOR, DRAFT, MISSING_USER, OTHER_USER, POST, Service};
use crate::support::FORM;

#[derive(Debug, Arbitrary)]
pub(crate) struct RequestSequence {
    pub(crate) is_reference_mode: bool,
    pub(crate) requests: Vec<GeneratedRequest>,
}

#[derive(Debug, Arbitrary)]
pub(crate) struct GeneratedRequest {
    /// The index of an operation of the document, modulo their number.
    operation: u8,
    method: Option<MethodName>,
    caller: Caller,
    id: PathId,
    query: Vec<(Parameter, Text)>,
    headers: Vec<(Header, Vec<u8>)>,
    content_type: ContentType,
    body: Body,
}

#[derive(Debug, Arbitrary)]
enum MethodName {
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
    Anonymous,
    Author,
    OtherUser,
    /// A valid token of an account that does not exist.
    MissingUser,
    Header(Vec<u8>),
    Token(String),
}

#[derive(Debug, Arbitrary)]
enum PathId {
    Post,
    Draft,
    Me,
    Number(i64),
    Text(Vec<u8>),
    /// The whole path, unencoded.
    Raw(String),
}

#[derive(Debug, Arbitrary)]
enum Parameter {
    Limit,
    Skip,
    Search,
    Sort,
    Window,
    Owner,
    Since,
    Until,
    Cursor,
    Include,
    Posts,
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
enum ContentType {
    /// The content type that the operation expects.
    Expected,
    None,
    Json,
    Form,
    Multipart,
    Text,
}

impl GeneratedRequest {
    /// Returns the request, or `None` if it is no valid HTTP.
    pub(crate) fn build(
        &self,
        service: &Service,
        operations: &[(String, String)],
    ) -> Option<Request<HttpBody>> {
        let (method, route) = &operations[usize::from(self.operation) % operations.len()];
        let method: Method = match &self.method {
            Some(method) => method.name().parse().ok()?,
            None => method.parse().ok()?,
        };
        let uri: Uri = self.target(route).parse().ok()?;
        let (content_type, body) = self.body(route);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(authorization) = self.caller.authorization(service) {
            request = request.header("authorization", authorization);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        for (name, value) in &self.headers {
            let name: HeaderName = name.name().parse().ok()?;
            request = request.header(name, HeaderValue::from_bytes(value).ok()?);
        }
        request.body(HttpBody::from(body)).ok()
    }

    fn target(&self, route: &str) -> String {
        let mut target = match &self.id {
            PathId::Raw(path) => format!("/{path}"),
            id => route.replace("{id}", &id.segment()),
        };
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(&name.encoded_name());
            target.push('=');
            target.push_str(&encode(&value.to_bytes()));
        }
        target
    }

    fn body(&self, route: &str) -> (Option<&'static str>, Vec<u8>) {
        let is_login = route == "/login";
        let content_type = match self.content_type {
            ContentType::Expected => Some(if is_login { FORM } else { "application/json" }),
            ContentType::None => None,
            ContentType::Json => Some("application/json"),
            ContentType::Form => Some(FORM),
            ContentType::Multipart => Some("multipart/form-data; boundary=b"),
            ContentType::Text => Some("text/plain"),
        };
        (content_type, self.body.to_bytes())
    }
}

impl MethodName {
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
    fn encoded_name(&self) -> String {
        match self {
            Self::Limit => "limit".to_owned(),
            Self::Skip => "skip".to_owned(),
            Self::Search => "search".to_owned(),
            Self::Sort => "sort".to_owned(),
            Self::Window => "window".to_owned(),
            Self::Owner => "owner".to_owned(),
            Self::Since => "since".to_owned(),
            Self::Until => "until".to_owned(),
            Self::Cursor => "cursor".to_owned(),
            Self::Include => "include".to_owned(),
            Self::Posts => "posts".to_owned(),
            Self::Other(name) => encode(name),
        }
    }
}

impl Caller {
    fn authorization(&self, service: &Service) -> Option<HeaderValue> {
        let token = match self {
            Self::Anonymous => return None,
            Self::Header(value) => return HeaderValue::from_bytes(value).ok(),
            Self::Author => service.token_of(AUTHOR),
            Self::OtherUser => service.token_of(OTHER_USER),
            Self::MissingUser => service.token_of(MISSING_USER),
            Self::Token(text) => text.clone(),
        };
        HeaderValue::from_str(&format!("Bearer {token}")).ok()
    }
}

impl PathId {
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
