//! Finds the ranking that a request asks for. A ranking is computed when it is asked for. Then it is
//! renewed in the background, as long as requests ask for it.

use std::sync::Arc;
use std::time::Duration;

use super::error::ApiResult;
use super::rankings::Ranked;
use super::state::AppState;
use crate::domain::page::EntryKey;
use crate::domain::ranking::{Ranking, Window};
use crate::store::RankSource;

/// Returns the entries of the ranking, best first.
///
/// # Errors
/// Those of the store, if there is no ranking of the last minute.
pub(super) async fn find_ranking(
    app: &Arc<AppState>,
    ranking: Ranking,
) -> ApiResult<Arc<[EntryKey]>> {
    let source = match ranking {
        Ranking::Top(Window::All) => RankSource::MostVoted,
        Ranking::Top(_) | Ranking::Hot => RankSource::Newest,
    };
    let renewed = app.rankings.from(source);
    let now = app.clock.now();
    if let Some(ranked) = renewed.current().filter(|ranked| ranked.is_fresh(now)) {
        return Ok(ranked.find(ranking));
    }
    if let Some(ranked) = renewed.current().filter(|ranked| ranked.is_usable(now)) {
        if let Ok(permit) = Arc::clone(&renewed.renewal).try_lock_owned() {
            let state = Arc::clone(app);
            app.background.spawn(async move {
                // After an error the ranking is used until it is too old.
                drop(renew(&state, source).await);
                drop(permit);
            });
        }
        return Ok(ranked.find(ranking));
    }
    // A client that disconnects does not stop the others' ranking.
    let state = Arc::clone(app);
    let renewal = async move {
        let renewed = state.rankings.from(source);
        let _permit = renewed.renewal.lock().await;
        match renewed.current().filter(|ranked| ranked.is_fresh(state.clock.now())) {
            Some(ranked) => Ok(ranked),
            None => renew(&state, source).await,
        }
    };
    Ok(app.background.run_to_completion(renewal).await?.find(ranking))
}

async fn renew(app: &AppState, source: RankSource) -> ApiResult<Arc<Ranked>> {
    let made_at = app.clock.now();
    let posts = app.store.rank_posts(source, app.policy.draft_visibility).await?;
    let rankings: &[Ranking] = match source {
        RankSource::MostVoted => &[Ranking::Top(Window::All)],
        RankSource::Newest => &[
            Ranking::Hot,
            Ranking::Top(Window::Day),
            Ranking::Top(Window::Week),
            Ranking::Top(Window::Month),
            Ranking::Top(Window::Year),
        ],
    };
    let order = move || {
        let order = |ranking: &Ranking| (*ranking, ranking.order(&posts, made_at).into());
        rankings.iter().map(order).collect()
    };
    let lists = app.large_work.run(usize::MAX, order).await?;
    let took = app.clock.now().duration_since(made_at);
    app.metrics.record_ranking(source, Duration::try_from(took).unwrap_or_default());
    let ranked = Arc::new(Ranked { made_at, took, lists });
    app.rankings.from(source).replace(&ranked);
    Ok(ranked)
}
