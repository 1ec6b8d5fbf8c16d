//! The metrics of connections.

use std::fmt;

use super::ClientLimits;
use crate::metrics::{Collect, Scrape, name};

impl Collect for ClientLimits {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        let open = u64::try_from(self.shared.connections.in_use()).unwrap_or(u64::MAX);
        scrape.gauge(&name::CONNECTIONS, open)?;
        scrape.counter(&name::CONNECTIONS_REFUSED, self.shared.refused_connections.value())
    }
}
