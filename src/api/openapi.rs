//! Writes the OpenAPI document of the API.
//!
//! Not here: its operations, see `mod.rs`; the description of each operation, see its handler.

use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, ServerBuilder};
use utoipa::{Modify, OpenApi as _};

use super::ApiDocument;

pub const TITLE: &str = "Post Management API";

/// Returns the document as JSON, for an API that a proxy serves below `root_path`.
#[must_use]
pub fn document(root_path: &str) -> String {
    let mut document = ApiDocument::openapi();
    if !root_path.is_empty() {
        document.servers = Some(vec![ServerBuilder::new().url(root_path).build()]);
    }
    document.to_pretty_json().unwrap_or_default()
}

/// Declares the OAuth2 password flow at `/login`.
pub(super) struct PasswordFlow;

impl Modify for PasswordFlow {
    fn modify(&self, document: &mut Document) {
        let flow = Flow::Password(Password::new("login", Scopes::new()));
        let scheme = SecurityScheme::OAuth2(OAuth2::new([flow]));
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("OAuth2PasswordBearer", scheme);
    }
}
