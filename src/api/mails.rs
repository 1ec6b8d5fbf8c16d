//! Mails to accounts. A mail is made and sent after the response, on a task of its own, so that the
//! response time does not depend on whether there is an account.
//!
//! Not here: the queue and the words, see `mail`; the routes, see `routes/password_resets.rs` and
//! `routes/email_verifications.rs`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::audit;
use super::client_ip::ClientIp;
use super::error::{ApiError, ApiResult};
use super::password_check::OwnEmail;
use super::state::AppState;
use crate::auth::{LinkPurpose, PresentedLink};
use crate::domain::email::TypedEmail;
use crate::domain::event::EventKind;
use crate::domain::recipient::Recipient;
use crate::domain::user::{User, UserId};
use crate::error_chain::error_chain;
use crate::mail::{Delivery, Mail};
use crate::store;

/// The least wait before the account of a reset is looked up. An ordinary response takes less.
const MIN_RESET_WAIT: Duration = Duration::from_millis(50);

/// The waits are spread over this many milliseconds.
const RESET_WAIT_VALUES: u64 = 200;

/// Sends a link that resets the password, if there is an account. Waits before: otherwise the work
/// for the mail would take processor time from its own response, and so reveal the account.
pub(super) fn send_reset_link(app: &Arc<AppState>, client: ClientIp, email: TypedEmail) {
    queue(app, client, |app| async move {
        sleep(reset_wait(getrandom::u64().unwrap_or_default())).await;
        let recipient = app.store.find_recipient(email).await?;
        Ok(recipient.and_then(|recipient| with_link(&app, LinkPurpose::ResetPassword, recipient)))
    });
}

/// Sends a link that verifies the e-mail of the account.
pub(super) fn send_verification_link(app: &Arc<AppState>, client: ClientIp, user: UserId) {
    queue(app, client, move |app| async move {
        let recipient = app.store.find_recipient_by_id(user).await?;
        Ok(recipient.and_then(|recipient| with_link(&app, LinkPurpose::VerifyEmail, recipient)))
    });
}

/// Like [`send_verification_link`], for a new e-mail. Does nothing if the e-mail got too many mails:
/// otherwise a client could send more of them by creating and deleting an account.
pub(super) fn verify_new_email(app: &Arc<AppState>, client: ClientIp, user: &User) {
    if app.mails.is_some() && app.rate_limits.send_unasked_mail(user.email.as_str()).is_ok() {
        send_verification_link(app, client, user.id);
    }
}

/// Tells the earlier e-mail of the account that it was replaced. No limit applies to a verified
/// e-mail: a thief could use it up before. Any account can name an unverified one.
pub(super) fn notify_of_change(app: &Arc<AppState>, client: ClientIp, user: UserId, old: OwnEmail) {
    let OwnEmail { email: to, verified_at } = old;
    let may_send = || app.rate_limits.send_unasked_mail(to.as_str()).is_ok();
    if app.mails.is_some() && (verified_at.is_some() || may_send()) {
        queue(app, client, move |_| async move { Ok(Some((user, Mail::EmailChanged { to }))) });
    }
}

fn reset_wait(random: u64) -> Duration {
    MIN_RESET_WAIT + Duration::from_millis(random % RESET_WAIT_VALUES)
}

/// Returns the recipient of a genuine link.
///
/// # Errors
/// [`ApiError::InvalidLink`] for any other link, and the errors of the store.
pub(super) async fn find_recipient(
    app: &AppState,
    client: ClientIp,
    purpose: LinkPurpose,
    link: Option<PresentedLink>,
) -> ApiResult<Recipient> {
    let mails = app.mails.as_ref().ok_or(ApiError::RouteNotFound)?;
    let now = app.clock.now();
    let link = link.filter(|link| !link.has_expired(now));
    let link = link.ok_or_else(|| refuse_link(app, client))?;
    let recipient = app.store.find_recipient_by_id(link.user_id).await?;
    let is_genuine = |recipient: &Recipient| mails.links.is_valid(purpose, &link, recipient, now);
    recipient.filter(is_genuine).ok_or_else(|| refuse_link(app, client))
}

/// Records the refusal in the log, and returns the error.
pub(super) fn refuse_link(app: &AppState, client: ClientIp) -> ApiError {
    audit::record_in_log(app, client, None, EventKind::LinkRefused);
    ApiError::InvalidLink
}

fn with_link(app: &AppState, purpose: LinkPurpose, recipient: Recipient) -> Option<(UserId, Mail)> {
    let token = app.mails.as_ref()?.links.issue(purpose, &recipient, app.clock.now());
    let to = recipient.email;
    let mail = match purpose {
        LinkPurpose::ResetPassword => Mail::PasswordReset { to, token },
        LinkPurpose::VerifyEmail => Mail::EmailVerification { to, token },
    };
    Some((recipient.credentials.user_id, mail))
}

/// Reserves the queue at once, and makes and sends the mail after the response.
fn queue<F>(app: &Arc<AppState>, client: ClientIp, make: impl FnOnce(Arc<AppState>) -> F)
where
    F: Future<Output = store::Result<Option<(UserId, Mail)>>> + Send + 'static,
{
    let Some(mails) = &app.mails else { return };
    let Some(permit) = mails.mailer.try_reserve() else {
        app.metrics.count_mail("dropped");
        tracing::warn!("mail dropped: the queue is full");
        return;
    };
    let (mail, app) = (make(Arc::clone(app)), Arc::clone(app));
    let background = app.background.clone();
    background.detach(async move {
        let (user, mail) = match permit.unless_dropped(mail).await {
            Some(Ok(Some(found))) => found,
            Some(Ok(None)) => return,
            Some(Err(error)) => {
                app.metrics.count_mail("dropped");
                let error = error_chain(&error);
                tracing::warn!(error, "mail dropped: its account could not be read");
                return;
            }
            None => return app.metrics.count_mail("dropped"),
        };
        match permit.deliver(&mail, app.clock.now()).await {
            Delivery::Sent => app.metrics.count_mail("sent"),
            Delivery::Failed(error) => {
                app.metrics.count_mail("failed");
                tracing::warn!(error = error_chain(&error), "mail not sent");
                audit::record(&app, client, user, EventKind::MailFailed).await;
            }
            // The shutdown logs how many there are.
            Delivery::Dropped => app.metrics.count_mail("dropped"),
        }
    });
}
