//! Every setting: its name, default, range and documentation, each written once.
//!
//! [`super::Settings::load`] reads the values through these rows. `.env.example`,
//! `docs/settings.md` and the output of `post-api settings` are generated from them.

use super::setting::{Setting, int, secret, text};

/// Maxima, taken from the modules that enforce them.
#[expect(clippy::as_conversions, reason = "`From` is not const")]
mod max {
    use crate::auth::{Argon2Params, MAX_PASSWORD_LENGTH};

    pub(super) const PASSWORD_LENGTH: u64 = MAX_PASSWORD_LENGTH as u64;
    pub(super) const MEMORY_KIB: u64 = Argon2Params::MAXIMUM_MEMORY_KIB as u64;
    pub(super) const ITERATIONS: u64 = Argon2Params::MAXIMUM_ITERATIONS as u64;
    pub(super) const PARALLELISM: u64 = Argon2Params::MAXIMUM_PARALLELISM as u64;
}

/// Declares a row for each `NAME = kind(default, …, "documentation").option(value);`, and the list
/// of all rows.
macro_rules! settings {
    ($($name:ident = $kind:ident($($argument:expr),+ $(,)?) $(.$option:ident($value:expr))?;)+) => {
        $(pub(super) static $name: Setting =
            $kind(stringify!($name), $($argument),+) $(.$option($value))?;)+

        /// All settings, in the order of the documentation.
        pub static SETTINGS: &[&Setting] = &[$(&$name),+];
    };
}

