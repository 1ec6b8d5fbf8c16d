//! Every setting by name, with its default and its documentation: the one table that
//! `.env.example`, `docs/settings.md` and `post-api settings` are made from. A test sees to it
//! that the table and [`super::Settings::load`] know the same names.

/// One setting, as it is documented.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    /// Empty if there is none.
    pub default: &'static str,
    /// The default under `COMPAT=reference`, where that is another.
    pub reference: Option<&'static str>,
    pub about: &'static str,
    /// Never shown; may come from a file that `NAME_FILE` names.
    pub is_secret: bool,
}

const fn setting(name: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { name, default, reference: None, about, is_secret: false }
}

/// A setting that `COMPAT=reference` presets.
const fn preset(
    name: &'static str,
    default: &'static str,
    reference: &'static str,
    about: &'static str,
) -> Setting {
    Setting { name, default, reference: Some(reference), about, is_secret: false }
}

const fn secret(name: &'static str, about: &'static str) -> Setting {
    Setting { name, default: "", reference: None, about, is_secret: true }
}

/// In the order they are shown.
pub const SETTINGS: &[Setting] = &[
    setting(
        "HOST",
        "127.0.0.1",
        "Address to listen on; `0.0.0.0` is every one of IPv4, `::` every one.",
    ),
    setting("PORT", "8000", "Port to listen on; 0 takes a free one."),
    setting(
        "SERVER_THREADS",
        "",
        "Threads that serve requests, 1 to 1024. Without a number one fewer than there are cores, one at least: hashing, the database and the kernel want the other.",
    ),
    setting(
        "TLS_CERT",
        "",
        "File of the listener's certificate and those of its authorities after it, in PEM. With it, and with `TLS_KEY`, the service speaks HTTPS alone (TLS 1.2 and above) and tells browsers to stay with it (HSTS). A file that has changed is taken within seconds, or at once on SIGHUP.",
    ),
    setting("TLS_KEY", "", "File of the certificate's private key, in PEM."),
    setting(
        "DATA_DIR",
        "./data",
        "Folder for the embedded database and the secret that is made for it.",
    ),
    secret(
        "DATABASE_URL",
        "`postgresql://USER:PASSWORD@HOST:PORT/NAME`, or `sqlite:PATH`. Wins over the five settings below; with none of them, the embedded database `DATA_DIR/posts.db`. Several hosts, separated by commas, are asked in turn for the one that takes writes. Parameters are libpq's: `sslmode` (`disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`), `sslrootcert`, `channel_binding`, `target_session_attrs`, `connect_timeout`, `options`; `host` may be the folder of a Unix socket.",
    ),
    setting(
        "DATABASE_HOSTNAME",
        "",
        "PostgreSQL server, or the folder of its Unix socket. All five are needed, or none.",
    ),
    setting("DATABASE_PORT", "", "PostgreSQL port."),
    secret("DATABASE_PASSWORD", "PostgreSQL password."),
    setting("DATABASE_NAME", "", "PostgreSQL database."),
    setting("DATABASE_USERNAME", "", "PostgreSQL role."),
    setting(
        "DATABASE_PREPARED_STATEMENTS",
        "on",
        "Whether statements stay prepared on their connections to PostgreSQL. `off` for a pooler in transaction mode; `statement_timeout` and `lock_timeout` are then for the role or the pooler to set.",
    ),
    secret(
        "SECRET_KEY",
        "Signs the tokens: 32 bytes or more, as `openssl rand -hex 32` makes them. Made once and kept in `DATA_DIR/secret_key` when the embedded database is used and none is given; required with PostgreSQL, unless `SECRET_KEYS` is given.",
    ),
    secret(
        "SECRET_KEYS",
        "Up to eight secrets as that of `SECRET_KEY`, parted by commas or white space, to change them while tokens are in use: the first signs, all verify, and each token says which one signed it. `SECRET_KEY`, where it is given too, only verifies.",
    ),
    setting(
        "ALGORITHM",
        "HS256",
        "How tokens are signed: `HS256`, `HS384` or `HS512` with a secret, or `RS256`, `ES256` or `EdDSA` with `SIGNING_KEYS`. No other is accepted.",
    ),
    secret(
        "SIGNING_KEYS",
        "Private keys for `RS256` (2048 to 4096 bits), `ES256` (P-256) or `EdDSA` (Ed25519): PKCS#8 in PEM, up to eight blocks, of which the first signs and all verify. `openssl genpkey -algorithm ed25519` makes one; so do `-algorithm EC -pkeyopt ec_paramgen_curve:P-256` and `-algorithm RSA -pkeyopt rsa_keygen_bits:3072`. The public keys are at `/.well-known/jwks.json`.",
    ),
    setting("ACCESS_TOKEN_EXPIRE_MINUTES", "30", "Lifetime of a token, 1 to 525600."),
    setting(
        "REFRESH_TOKEN_EXPIRE_DAYS",
        "30",
        "How long a sign-in with `scope=offline_access` lasts without being used, 1 to 3650 days.",
    ),
    setting(
        "SESSION_EXPIRE_DAYS",
        "365",
        "How long such a sign-in lasts however much it is used, 1 to 3650 days.",
    ),
    setting(
        "COMPAT",
        "",
        "`reference` presets the five settings below for clients of the reference; each can still be set alone. A weak `SECRET_KEY` is then warned about instead of refused: its tokens are in use.",
    ),
    preset(
        "DRAFT_VISIBILITY",
        "private",
        "visible",
        "`private`: a draft exists for its owner only. `visible`: everybody sees it.",
    ),
    preset(
        "POSTS_DEFAULT_LIMIT",
        "100",
        "none",
        "Posts in a list that was asked for without `limit`, 1 to 1000. `none`: all of them, and no bound on `limit`.",
    ),
    preset("PUBLIC_EMAILS", "off", "on", "Whether anybody may read anybody's e-mail address."),
    preset("PASSWORD_MIN_LENGTH", "8", "0", "Fewest characters of a new password, 0 to 4096."),
    preset("PASSWORD_BLOCKLIST", "on", "off", "Whether very common passwords are refused."),
    setting(
        "PASSWORD_FORBIDDEN_WORDS",
        "",
        "Words that no new password may contain, in whatever case, separated by commas: what is guessed first here, such as the names of the service, its owner and its town. Three characters or more each.",
    ),
    setting(
        "DELETE_REQUIRES_PASSWORD",
        "off",
        "Whether the deletion of an account asks for its password, in the header `X-Confirm-Password` or as `current_password` in the body.",
    ),
    setting(
        "ARGON2_MEMORY_KIB",
        "65536",
        "Memory of a password hash in KiB, 8 per lane to 1048576.",
    ),
    setting("ARGON2_ITERATIONS", "3", "Passes of a password hash, 1 to 32."),
    setting("ARGON2_PARALLELISM", "4", "Lanes of a password hash, 1 to 64."),
    setting(
        "TRUSTED_PROXIES",
        "",
        "Proxies that are believed when they say whom they ask for (`Forwarded`, `X-Forwarded-For`): addresses and networks like `10.1.0.0/16`, separated by commas. The client is the last hop that is none of them. A proxy should write one of the two headers and take the other one off: if both are there and differ, the proxy counts as the client.",
    ),
    setting(
        "RATE_LIMITS",
        "on",
        "Whether wrong passwords, new accounts and writes are limited, as the settings below say. Each of those is a number and a time, `20/5m`: so many at once, and as many again in each such time (`s`, `m`, `h`; 24 hours at most), one by one; or `off`. Beyond it the answer is 429. Each process counts for itself.",
    ),
    setting(
        "RATE_LIMIT_LOGIN_IP",
        "20/5m",
        "Wrong passwords from one client: an address of IPv4, or a /64 network of IPv6.",
    ),
    setting(
        "RATE_LIMIT_LOGIN_ACCOUNT",
        "300/1h",
        "Wrong passwords for one account, from all clients together. Clients that have logged in to it are let through.",
    ),
    setting(
        "LOGIN_LOCKOUT_THRESHOLD",
        "100",
        "Wrong passwords in a row, 1 to 100, after which an account is guarded until somebody logs in to it.",
    ),
    setting(
        "RATE_LIMIT_LOGIN_LOCKED",
        "5/1h",
        "Wrong passwords from one client for a guarded account; those before it was guarded count. `off` guards none.",
    ),
    setting("RATE_LIMIT_SIGN_UP", "60/1h", "Sign-ups from one client."),
    setting(
        "RATE_LIMIT_WRITES",
        "1000/1m",
        "Posts and votes that one account makes, changes or deletes.",
    ),
    setting(
        "CORS_ORIGINS",
        "*",
        "Origins whose pages may read the answers, separated by commas; `*` is any. Never with credentials.",
    ),
    setting(
        "ROOT_PATH",
        "",
        "Path below which a proxy shows the service, as `/api`; the proxy takes it off.",
    ),
    setting("DOCS", "on", "Whether `/docs`, `/redoc` and `/openapi.json` are there."),
    setting("ACCESS_LOG", "on", "Whether each request is logged in a line."),
    setting("LOG_FORMAT", "text", "`text` or `json`."),
    setting("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug` or `trace`."),
];
