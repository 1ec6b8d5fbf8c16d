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
        "DATABASE_PREPARED",
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
        "COMPAT",
        "",
        "`reference` presets the five settings below for clients of the reference; each can still be set alone. A weak `SECRET_KEY` is then warned about instead of refused: its tokens are in use.",
    ),
    preset(
        "DRAFTS",
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
        "ARGON2_MEMORY_KIB",
        "65536",
        "Memory of a password hash in KiB, 8 per lane to 1048576.",
    ),
    setting("ARGON2_ITERATIONS", "3", "Passes of a password hash, 1 to 32."),
    setting("ARGON2_PARALLELISM", "4", "Lanes of a password hash, 1 to 64."),
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