settings! {
    HOST = text("127.0.0.1",
        "IP address or host name to listen on: `0.0.0.0` for all IPv4 addresses, `::` for all \
         addresses. Change it to let other machines connect.");
    PORT = int("8000", 0..=65_535,
        "Port to listen on; 0 picks a free one. Change it if another program uses the port.");
    SERVER_THREADS = int("", 1..=1024,
        "Threads that serve requests. Without a value one fewer than there are CPU cores, at \
         least one: hashing, the database and the kernel use the rest. Change it if other \
         programs share the machine.");
    KEEP_ALIVE_TIMEOUT_SECONDS = int("75", 1..=3600,
        "Seconds after which a connection without a request is closed. Set it higher than the \
         idle timeout of a proxy or load balancer in front, or requests on a reused connection \
         can fail.");
    CLIENT_MEMORY_MIB = int("512", 64..=1_048_576,
        "Memory in MiB that all clients together can make the service hold: connections, \
         requests, bodies and responses. One client network can use an eighth. Beyond it requests \
         get 503. Lower it on a small machine; `docs/operations.md` has the formula.");
    SHUTDOWN_DELAY_SECONDS = int("0", 0..=3600,
        "Time in seconds from SIGTERM or SIGINT until the service accepts no more connections. \
         `/readyz` answers 503 meanwhile. Raise it if a load balancer takes time to notice; the \
         service manager must wait for 30 seconds more.");
    METRICS_ADDRESS = text("",
        "IP address and port of a second listener that gives metrics to Prometheus, such as \
         `127.0.0.1:9464`, at `/metrics` by plain HTTP without a token. Without a value there are \
         no metrics. Set it to monitor the service, and let only the monitoring system connect.");
    TLS_CERT = text("",
        "PEM file with the certificate of the listener, followed by those of its authorities. Set \
         it with `TLS_KEY` if no proxy does TLS: the service then speaks only HTTPS (TLS 1.2 and \
         above) and makes browsers stay with HTTPS (HSTS). A changed file is loaded within \
         seconds, or at once on SIGHUP.");
    TLS_KEY = text("",
        "PEM file with the private key of the certificate. Set it with `TLS_CERT`.");
    DATA_DIR = text("./data",
        "Folder for the embedded database and the generated secrets (`keys.json`). Change it to \
         keep data outside the working folder.");
    BACKUP_DIR = text("",
        "Folder into which the service copies the embedded database by itself, once in each \
         `BACKUP_EVERY`; without a value it makes no backups. Each is verified, and has its SHA-256 \
         in a file next to it. Name a folder on another disk, and copy its files to \
         another machine.");
    BACKUP_EVERY = text("24h",
        "Time between two backups, from `1m` to `31d` (`s`, `m`, `h`, `d`). It continues over a \
         restart. Lower it to lose fewer writes with the disk.");
    BACKUP_KEEP = int("7", 1..=10_000,
        "Backups that stay in `BACKUP_DIR`. The oldest is removed after a new one was verified. \
         Raise it to be able to go back further.");
    DATABASE_URL = secret(
        "`sqlite:PATH`, or `postgresql://USER:PASSWORD@HOST:PORT/NAME` to use PostgreSQL. Takes \
         precedence over the five settings below. With none of the six the service uses the \
         embedded database `DATA_DIR/posts.db`. SQLAlchemy's URLs have its meaning: \
         `sqlite:///PATH` is relative to the working folder, and `sqlite:////PATH` absolute. With \
         several hosts, separated by commas, the service uses the one that accepts writes. \
         Parameters have libpq's meaning, for example `sslmode=verify-full`, and libpq's \
         environment variables complete the URL: see `docs/postgresql.md`.");
    DATABASE_HOSTNAME = text("",
        "Host of PostgreSQL, or the folder of its Unix socket. Set all five of these settings or \
         none: `DATABASE_URL` has more options. As in the reference service, the five are the \
         parts of a URL, so `%40` in the user or the password means `@`. A value that no URL could \
         have there is taken literally.");
    DATABASE_PORT = int("", 1..=65_535,
        "Port of PostgreSQL.");
    DATABASE_PASSWORD = secret(
        "Password of the PostgreSQL role. It may be empty if the role needs none, or if \
         `PGPASSWORD` or the file `PGPASSFILE` has it.");
    DATABASE_NAME = text("",
        "Name of the PostgreSQL database. Parameters may follow, as in \
         `posts?sslmode=verify-full`.");
    DATABASE_USERNAME = text("",
        "Name of the PostgreSQL role.");
    DATABASE_PREPARED_STATEMENTS = text("on",
        "Whether connections to PostgreSQL keep prepared statements and settings. Set `off` for a \
         pooler in transaction mode, and set `statement_timeout` and `lock_timeout` for the role \
         or in the pooler. A pooler in session mode needs no change.");
    DATABASE_POOL_SIZE = int("16", 3..=1000,
        "Most connections that one process opens to PostgreSQL. Lower it if the server or the role \
         allows fewer connections for all processes together.");
    DATABASE_FAILOVER_WAIT_SECONDS = int("5", 0..=7,
        "How long requests wait for the next primary of PostgreSQL after the last one was lost, \
         instead of getting 503. A planned switchover within this time costs no request. `0` turns \
         the wait off.");
    DATABASE_CONFIRM_READS = text("off",
        "Whether PostgreSQL answers a read only after its synchronous standby has acknowledged it, as \
         it does with writes. Set `on` if two primaries could exist for a moment: then a former \
         primary answers no read. The server needs `synchronous_standby_names`. A read takes about \
         as long as a write.");
    SECRET_KEY = secret(
        "Signs tokens: 32 bytes or more, for example from `openssl rand -hex 32`. Required with \
         PostgreSQL unless `SECRET_KEYS` is set. With the embedded database the service generates \
         a secret and keeps it in `DATA_DIR/keys.json`; set this to choose it yourself.");
    SECRET_KEYS = secret(
        "Up to eight secrets like `SECRET_KEY`, separated by commas or white space: the first \
         signs, all verify, and each token names the one that signed it. Set it to rotate secrets \
         while tokens are in use. If `SECRET_KEY` is set too, that one only verifies.");
    ALGORITHM = text("HS256",
        "How tokens are signed: `HS256`, `HS384` or `HS512` with a secret, or `RS256`, `ES256` or \
         `EdDSA` with `SIGNING_KEYS`. The service accepts only tokens of this algorithm. Change \
         it to let others verify tokens.");
    SIGNING_KEYS = secret(
        "Private keys for `RS256` (2048 to 4096 bits), `ES256` (P-256) or `EdDSA` (Ed25519): up \
         to eight PKCS#8 blocks in PEM, of which the first signs and all verify. Generate one \
         with `openssl genpkey -algorithm ed25519`, with `-algorithm EC -pkeyopt \
         ec_paramgen_curve:P-256`, or with `-algorithm RSA -pkeyopt rsa_keygen_bits:3072`. The \
         public keys are at `/.well-known/jwks.json`.");
    ACCESS_TOKEN_EXPIRE_MINUTES = int("30", 1..=525_600,
        "Lifetime of an access token in minutes. Lower it to limit the use of a stolen token.");
    REFRESH_TOKEN_EXPIRE_DAYS = int("30", 1..=3650,
        "Idle timeout in days of a session, which a login with `scope=offline_access` starts: the \
         session ends if its refresh token is not used for so long. Lower it to end forgotten \
         sessions earlier.");
    SESSION_EXPIRE_DAYS = int("365", 1..=3650,
        "Absolute timeout in days of a session: the session ends that long after its login, \
         however often it is refreshed. Lower it to ask for the password more often.");
    COMPAT = text("",
        "`reference` changes the defaults of the five settings below, and of `PAGE`, to those of \
         the reference service, for its clients; each can still be set. The service then warns \
         about a weak `SECRET_KEY` and accepts it, because tokens depend on it.");
    DRAFT_VISIBILITY = text("private",
        "`private`: only its owner can see a draft. `visible`: everyone can, as in the reference \
         service.")
        .with_reference("visible");
    POSTS_DEFAULT_LIMIT = int("100", 1..=1000,
        "Posts in a list without `limit`. `none`: all posts, and no maximum for `limit`, as in \
         the reference service. Lower it if posts are large.")
        .with_reference("none");
    PUBLIC_EMAILS = text("off",
        "Whether responses show the e-mail of every account to everyone. Turn it on for clients \
         of the reference service that need it.")
        .with_reference("on");
    PASSWORD_MIN_LENGTH = int("8", 0..=max::PASSWORD_LENGTH,
        "Fewest characters of a new password. Raise it for stronger passwords.")
        .with_reference("0");
    PASSWORD_BLOCKLIST = text("on",
        "Whether very common passwords are rejected. Turn it off only for clients that rely on \
         them.")
        .with_reference("off");
    PASSWORD_FORBIDDEN_WORDS = text("",
        "Words that no new password may contain in any case, separated by commas, of three \
         characters or more each. List what attackers guess first here: the names of the service, \
         its owner and its town.");
    ANONYMOUS_READS = text("off",
        "Whether clients without a token can list and read published posts, and caches can keep \
         these responses. Turn it on if everyone may read what users publish. Reads have no rate \
         limit.");
    DELETE_REQUIRES_PASSWORD = text("off",
        "Whether deleting an account requires its password, in the header `X-Confirm-Password` or \
         as `current_password` in the body. Turn it on if your clients can send it.");
    ARGON2_MEMORY_KIB = int("65536", 8..=max::MEMORY_KIB,
        "Memory of a password hash in KiB, at least 8 per lane. Raise it to make guessing \
         costlier; each CPU core computes one hash at a time.");
    ARGON2_ITERATIONS = int("3", 1..=max::ITERATIONS,
        "Passes of a password hash over its memory. Raise it to make guessing costlier.");
    ARGON2_PARALLELISM = int("4", 1..=max::PARALLELISM,
        "Lanes of a password hash. Change it only to match the hashes of another service.");
    TRUSTED_PROXIES = text("",
        "Proxies whose `Forwarded` or `X-Forwarded-For` names the client: IP addresses and \
         networks such as `10.1.0.0/16`, separated by commas. The client IP is the last hop that \
         is not one of them. Set it if a proxy is in front, to `127.0.0.1` for one on the same \
         machine: otherwise all clients share one limit. The proxy should write one of the two \
         header fields and remove the other: if both are present and differ, the proxy counts as \
         the client.");
    RATE_LIMITS = text("on",
        "Whether wrong passwords, sign-ups and writes are limited, per process, as the settings \
         below say. Each limit is a number and a time up to 24 hours, such as `20/5m` (`s`, `m`, \
         `h`), or `off`: so many at once, and as many more, one by one, in each such time. Beyond \
         a limit the response is 429. `off` keeps the limits on mails. Turn it off if a proxy \
         limits requests.");
    RATE_LIMIT_LOGIN_IP = text("20/5m",
        "Wrong passwords from one client: an IPv4 address or an IPv6 /64 network. An IPv6 /56 \
         network has twice, a /48 network four times the rate. Raise it if many users share an \
         IP.");
    RATE_LIMIT_LOGIN_ACCOUNT = text("300/1h",
        "Wrong passwords for one account, from all clients together. Clients that have logged in \
         to it are exempt. Lower it to slow down attacks from many networks.");
    LOGIN_LOCKOUT_THRESHOLD = int("100", 1..=100,
        "Consecutive wrong passwords that lock an account until the next login to it. Lower it to \
         lock earlier.");
    RATE_LIMIT_LOGIN_LOCKED = text("5/1h",
        "Wrong passwords from one client for a locked account; those from before the lockout \
         count. `off` turns the lockout off. Raise it if owners cannot log in during an attack.");
    RATE_LIMIT_SIGN_UP = text("60/1h",
        "Sign-ups from one client. Raise it if many users sign up from one IP.");
    RATE_LIMIT_WRITES = text("1000/1m",
        "Posts and votes that one account creates, changes or deletes, and changes of its \
         display name. A post counts once for each started 64 KiB of its text. Raise it for programs that import posts, lower it if \
         strangers can fill the disk.");
    RATE_LIMIT_EXPORTS = text("5/1h",
        "Exports of one account (`GET /users/me/export`). Each reads everything that the account \
         has.");
    RATE_LIMIT_MAIL_IP = text("20/1h",
        "Mails that one client asks for: links to reset a password or to verify an e-mail. Also with \
         `RATE_LIMITS=off`. Raise it if many users share an IP.");
    RATE_LIMIT_MAIL_ACCOUNT = text("3/1h",
        "Mails to one e-mail: so many with a link to reset the password, whether or not it has an \
         account, and as many others. Also with `RATE_LIMITS=off`. Raise it if users need more \
         tries.");
    SMTP_URL = secret(
        "The mail server, as `smtps://USER:PASSWORD@HOST:PORT` (TLS, port 465 by default) or \
         `smtp://USER:PASSWORD@HOST:PORT` (STARTTLS, port 587 by default). `?tls=none` after \
         `smtp://HOST` turns encryption off, for a server on the same machine. `console:` prints \
         mails on standard error, for development. Set it with `MAIL_FROM` and `PUBLIC_URL` to let \
         users reset their password and verify their e-mail: see `docs/email.md`.");
    MAIL_FROM = text("",
        "Sender of mails: an e-mail, or a name with it, such as `Posts <no-reply@example.org>`. Set \
         it with `SMTP_URL`.");
    PUBLIC_URL = text("",
        "URL at which users reach the page of the service, such as `https://posts.example.org`. \
         Links in mails begin with it. Set it with `SMTP_URL`.");
    CHANGES_STREAMS = int("10000", 0..=1_000_000,
        "Streams of changes (`GET /posts/changes`) that one process serves at the same time; each is \
         an open connection. Beyond this number the response is 503. With 0 the routes do not \
         exist, and this process does not read the log. Lower it on a small machine; \
         `docs/live.md` has the memory.");
    CORS_ORIGINS = text("*",
        "Origins whose pages may read responses in a browser, separated by commas; `*` allows \
         all, a blank value none. Write them as browsers send them, without the default port. \
         List your own origins to exclude other pages.");
    CORS_CREDENTIALS = text("off",
        "Whether the pages of the origins in `CORS_ORIGINS` may send credentials of the browser: \
         cookies, client certificates, HTTP authentication. Turn it on if a proxy in front asks \
         for them, or if a client sends `withCredentials`. It needs listed origins, not `*`.");
    ROOT_PATH = text("",
        "Path below which a proxy publishes the service, such as `/api`: letters, digits and \
         `-._~` between single slashes. The proxy may remove the path from requests or leave it \
         on.");
    DOCS = text("on",
        "Whether `/docs`, `/redoc` and `/openapi.json` exist. Turn it off to hide them.");
    PAGE = text("on",
        "Whether the pages at `/` and `/admin` exist. On the page at `/` people sign up, read, \
         write and vote, and links in mails lead to it. Turn it off if you have your own page.")
        .with_reference("off");
    ACCESS_LOG = text("on",
        "Whether the log has a line for each request. Turn it off if a proxy logs requests.");
    LOG_FORMAT = text("text",
        "`text`, or `json` for programs that read the log.");
    LOG_LEVEL = text("info",
        "`error`, `warn`, `info`, `debug` or `trace`: `error` shows the least, `trace` the most. \
         `critical` means `error`, and `warning` means `warn`. Use `debug` to find a fault.");
}
