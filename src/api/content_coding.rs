//! Content codings (RFC 9110, 8.4): compresses files that never change.
//!
//! Not here: responses of the API. A list of 37 kB takes fifteen times as long to compress as to
//! answer, and a proxy can compress it.

use std::io::Write as _;

use axum::http::header::{ACCEPT_ENCODING, HeaderMap};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::error::{ApiError, ApiResult};

/// Returns whether the client accepts gzip (RFC 9110, 12.5.3). A weight that cannot be read counts
/// as zero, because every client can read the file itself.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT_ENCODING).iter();
    let listed = fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(','));
    let mut any = false;
    for coding in listed {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let name = name.trim();
        if ["gzip", "x-gzip"].iter().any(|gzip| name.eq_ignore_ascii_case(gzip)) {
            return is_wanted(parameters);
        }
        any |= name == "*" && is_wanted(parameters);
    }
    any
}

fn is_wanted(parameters: &str) -> bool {
    let weight = parameters.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
    weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight > 0.0)
}

/// Compresses with the best ratio: it happens once for each file.
///
/// # Errors
/// None in practice: a vector accepts every write.
pub(super) fn gzip(bytes: &[u8]) -> ApiResult<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).map_err(ApiError::internal)?;
    encoder.finish().map(Bytes::from).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_is_accepted_if_named_with_a_weight_above_zero() {
        let cases: [(&[&str], bool); 16] = [
            (&[], false),
            (&[""], false),
            (&["identity"], false),
            (&["br, zstd"], false),
            (&["gzip"], true),
            (&["GZip"], true),
            (&["x-gzip"], true),
            (&["br;q=1, gzip;q=0.2"], true),
            (&["br", "gzip ; q=0.001"], true),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["*, gzip;q=0"], false),
            (&["gzip;q=high"], false),
            (&["gzip;q=NaN"], false),
        ];
        for (fields, accepted) in cases {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(field));
            }
            assert_eq!(accepts_gzip(&headers), accepted, "{fields:?}");
        }
    }
}
