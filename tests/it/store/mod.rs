//! The contract of `store`, held against every store by name: `sqlite::votes_turn` is the case
//! `votes_turn` on SQLite.
//!
//! A case is a function of a store with nothing in it. It is listed here once, and knows of no
//! database.

/// How a store is opened for a case.
mod fresh_store;

/// Accounts: sign-up, credentials, deletion.
mod users;

/// One's own account: another password, another address, and the end of all tokens.
mod revocation;

/// Sign-ins that last: how they begin, go on and end.
mod sessions;

/// Events of accounts: which are kept, and who sees them.
mod events;

/// Wrong passwords in a row: how many, and when they are forgotten.
mod login_failures;

/// Posts and drafts: who sees, changes and removes them, and that they are kept as they came.
mod posts;

/// Lists: order, pages, shelves, and how long they are.
mod lists;

/// Searches: what they find, and how far they go on in vain.
mod searches;

/// Votes, and the counts that follow every kind of change.
mod votes;

/// Many callers at once, and callers that leave.
mod concurrency;

/// Callers that leave PostgreSQL's store at every point where they can.
mod cancellation;

/// What an operator does to a database: up, down, compare, recount.
mod migrations;

/// Taking over a database of the reference, and giving it back.
mod adoption;

/// How PostgreSQL runs the statements of requests: by an index, each of them.
mod postgres_plans;

/// Connections to PostgreSQL: TLS, sockets, several hosts.
mod postgres_connections;

/// How SQLite runs the statements of requests: by an index, each of them.
mod sqlite_plans;

macro_rules! every_case_on {
    ($store:ident) => {
        every_case_on! { @ $store
            users:
                an_account_is_found_as_it_was_made
                an_address_belongs_to_one_account
                addresses_are_told_apart_exactly
                credentials_belong_to_the_address
                a_hash_is_upgraded_once
                a_deleted_account_takes_its_posts_and_votes_along
                only_the_account_itself_deletes_it
                an_address_is_free_after_deletion
                the_number_of_a_deleted_account_is_never_given_again
                times_of_accounts_are_kept_to_the_microsecond
                a_refused_account_is_a_fault
                a_caller_without_an_account_is_gone
                the_store_is_ready;
            revocation:
                signing_out_ends_every_token
                another_password_ends_every_token
                another_address_ends_every_token
                an_address_of_another_is_not_to_be_had
                marks_only_grow
                a_token_without_a_mark_goes_by_its_time
                one_of_many_with_the_same_token_signs_out
                votes_with_ended_tokens_do_not_count
                posts_with_ended_tokens_are_not_kept;
            sessions:
                a_session_is_listed_as_it_was_begun
                a_link_is_good_once_and_repeated_for_ten_seconds
                a_spent_link_ends_the_session
                of_many_who_go_on_at_once_all_get_the_same
                another_secret_ends_nothing
                a_session_that_is_not_used_expires
                a_session_ends_however_much_it_is_used
                a_session_ends_with_the_tokens_of_its_account
                a_session_is_not_begun_under_an_old_mark
                sessions_are_their_owners_to_end
                the_hundred_used_last_are_kept;
            events:
                an_event_is_found_as_it_was_recorded
                the_newest_hundred_are_shown
                refusals_do_not_push_the_others_out
                events_go_with_their_account;
            login_failures:
                failures_are_counted_for_each_account
                failures_of_many_at_once_are_all_counted
                few_failures_are_forgotten_sooner_than_many
                what_is_forgotten_does_not_stay_in_the_table;
            posts:
                a_post_is_found_as_it_was_written
                a_refused_post_is_a_fault
                no_post_has_an_impossible_number
                a_draft_exists_for_its_author_only
                a_visible_draft_is_read_by_all_and_changed_by_its_author
                a_replacement_keeps_number_time_author_and_votes
                a_stranger_changes_nothing
                a_deleted_post_is_gone
                the_number_of_a_deleted_post_is_never_given_again
                publishing_and_hiding_take_effect_at_once
                texts_are_kept_exactly
                long_texts_are_kept_exactly
                times_of_posts_are_kept_to_the_microsecond;
            lists:
                the_newest_is_first
                pages_fit_together
                impossible_pages_are_empty
                drafts_stand_on_their_own_shelf
                visible_drafts_stand_among_the_posts
                a_list_carries_contents_and_votes
                a_list_ends_after_eight_mebibytes
                of_many_long_lists_at_once_each_is_right_or_refused
                of_many_lists_at_once_none_is_refused;
            searches:
                searches_are_literal
                searches_mind_case_and_script
                searches_of_every_length_agree
                a_search_leaves_out_ten_thousand_hits_and_no_more
                a_search_in_vain_ends
                a_long_title_in_vain_counts_as_several
                among_own_drafts_a_search_in_vain_goes_on
                hits_do_not_bring_the_end_of_a_search_nearer
                searches_keep_to_shelf_and_page
                searches_follow_changes
                a_blank_search_finds_all;
            votes:
                votes_are_cast_turned_and_withdrawn
                votes_of_several_add_up
                of_votes_at_once_the_last_stays
                a_vote_that_changes_leaves_all_others_alone
                votes_need_a_post_that_is_seen
                hiding_a_post_hides_its_votes_from_others
                counts_follow_the_deletion_of_a_voter
                counts_follow_the_deletion_of_an_author
                counts_survive_replacement
                a_new_post_starts_at_zero;
            concurrency:
                one_of_many_accounts_for_an_address_is_made
                one_of_many_equal_votes_is_added
                opposite_votes_leave_one
                votes_of_many_add_up
                posts_of_many_get_numbers_of_their_own
                a_vote_and_the_deletion_of_its_post
                a_vote_and_the_deletion_of_its_account
                a_post_and_the_deletion_of_its_account
                deletions_of_one_post_succeed_once
                deletions_of_one_account_succeed_once
                a_read_sees_what_was_acknowledged
                dropped_votes_happen_whole_or_not_at_all
                dropped_posts_happen_whole_or_not_at_all
                dropped_accounts_happen_whole_or_not_at_all
                dropped_deletions_happen_whole_or_not_at_all;
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
