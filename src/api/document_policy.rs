//! Makes the OpenAPI document follow the policy: its bounds, defaults and visibility.
//!
//! Not here: the rest of the document, see `openapi.rs`.

use serde_json::{Value, json};

use super::routes::post_list_request::{MAX_LIMIT, MAX_SKIP};
use crate::auth::MAX_PASSWORD_LENGTH;
use crate::domain::policy::{DraftVisibility, PasswordRules, Policy};

/// The schemas of new passwords.
const PASSWORDS: [&str; 3] = [
    "/components/schemas/UserCreate/properties/password",
    "/components/schemas/PasswordChange/properties/new_password",
    "/components/schemas/PasswordResetConfirmation/properties/new_password",
];

/// Deletions of an account.
const DELETIONS: [&str; 2] = ["/paths/~1users~1me/delete", "/paths/~1users~1{id}/delete"];

/// Operations that the policy can open to clients without a token.
const READS_OF_POSTS: [&str; 2] = ["/paths/~1posts/get", "/paths/~1posts~1{id}/get"];

/// Makes the document follow the policy.
pub(super) fn apply(document: &mut Value, policy: &Policy) {
    for pointer in PASSWORDS {
        describe_password(document.pointer_mut(pointer), &policy.passwords);
    }
    describe_list(document.pointer_mut("/paths/~1posts/get"), policy);
    if policy.draft_visibility == DraftVisibility::Visible {
        for (pointer, text) in [
            (
                "/paths/~1posts/get/description",
                "Lists posts and drafts with their votes, newest first.",
            ),
            ("/paths/~1posts~1{id}/get/description", "Returns a post with its votes."),
            (
                "/components/schemas/PostCreate/properties/published/description",
                "False marks it as a draft, which everyone can see.",
            ),
        ] {
            set(document.pointer_mut(pointer), json!(text));
        }
    }
    if policy.public_emails {
        let email = "/components/schemas/UserOut/properties/email/description";
        set(document.pointer_mut(email), json!("The e-mail of the account."));
        let reading = "/paths/~1users~1{id}/get/description";
        set(document.pointer_mut(reading), json!("Returns the public view of an account."));
    }
    if policy.anonymous_reads {
        for pointer in READS_OF_POSTS {
            describe_anonymous_read(document.pointer_mut(pointer));
        }
    }
    for pointer in DELETIONS {
        describe_deletion(document.pointer_mut(pointer), policy.delete_requires_password);
    }
}

fn describe_password(schema: Option<&mut Value>, rules: &PasswordRules) {
    let Some(schema) = schema else { return };
    let minimum = rules.minimum_length;
    let mut text = match minimum {
        0 => format!("At most {MAX_PASSWORD_LENGTH} characters"),
        _ => format!("{minimum} to {MAX_PASSWORD_LENGTH} characters"),
    };
    if rules.blocklist {
        text.push_str(", and not a common password");
    }
    if !rules.forbidden_words.is_empty() {
        text.push_str(", without the words that the operator forbids");
    }
    schema["description"] = json!(text + ".");
    schema["minLength"] = json!(minimum);
    schema["maxLength"] = json!(MAX_PASSWORD_LENGTH);
}

fn describe_list(operation: Option<&mut Value>, policy: &Policy) {
    let Some(parameters) = operation.and_then(|list| list["parameters"].as_array_mut()) else {
        return;
    };
    // In the reference service drafts are visible to everyone, and this parameter does not exist.
    parameters.retain(|parameter| {
        parameter["name"] != "published" || policy.draft_visibility == DraftVisibility::Private
    });
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        match (name.as_str(), policy.posts_default_limit) {
            ("limit", Some(limit)) => {
                parameter["description"] = json!("Maximum number of posts");
                if let Some(schema) = parameter.get_mut("schema") {
                    schema["default"] = json!(limit);
                    schema["maximum"] = json!(MAX_LIMIT);
                }
            }
            ("limit", None) => {
                parameter["description"] = json!(format!(
                    "Maximum number of posts. Without it, and above {MAX_LIMIT}, all posts"
                ));
            }
            ("skip", Some(_)) => {
                parameter["description"] = json!(format!(
                    "Posts to skip at the start. Without `search` at most {MAX_SKIP}"
                ));
            }
            _ => {}
        }
    }
}

fn describe_anonymous_read(operation: Option<&mut Value>) {
    let Some(operation) = operation else { return };
    operation["security"] = json!([{}, {"OAuth2PasswordBearer": []}]);
    let text = " No token is needed for published posts; a token that is sent must be valid.";
    if let Some(first) = operation["description"].as_str() {
        operation["description"] = json!(format!("{first}{text}"));
    }
    for status in ["200", "304"] {
        let pointer = format!("/responses/{status}/headers/Cache-Control/description");
        let text =
            "`private, no-cache`; without a token `public, no-cache`; with drafts `no-store`";
        set(operation.pointer_mut(&pointer), json!(text));
    }
}

fn describe_deletion(operation: Option<&mut Value>, requires_password: bool) {
    let text = if requires_password {
        "The password confirms the deletion: as `current_password` in a JSON body, or in the header \
         `X-Confirm-Password`. The header has precedence."
    } else {
        "If the setting `DELETE_REQUIRES_PASSWORD` is on, the password confirms the deletion: as \
         `current_password` in a JSON body, or in the header `X-Confirm-Password`."
    };
    let Some(operation) = operation else { return };
    if let Some(body) = operation.get_mut("requestBody") {
        body["required"] = json!(false);
    }
    if let Some(first) = operation["description"].as_str() {
        operation["description"] = json!(format!("{first} {text}"));
    }
}

fn set(target: Option<&mut Value>, value: Value) {
    if let Some(target) = target {
        *target = value;
    }
}
