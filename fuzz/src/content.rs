//! The texts and bodies of generated requests: texts that some part of the service treats
//! specially, and bodies that an operation almost accepts.

use arbitrary::Arbitrary;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Map, Number, Value, json};

use crate::service::POST;
use crate::support::PASSWORD;

/// A text that some part of the service treats specially, or an arbitrary one.
#[derive(Debug, Arbitrary)]
pub(crate) enum Text {
    Number(i64),
    Small(u8),
    Bytes(Vec<u8>),
    Unicode(String),
    Email(String),
    Password,
    AuthorEmail,
    Long(u16, char),
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Body {
    None,
    Raw(Vec<u8>),
    Json(Json),
    /// An object with fields that an operation may know.
    Object(Vec<(Field, Json)>),
    Form(Vec<(Field, Text)>),
    Multipart(Vec<(Field, Text)>),
    Post,
    Vote(i8),
    CreateUser,
    Login,
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Field {
    Title,
    Content,
    Published,
    PostId,
    Dir,
    Email,
    Username,
    Password,
    GrantType,
    Scope,
    Other(String),
}

#[derive(Debug, Arbitrary)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Small(i8),
    Number(i64),
    Float(f64),
    Text(Text),
    List(Vec<Json>),
    Object(Vec<(Field, Json)>),
}

impl Text {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Small(number) => number.to_string().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Unicode(text) => text.clone().into_bytes(),
            Self::Email(local) => format!("{local}@example.com").into_bytes(),
            Self::Password => PASSWORD.into(),
            Self::AuthorEmail => "author@example.com".into(),
            Self::Long(length, letter) => letter.to_string().repeat((*length).into()).into_bytes(),
        }
    }

    fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }
}

impl Body {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Raw(bytes) => bytes.clone(),
            Self::Json(value) => value.to_value().to_string().into_bytes(),
            Self::Object(fields) => object(fields).to_string().into_bytes(),
            Self::Form(fields) => form(fields),
            Self::Multipart(fields) => multipart(fields),
            Self::Post => json!({"title": "title", "content": "content"}).to_string().into(),
            Self::Vote(dir) => json!({"post_id": POST, "dir": dir}).to_string().into(),
            Self::CreateUser => {
                json!({"email": "new@example.com", "password": PASSWORD}).to_string().into()
            }
            Self::Login => {
                form(&[(Field::Username, Text::AuthorEmail), (Field::Password, Text::Password)])
            }
        }
    }
}

impl Field {
    fn name(&self) -> &str {
        match self {
            Self::Title => "title",
            Self::Content => "content",
            Self::Published => "published",
            Self::PostId => "post_id",
            Self::Dir => "dir",
            Self::Email => "email",
            Self::Username => "username",
            Self::Password => "password",
            Self::GrantType => "grant_type",
            Self::Scope => "scope",
            Self::Other(name) => name,
        }
    }
}

impl Json {
    fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Small(number) => Value::from(*number),
            Self::Number(number) => Value::from(*number),
            Self::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.to_text()),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(fields) => object(fields),
        }
    }
}

fn object(fields: &[(Field, Json)]) -> Value {
    let field = |(name, value): &(Field, Json)| (name.name().to_owned(), value.to_value());
    Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
}

fn form(fields: &[(Field, Text)]) -> Vec<u8> {
    let field = |(name, value): &(Field, Text)| {
        format!("{}={}", encode(name.name().as_bytes()), encode(&value.to_bytes()))
    };
    fields.iter().map(field).collect::<Vec<_>>().join("&").into_bytes()
}

fn multipart(fields: &[(Field, Text)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head =
            format!("--b\r\ncontent-disposition: form-data; name=\"{}\"\r\n\r\n", name.name());
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&value.to_bytes());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}
