//! Opens a stream, and starts the reader if it is the first one.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::event_id::EventIds;
use super::reader::Reader;
use super::response_timeout::WithResponseTimeout;
use super::ring::Ring;
use super::stream::{ChangeStream, StreamRequest};
use super::streams::{MAX_ACCOUNT_STREAMS, StreamRefused, Streams};
use crate::api::error::{ApiError, ApiResult};
use crate::api::state::AppState;
use crate::client_limits::RequestPermit;

/// Opens a stream, and returns its event texts.
///
/// # Errors
/// Those of the store, and those of the limits on streams.
pub(in crate::api) async fn open_stream(
    app: &Arc<AppState>,
    permit: RequestPermit,
    request: StreamRequest,
) -> ApiResult<impl Stream<Item = ApiResult<Bytes>> + use<>> {
    let keys = app.installation_keys.get(app.store.as_ref()).await?;
    let ids = EventIds::new(Arc::clone(&keys.cursors));
    let (feed, user) = (&app.changes, request.caller.user_id);
    let start = |ring: &Arc<Ring>, streams: &Arc<Streams>| {
        let served = (Arc::clone(ring), Arc::clone(streams));
        let drafts = app.policy.draft_visibility;
        let reader = Reader::new(app.store.clone(), drafts, ids.clone(), served);
        let end = app.shutdown.clone();
        app.background.start(async move {
            tokio::select! {
                () = end.streams_end() => {}
                () = reader.run() => {}
            }
        });
    };
    let (slot, ring) = Streams::enter(&feed.streams, user, feed.limit, start)?;
    let stream = ChangeStream::new(
        (app.store.clone(), app.store.clone()),
        Arc::clone(&app.clock),
        ids,
        (slot, ring, Arc::clone(&feed.catching_up)),
        (request, permit.clone()),
    );
    Ok(WithResponseTimeout::new(stream.into_stream().map(Ok).boxed(), permit))
}

impl From<StreamRefused> for ApiError {
    fn from(refused: StreamRefused) -> Self {
        match refused {
            StreamRefused::Account => Self::TooManyStreams(MAX_ACCOUNT_STREAMS),
            StreamRefused::Process => Self::Overloaded,
        }
    }
}
