//! The parameters of timeouts, keepalives and the choice between several hosts.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, TargetSessionAttrs};

use super::Result;
use super::parameters::Parameters;

/// How long each host may take to accept a connection, unless `connect_timeout` is given.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long sent data may stay unacknowledged before the connection is closed, unless
/// `tcp_user_timeout` is given.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// The service notices a broken connection after 25 seconds, unless `keepalives_idle`,
/// `keepalives_interval` or `keepalives_count` are given.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVES_COUNT: u32 = 3;

/// Returns whether the server must not be a standby, which the driver cannot check.
pub(super) fn set(config: &mut Config, parameters: &Parameters) -> Result<bool> {
    set_timeouts(config, parameters)?;
    set_keepalives(config, parameters)?;
    let name = parameters.get("application_name");
    let name = name.or_else(|| parameters.get("fallback_application_name"));
    config.application_name(name.unwrap_or("post-api"));
    if let Some(word) = parameters.get("channel_binding") {
        config.channel_binding(match word {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            _ => {
                let problem = "is none of disable, prefer, require";
                return Err(parameters.invalid("channel_binding", problem));
            }
        });
    }
    if let Some(word) = parameters.get("load_balance_hosts") {
        config.load_balance_hosts(match word {
            "disable" => LoadBalanceHosts::Disable,
            "random" => LoadBalanceHosts::Random,
            _ => {
                let problem = "is none of disable, random";
                return Err(parameters.invalid("load_balance_hosts", problem));
            }
        });
    }
    set_target(config, parameters)
}

fn set_timeouts(config: &mut Config, parameters: &Parameters) -> Result<()> {
    let seconds = |number| u64::try_from(number).map(Duration::from_secs).ok();
    // As in libpq, the least timeout is two seconds, and zero means none.
    let timeout = match parameters.number("connect_timeout")? {
        None => Some(CONNECT_TIMEOUT),
        Some(number) if number <= 0 => None,
        Some(number) => seconds(number.max(2)),
    };
    if let Some(timeout) = timeout {
        config.connect_timeout(timeout);
    }
    // In milliseconds. Zero means the default of the operating system.
    let timeout = parameters.number("tcp_user_timeout")?.map(|number| {
        u64::try_from(number).ok().filter(|number| *number > 0).map(Duration::from_millis)
    });
    if let Some(timeout) = timeout.unwrap_or(Some(TCP_USER_TIMEOUT)) {
        config.tcp_user_timeout(timeout);
    }
    Ok(())
}

/// Zero means the default of the operating system.
fn set_keepalives(config: &mut Config, parameters: &Parameters) -> Result<()> {
    let positive = |name, default| -> Result<Option<u64>> {
        let number = parameters.number(name)?;
        Ok(number.map_or(Some(default), |number| {
            u64::try_from(number).ok().filter(|number| *number > 0)
        }))
    };
    config.keepalives(parameters.number("keepalives")? != Some(0));
    if let Some(seconds) = positive("keepalives_idle", KEEPALIVES_IDLE.as_secs())? {
        config.keepalives_idle(Duration::from_secs(seconds));
    }
    if let Some(seconds) = positive("keepalives_interval", KEEPALIVES_INTERVAL.as_secs())? {
        config.keepalives_interval(Duration::from_secs(seconds));
    }
    if let Some(count) = positive("keepalives_count", KEEPALIVES_COUNT.into())? {
        config.keepalives_retries(u32::try_from(count).unwrap_or(u32::MAX));
    }
    Ok(())
}

fn set_target(config: &mut Config, parameters: &Parameters) -> Result<bool> {
    let (target, needs_primary) = match parameters.get("target_session_attrs") {
        // Only the primary of several hosts accepts writes; the others are standbys.
        None | Some("any") if config.get_hosts().len() > 1 => {
            (TargetSessionAttrs::ReadWrite, false)
        }
        // A primary that an operator has made read-only serves reads; a standby may be stale.
        None | Some("primary") => (TargetSessionAttrs::Any, true),
        Some("any") => (TargetSessionAttrs::Any, false),
        Some("read-write") => (TargetSessionAttrs::ReadWrite, false),
        Some("read-only" | "standby") => (TargetSessionAttrs::ReadOnly, false),
        Some(_) => {
            let problem = "is none of any, read-write, primary, read-only, standby";
            return Err(parameters.invalid("target_session_attrs", problem));
        }
    };
    config.target_session_attrs(target);
    Ok(needs_primary)
}
