//! Finds the counts of rows for administrators. They are counted when an administrator asks, at most
//! once a minute and once at a time.

use std::sync::Arc;

use jiff::Timestamp;

use super::administration::Counts;
use super::error::ApiResult;
use super::state::AppState;
use crate::domain::administration::days_until;
use crate::error_chain::error_chain;
use crate::store::Result;

/// Returns counts of the last minute. If the database cannot count, returns older ones, or `None` if
/// it never could.
pub(super) async fn find_counts(app: &Arc<AppState>) -> ApiResult<Option<Arc<Counts>>> {
    let state = Arc::clone(app);
    // A client that disconnects does not stop the others' count.
    let count = async move {
        let administration = &state.administration;
        if let Some(last) = administration.fresh(state.clock.now()) {
            return Ok(last.counts);
        }
        let _only = administration.counting.lock().await;
        let now = state.clock.now();
        if let Some(last) = administration.fresh(now) {
            return Ok(last.counts);
        }
        let counts = count_all(&state, now).await.inspect_err(|error| {
            tracing::warn!(error = error_chain(error), "could not count the rows");
        });
        Ok(administration.keep(now, counts.ok()))
    };
    app.background.run_to_completion(count).await
}

async fn count_all(app: &AppState, now: Timestamp) -> Result<Counts> {
    let rows = app.store.count_all_rows().await?;
    let days = app.store.count_days(days_until(now)).await?;
    Ok(Counts { counted_at: now, rows, days })
}
