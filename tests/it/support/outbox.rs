//! Mails of a [`super::TestApp`], which keeps them instead of sending them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use post_api::api::Mails;
use post_api::auth::{Keys, MailLinks};
use post_api::mail::{Mailer, Message, PublicUrl, SendError, Sender, Transport};

use super::TestApp;

/// Keeps each mail. Clones share them.
#[derive(Clone, Default)]
pub struct Outbox {
    mails: Arc<Mutex<Vec<SentMail>>>,
    /// Answers of the mail server to the next tries; afterwards it accepts mails.
    refusals: Arc<Mutex<Vec<SendError>>>,
    is_silent: Arc<AtomicBool>,
}

/// A mail as the mail server gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMail {
    pub to: String,
    /// Head and body.
    pub text: String,
}

impl SentMail {
    /// Reads a message in the form of SMTP.
    pub fn new(to: &str, message: &str) -> Self {
        Self { to: to.to_owned(), text: message.replace("\r\n", "\n") }
    }

    pub fn subject(&self) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap()
    }

    /// Returns the token of the link to this view.
    pub fn token(&self, view: &str) -> String {
        let (_, rest) = self.text.split_once(&format!("/#{view}=")).unwrap();
        rest.lines().next().unwrap().to_owned()
    }
}

impl Outbox {
    /// Returns a mailer without waits between its tries.
    pub fn mailer(&self) -> Mailer {
        let sender = Sender::parse("Posts <no-reply@example.net>").unwrap();
        let url = PublicUrl::parse("https://posts.example.net").unwrap();
        Mailer::with_transport(Box::new(self.clone()), sender, url, [Duration::ZERO; 2])
    }

    pub fn mails(&self, keys: &Keys) -> Mails {
        Mails { mailer: self.mailer(), links: MailLinks::new(&keys.mail_link_key()) }
    }

    /// Makes the next tries fail, the last of these first.
    pub fn refuse(&self, errors: Vec<SendError>) {
        *self.refusals.lock().unwrap() = errors;
    }

    /// Makes the mail server answer nothing.
    pub fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    pub fn take(&self) -> Vec<SentMail> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }
}

impl TestApp {
    pub fn mailer(&self) -> Option<&Mailer> {
        self.mailer.as_ref()
    }

    /// Returns the mails that were sent since the last call. Waits for those in the queue.
    pub async fn sent_mails(&self) -> Vec<SentMail> {
        self.background.shutdown(Duration::from_mins(1)).await;
        self.outbox.take()
    }
}

#[async_trait]
impl Transport for Outbox {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        if self.is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if let Some(error) = self.refusals.lock().unwrap().pop() {
            return Err(error);
        }
        let text = String::from_utf8(message.formatted()).unwrap();
        let to: Vec<String> = message.envelope().to().iter().map(ToString::to_string).collect();
        self.mails.lock().unwrap().push(SentMail::new(&to.join(","), &text));
        Ok(())
    }
}
