//! What must hold on every stack, against real servers. Each scenario is a function generic over the
//! stack; `on!` makes them the tests of one. A scenario that is not listed here does not compile clean.

pub mod bad_input;
pub mod catch_up;
pub mod live;
pub mod live_faults;
pub mod operation_faults;
pub mod producer_basics;
pub mod producer_faults;
pub mod producer_hostile;
pub mod producer_limits;
pub mod producer_outages;
pub mod reader_retries;
pub mod redirects;
pub mod streams;
pub mod unusual_servers;
pub mod views;

macro_rules! on {
    ($stack:ty) => {
        $crate::scenarios::tests!($stack, producer_basics: [
            the_seeds_example,
            receipts_tell_where_a_record_stands,
            json_records_are_one_message_each,
            the_stream_ends_with_the_producer,
            ten_tasks_on_two_handles_keep_their_order,
            a_bad_option_is_an_error_of_every_operation,
            the_largest_options_are_no_trouble,
        ]);
        $crate::scenarios::tests!($stack, producer_faults: [
            any_fault_on_any_batch_costs_nothing,
            a_killed_server_loses_nothing,
            a_spent_budget_is_told_everywhere,
            a_late_batch_is_waited_for,
            a_fenced_producer_claims_and_renumbers,
            a_fenced_producer_that_may_not_claim_says_so,
            a_fence_after_an_unanswered_attempt,
            a_namesake_and_a_closed_stream_are_told,
            a_success_must_come_from_the_protocol,
            a_connection_closed_while_idle_costs_no_copy,
            silence_is_not_waited_for_for_ever,
        ]);
        $crate::scenarios::tests!($stack, producer_hostile: [
            every_refusal_names_its_place_and_its_words,
            a_provider_that_hangs_leaves_nothing_in_doubt,
            a_last_record_that_fails_alone_ends_nothing,
            an_append_with_an_identity_is_told_where_the_server_stands,
            a_body_gets_the_time_that_it_takes,
            a_callback_that_panics_ends_its_producer_alone,
            a_refusal_before_the_body_was_read_is_heard,
            an_answer_that_falls_silent_is_an_answer,
            a_server_that_keeps_forgetting_is_told,
            whatever_handles_do_at_once_every_receipt_is_told,
            a_token_that_runs_out_is_renewed_and_nothing_is_lost,
            a_length_that_is_passed_on_is_refused,
        ]);
        $crate::scenarios::tests!($stack, producer_limits: [
            no_body_is_larger_than_its_limit,
            a_batch_too_large_for_the_server_is_split,
            what_does_not_serialise_fails_by_itself,
            without_linger_records_leave_at_once,
            against_a_hung_server_memory_is_bounded,
            what_is_dropped_is_delivered,
            the_clients_headers_are_on_every_append,
            a_provider_that_fails_is_told,
            an_idle_producer_sends_nothing,
        ]);
        $crate::scenarios::tests!($stack, producer_outages: [
            an_outage_while_appending_costs_nothing,
            an_outage_that_lasts_is_told,
            a_connection_that_ended_in_good_order_costs_no_copy,
            the_task_of_a_dropped_producer_ends,
        ]);
        $crate::scenarios::tests!($stack, streams: [
            a_stream_lives_its_life,
            creating_again_tells_created_from_existing,
            every_option_of_create_arrives,
            a_fork_shares_its_sources_past,
            closing_with_and_without_a_last_record,
            appends_with_stream_seq_are_ordered,
            appends_with_an_identity_are_stored_once,
            json_values_are_one_message_each,
            json_on_a_byte_stream_is_a_line,
            refusals_are_typed,
            a_refusal_names_the_wrong_content_type,
            a_hundred_megabytes_in_one_append,
        ]);
        $crate::scenarios::tests!($stack, operation_faults: [
            a_plain_append_with_an_unknown_fate_is_not_repeated,
            identity_or_consent_makes_it_repeatable,
            idempotent_operations_ride_out_an_outage,
            a_close_with_a_record_and_an_unheard_answer,
            retry_after_is_waited_for_and_told,
            success_without_the_protocols_headers_is_an_error,
            an_encoding_that_was_not_asked_for_is_an_error,
            redirects_keep_the_method_and_the_secrets,
            a_connection_closed_while_idle_costs_nothing,
            deadlines_fire_and_name_themselves,
            nobody_there_is_retried_then_told,
            headers_of_one_handle_and_failing_providers,
            one_stream_for_many_tasks,
        ]);
        $crate::scenarios::tests!($stack, bad_input: [
            nothing_is_sent_for_bad_input,
            headers_and_parameters_are_on_every_request,
        ]);
        $crate::scenarios::tests!($stack, catch_up: [
            bytes_from_every_checkpoint,
            json_from_every_checkpoint,
            an_empty_stream_is_up_to_date,
            now_is_a_concrete_offset,
            a_closed_stream_ends,
            a_body_cut_at_every_byte_is_read_once,
            pages_until_up_to_date,
            many_pages_of_the_reference_server,
            answers_that_cannot_be_are_errors,
            a_stream_that_got_shorter_is_another_one,
            refusals_are_told_at_once,
            unchanged_content_is_not_sent_again,
            options_that_cannot_work_are_named,
        ]);
        $crate::scenarios::tests!($stack, reader_retries: [
            retry_after_is_a_floor,
            failures_are_retried_within_the_policy,
            a_page_that_always_breaks_at_the_same_place,
            silence_is_noticed,
            a_server_that_accepts_nothing_is_noticed,
            a_quiet_stream_is_not_a_dead_one,
            the_application_decides_about_failures,
        ]);
        $crate::scenarios::tests!($stack, live_faults: [
            data_is_held_until_it_is_vouched_for,
            control_events_that_say_nothing_are_errors,
            offsets_of_events_are_judged_too,
            event_streams_as_whatwg_has_them,
            base64_events_are_decoded_one_by_one,
            text_events_are_cut_at_control_events_only,
            an_event_that_is_too_large_is_fetched,
            event_streams_that_end_at_once,
            answers_that_come_at_once_with_nothing,
            auto_goes_on_where_events_are_refused,
            auto_goes_on_where_events_are_held_back,
            auto_reads_text_by_long_poll,
            offsets_and_cursors_arrive_as_they_are,
        ]);
        $crate::scenarios::tests!($stack, live: [
            a_tail_in_every_mode,
            a_closed_stream_in_every_mode,
            now_misses_nothing,
            killed_in_mid_tail,
            connections_cut_all_the_time,
            every_checkpoint_of_every_mode,
            a_stream_deleted_under_the_tail,
            a_stream_kept_for_its_forks_alone,
            a_stream_created_again_under_the_tail,
            a_reader_dropped_in_the_middle,
            waiting_can_be_given_up,
        ]);
        $crate::scenarios::tests!($stack, unusual_servers: [
            a_closed_stream_may_refuse_to_be_closed,
            what_a_failed_reader_leaves_is_no_value,
            answers_as_http_allows_them,
            event_streams_as_servers_may_write_them,
            a_tail_on_a_server_without_head,
            one_answer_has_one_offset_and_no_encoding,
            what_goes_wrong_in_the_application_is_told,
            a_producer_among_odd_answers,
        ]);
        $crate::scenarios::tests!($stack, redirects: [
            a_reader_sent_to_another_host_keeps_its_secrets,
            a_reader_sent_round_in_circles_is_told,
            a_failure_elsewhere_says_so,
            a_redirect_that_leads_nowhere_is_an_error,
        ]);
        $crate::scenarios::tests!($stack, views: [
            values_from_every_checkpoint_in_every_mode,
            values_in_batches,
            a_value_of_another_type_is_passed_over,
            json_texts_of_another_type,
            characters_cut_at_every_byte,
            four_megabytes_of_text,
            what_is_no_text_is_an_error,
            everything_at_once,
            one_function_and_its_answer,
            reading_ahead_changes_nothing_but_the_time,
            what_is_acknowledged_is_saved_and_no_more,
        ]);
    };
}
pub(crate) use on;

macro_rules! tests {
    ($stack:ty, $module:ident: [$($name:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $name() {
                    <$stack as $crate::support::Stack>::block_on($crate::scenarios::$module::$name::<$stack>());
                }
            )*
        }
    };
}
pub(crate) use tests;
