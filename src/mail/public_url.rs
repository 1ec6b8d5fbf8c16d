//! The URL at which users reach the page that links lead to.

use std::net::IpAddr;

use url::{Host, Url};

/// Why a URL cannot be the one of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give the URL of the page, such as https://posts.example.org or https://example.org/posts")]
pub struct UnusablePublicUrl;

/// An `http` or `https` URL without user, query and fragment. Its path does not end with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// # Errors
    /// [`UnusablePublicUrl`] if the text is no such URL.
    pub fn parse(text: &str) -> Result<Self, UnusablePublicUrl> {
        let url = Url::parse(text).map_err(|_| UnusablePublicUrl)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        // The parser drops white space and control characters, which a person would not see.
        let is_visible = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        (is_plain && is_web && is_visible).then_some(Self(url)).ok_or(UnusablePublicUrl)
    }

    /// Returns the link to a view of the page. The fragment stays in the browser, so no log of a
    /// server or a proxy has the token.
    #[must_use]
    pub fn link(&self, view: &str, token: &str) -> String {
        format!("{self}/#{view}={token}")
    }

    /// Whether others can read a link on its way: the page of another machine without TLS.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        self.0.scheme() == "http" && !self.is_local()
    }

    fn is_local(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }

    /// Returns the host name, or the IP address.
    pub(super) fn host(&self) -> Result<&str, IpAddr> {
        match self.0.host() {
            Some(Host::Domain(name)) => Ok(name),
            Some(Host::Ipv4(ip)) => Err(ip.into()),
            Some(Host::Ipv6(ip)) => Err(ip.into()),
            None => Ok("localhost"),
        }
    }
}

/// Writes the URL without `/` at its end.
impl std::fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}
