//! The contract of `store`, checked against each store: `sqlite::new_post_has_zero_votes` is the
//! case `new_post_has_zero_votes` on SQLite.
//!
//! A case is a function that takes an empty store. It is listed here once and does not know which
//! database the store uses.

mod administration;
mod adoption;
mod blocked_work;
mod cancellation;
pub mod changes;
mod concurrency;
mod concurrent_keys;
mod deletions;
mod disabled_accounts;
mod encodings;
mod events;
pub mod fresh_store;
mod hidden_ranges;
mod idempotency_keys;
mod keyed_changes;
mod lists;
mod login_failures;
mod migrations;
mod names;
mod operator;
mod operator_rules;
mod own_votes;
pub mod paging;
mod post_changes;
mod postgres_budgets;
mod postgres_changes;
mod postgres_connections;
mod postgres_distributed;
mod postgres_hostile_rows;
mod postgres_hosts;
mod postgres_keyed_races;
mod postgres_locks;
mod postgres_plans;
mod postgres_pooler;
mod postgres_sequences;
mod postgres_stale_plans;
mod posts;
mod rankings;
mod recipients;
mod revocation;
mod searches;
mod sessions;
mod sqlite_plans;
mod sqlite_values;
mod users;
mod votes;

macro_rules! every_case_on {
    ($store:ident) => {
        every_case_on! { @ $store
            administration:
                only_administrators_read_the_administration
                right_that_is_revoked_in_the_middle_of_a_walk_ends_the_walk
                accounts_are_listed_page_by_page
                events_of_all_accounts_are_listed_newest_first
                counts_are_those_of_the_rows
                days_have_the_sign_ups_and_posts_of_their_24_hours;
            users:
                created_user_is_found_unchanged
                second_user_with_same_email_is_rejected
                emails_are_compared_exactly
                credentials_are_found_by_email
                credentials_are_found_by_stored_text_first
                password_hash_is_upgraded_once
                deleting_user_deletes_its_posts_and_votes
                user_can_be_deleted_only_by_itself
                email_of_deleted_user_is_free
                id_of_deleted_user_is_never_reused
                user_creation_time_keeps_microseconds
                user_rejected_by_database_is_internal_error
                caller_without_account_is_rejected
                fresh_store_is_ready;
            deletions:
                closed_account_is_invisible_before_its_rows_are_deleted
                account_with_thousands_of_rows_is_gone_when_answered
                deletion_left_by_another_process_is_finished
                posts_are_deleted_in_slices_newest_first
                long_posts_are_deleted_in_small_slices
                votes_of_the_account_are_deleted_in_slices
                votes_on_one_post_are_deleted_in_slices
                deletion_that_fails_does_not_delay_another
                large_account_leaves_no_row_and_right_counts;
            hidden_ranges:
                lists_around_a_hidden_range_are_complete
                list_of_hidden_posts_only_is_empty
                range_is_found_below_newer_posts_of_the_account
                closed_accounts_share_a_range
                range_is_forgotten_when_the_account_is_deleted
                other_process_finds_the_range;
            recipients:
                recipient_has_the_values_of_the_account
                recipient_is_found_as_typed_before_its_normal_form
                closed_account_is_no_recipient
                reset_replaces_the_password_and_revokes_every_token
                recipient_with_another_value_changes_nothing
                concurrent_resets_change_the_password_once
                verification_stays_until_the_email_changes;
            revocation:
                sign_out_revokes_every_token
                password_change_revokes_every_token
                email_change_revokes_every_token
                email_change_to_taken_email_is_rejected
                tokens_valid_from_only_grows
                token_without_valid_from_is_judged_by_issue_time
                token_older_than_its_account_is_rejected
                concurrent_sign_outs_with_one_token_succeed_once
                vote_with_revoked_token_is_rejected
                post_with_revoked_token_is_rejected;
            operator:
                disabled_account_accepts_no_token_of_any_program
                disabling_revokes_tokens_and_enabling_restores_only_the_login
                new_password_revokes_every_token
                sign_out_revokes_the_tokens_of_one_account
                account_is_found_as_typed_before_its_normal_form
                account_added_by_operator_is_stored_like_a_sign_up
                unknown_and_closed_accounts_cannot_be_changed
                accounts_are_listed_in_pages_by_id
                posts_are_listed_with_drafts_newest_first
                page_of_posts_ends_after_eight_mebibytes
                operator_deletes_any_post_with_its_votes
                operator_deletes_an_account_with_all_its_rows
                event_of_operator_is_listed_for_the_account;
            sessions:
                created_session_is_listed_unchanged
                rotated_token_can_be_retried_for_ten_seconds
                token_reuse_revokes_the_session
                concurrent_rotations_return_the_same_successor
                unknown_secret_revokes_nothing
                unused_session_expires_after_idle_timeout
                used_session_expires_after_absolute_timeout
                revoking_all_tokens_ends_sessions
                session_with_outdated_valid_from_is_not_created
                session_can_be_ended_only_by_its_owner
                only_the_hundred_last_used_sessions_are_kept;
            events:
                recorded_event_is_listed_unchanged
                event_list_shows_the_newest_hundred
                rejections_do_not_displace_other_events
                deleting_user_deletes_its_events;
            login_failures:
                failures_are_counted_per_account
                concurrent_failures_are_all_counted
                few_failures_expire_sooner_than_many
                expired_failures_are_deleted;
            posts:
                created_post_is_found_unchanged
                post_rejected_by_database_is_internal_error
                impossible_post_id_is_not_found
                draft_is_visible_only_to_its_author
                visible_draft_can_be_changed_only_by_its_author
                replaced_post_keeps_id_time_owner_and_votes
                post_of_other_user_cannot_be_changed
                deleted_post_is_not_found
                id_of_deleted_post_is_never_reused
                publishing_and_hiding_take_effect_immediately
                texts_are_stored_unchanged
                long_texts_are_stored_unchanged
                post_creation_time_keeps_microseconds;
            post_changes:
                update_replaces_only_its_fields
                update_needs_the_author_and_a_visible_post
                concurrent_updates_of_different_fields_are_all_kept
                change_needs_a_post_that_meets_the_precondition
                precondition_is_checked_last
                concurrent_changes_with_one_precondition_succeed_once;
            lists:
                list_has_newest_post_first
                pages_cover_the_whole_list
                page_out_of_range_is_empty
                draft_list_shows_only_own_drafts
                visible_drafts_are_in_the_public_list
                list_includes_contents_and_votes
                list_ends_after_eight_mebibytes
                concurrent_long_lists_are_right_or_rejected
                concurrent_short_lists_are_never_rejected;
            paging:
                pages_of_every_list_are_those_of_the_sorted_list
                previous_page_of_the_newest_has_later_posts
                page_after_an_empty_previous_page_is_the_same_as_before
                stopped_search_continues_with_the_next_page
                list_of_owner_and_time_continues_after_misses
                page_that_ends_after_eight_mebibytes_continues
                pages_leave_out_closed_accounts
                installation_key_is_the_same_for_every_process
                walk_during_writes_has_every_lasting_post_once;
            searches:
                search_text_is_literal
                search_distinguishes_case_and_script
                search_of_every_length_finds_the_same
                search_skips_at_most_ten_thousand_hits
                search_without_hit_ends_after_thousand_titles
                search_counts_long_title_as_several_misses
                search_in_own_drafts_is_not_cut_off
                search_hits_do_not_count_as_misses
                search_respects_scope_and_page
                search_follows_changes
                empty_search_finds_all;
            rankings:
                rankings_have_the_votes_of_every_visible_post
                ranking_of_the_newest_has_their_times
                ranking_of_most_votes_is_cut_at_the_last_count
                list_of_ids_has_visible_posts_in_their_order;
            votes:
                vote_can_be_cast_changed_and_withdrawn
                votes_of_several_users_add_up
                concurrent_votes_of_one_user_keep_the_last
                changed_vote_leaves_other_votes_unchanged
                vote_on_invisible_post_is_rejected
                hidden_post_hides_its_votes_from_others
                count_follows_deletion_of_voter
                count_follows_deletion_of_author
                count_survives_replacement
                new_post_has_zero_votes;
            changes:
                changes_of_a_post_are_logged_in_their_order
                votes_are_logged_by_post
                deletion_of_a_voted_post_tells_whether_it_was_published
                revocations_are_logged_by_account
                closed_account_is_logged_before_its_posts
                writes_of_other_programs_are_logged
                every_write_of_a_batch_is_logged
                nothing_is_logged_without_a_listener
                epoch_lasts_while_a_process_listens
                parts_continue_at_their_end
                change_of_the_clock_loses_no_change
                log_ends_soon_after_the_clock_was_set_back
                position_beyond_the_log_is_after_its_end
                keys_that_other_programs_change_are_logged
                old_changes_are_forgotten
                changes_beyond_a_million_are_forgotten
                changes_of_unknown_kinds_are_passed_over
                changed_posts_are_those_of_every_reader;
            idempotency_keys:
                post_with_a_key_is_created_once
                vote_with_a_key_is_cast_once
                post_with_a_key_is_replaced_once
                post_with_a_key_is_deleted_once
                account_with_a_key_is_created_once
                refused_write_keeps_no_key
                accounts_can_use_the_same_key
                key_is_good_for_one_operation
                key_expires_after_a_day
                expired_keys_are_deleted
                rejected_caller_gets_no_replay
                deleting_user_deletes_its_keys
                write_and_key_are_kept_together
                key_of_a_rejected_row_harms_no_other
                deletion_of_referenced_post_keeps_no_key;
            keyed_changes:
                repeated_update_of_any_fields_has_the_post_of_then
                repeated_update_of_a_long_post_has_its_texts_of_now
                repeated_update_of_an_older_version_is_replayed
                repeated_change_is_not_checked_again
                change_that_fails_its_precondition_keeps_no_key
                concurrent_conditional_changes_with_one_key_happen_once
                keyed_change_needs_the_author_and_a_visible_post
                key_of_an_update_expires_after_a_day;
            concurrent_keys:
                concurrent_requests_with_one_key_write_once
                writes_with_and_without_keys_do_not_mix
                concurrent_votes_with_own_keys_are_counted_once;
            names:
                changed_name_is_found_unchanged
                email_change_keeps_replaces_or_removes_the_name
                names_of_several_accounts_are_found_together
                closed_account_shows_no_name
                name_of_another_program_is_readable;
            own_votes:
                own_votes_are_listed_newest_post_first
                pages_of_own_votes_cover_all_of_them
                vote_on_a_hidden_post_is_left_out
                page_ends_after_two_thousand_hidden_votes
                votes_are_found_on_the_given_posts_only;
            operator_rules:
                deletion_of_referenced_post_is_rejected
                deletion_of_referenced_user_waits_for_the_reference
                row_rejected_by_a_trigger_fails_only_itself;
            concurrency:
                concurrent_sign_ups_with_one_email_succeed_once
                concurrent_equal_votes_are_added_once
                concurrent_opposite_votes_leave_at_most_one
                concurrent_votes_of_many_users_add_up
                concurrent_posts_get_distinct_ids
                vote_concurrent_with_deletion_of_its_post_is_consistent
                vote_concurrent_with_deletion_of_its_user_is_consistent
                post_concurrent_with_deletion_of_its_author_is_consistent
                concurrent_deletions_of_one_post_succeed_once
                concurrent_deletions_of_one_user_succeed_once
                read_sees_every_acknowledged_write
                dropped_vote_is_applied_whole_or_not_at_all
                dropped_post_is_applied_whole_or_not_at_all
                dropped_sign_up_is_applied_whole_or_not_at_all
                dropped_deletion_is_applied_whole_or_not_at_all;
        }
    };
    (@ $store:ident $($file:ident: $($case:ident)+;)+) => {
        mod $store {
            $($(
                #[tokio::test]
                async fn $case() {
                    let store = super::fresh_store::$store().await;
                    super::$file::$case(&store).await;
                }
            )+)+
        }
    };
}

every_case_on!(sqlite);
every_case_on!(postgres);
