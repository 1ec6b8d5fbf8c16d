//! The settings of mail: all three, or none.

use super::SettingError;
use super::definitions as row;
use super::parse::Parser;
use crate::mail::{MailConfig, MailServer, PublicUrl, Sender};
use crate::rate_limits::MailRates;

const SERVER_HINT: &str = "give smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST or console:, \
                           with special characters in USER and PASSWORD percent-encoded";

const PLAINTEXT_HINT: &str = "use https, because others can read the links on their way";

const NO_PAGE: &str =
    "is where links in mails lead, but with PAGE=off this service has no page there";

const NO_PAGE_HINT: &str =
    "set PAGE=on, or name your own page, which must read #reset= and #verify=";

impl Parser<'_> {
    pub(super) fn mail_rates(&mut self) -> MailRates {
        MailRates {
            client: self.rate(&row::RATE_LIMIT_MAIL_IP),
            account: self.rate(&row::RATE_LIMIT_MAIL_ACCOUNT),
        }
    }

    /// Checks each value even if another is missing.
    pub(super) fn mail(&mut self) -> Option<MailConfig> {
        let server = self.secret(&row::SMTP_URL).filter(|server| !server.is_empty());
        let is_set = [
            (row::SMTP_URL.name, server.is_some()),
            (row::MAIL_FROM.name, !self.text(&row::MAIL_FROM).is_empty()),
            (row::PUBLIC_URL.name, !self.text(&row::PUBLIC_URL).is_empty()),
        ];
        let (first, _) = is_set.into_iter().find(|(_, is_set)| *is_set)?;
        let missing = is_set.into_iter().filter(|(_, is_set)| !is_set).map(|(name, _)| name);
        let missing: Vec<_> = missing.collect();
        if !missing.is_empty() {
            let problem = format!("is set without {}", missing.join(" and "));
            let hint = "set SMTP_URL, MAIL_FROM and PUBLIC_URL, or none of them";
            self.errors.push(SettingError::new(first, problem, hint));
        }
        if !self.switch(&row::PAGE) {
            self.warnings.push(SettingError::new(row::PUBLIC_URL.name, NO_PAGE, NO_PAGE_HINT));
        }
        let server = server.and_then(|server| self.mail_server(&server));
        let (sender, public_url) = (self.mail_sender(), self.public_url());
        Some(MailConfig { server: server?, sender: sender?, public_url: public_url? })
    }

    fn mail_server(&mut self, text: &str) -> Option<MailServer> {
        let name = row::SMTP_URL.name;
        match MailServer::parse(text) {
            Ok(server) => {
                if matches!(&server, MailServer::Smtp(server) if server.is_plaintext()) {
                    let problem =
                        "leads to another machine without TLS, and shows the links of mails";
                    let hint = "remove tls=none, or use smtps://";
                    self.warnings.push(SettingError::new(name, problem, hint));
                }
                Some(server)
            }
            Err(unusable) => {
                self.errors.push(SettingError::new(name, unusable.to_string(), SERVER_HINT));
                None
            }
        }
    }

    fn mail_sender(&mut self) -> Option<Sender> {
        let text = self.text(&row::MAIL_FROM);
        if text.is_empty() {
            return None;
        }
        let sender = Sender::parse(text);
        sender.map_err(|hint| self.reject(&row::MAIL_FROM, text, hint.to_string())).ok()
    }

    fn public_url(&mut self) -> Option<PublicUrl> {
        let text = self.text(&row::PUBLIC_URL);
        if text.is_empty() {
            return None;
        }
        let url = PublicUrl::parse(text);
        let url = url.map_err(|hint| self.reject(&row::PUBLIC_URL, text, hint.to_string())).ok()?;
        if url.is_plaintext() {
            let problem = format!("{text:?} has no TLS");
            self.warnings.push(SettingError::new(row::PUBLIC_URL.name, problem, PLAINTEXT_HINT));
        }
        Some(url)
    }
}
