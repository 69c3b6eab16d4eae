//! Scenarios: what the library guarantees on every stack, tested over real sockets, mostly against real servers.
//!
//! Each scenario is a function that is generic over the stack. [`on!`] lists all of them and turns them into tests of
//! one stack, so a test is found by its module and name: `cargo test --test stacks tokio::live::pending_call`. A scenario
//! that is missing from the list is dead code and fails clippy.

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

/// Makes each scenario a test on `$stack`.
macro_rules! on {
    ($stack:ty) => {
        $crate::scenarios::tests!($stack, producer_basics: [
            usage_example_survives_restart_of_producer,
            receipt_reports_offset_epoch_and_seq,
            each_json_record_is_one_message,
            close_stream_closes_stream_after_last_record,
            concurrent_tasks_keep_per_task_order,
            invalid_option_fails_every_operation_and_sends_nothing,
            maximum_option_values_mean_no_limit,
        ]);
        $crate::scenarios::tests!($stack, producer_faults: [
            each_fault_on_each_batch_stores_records_once_in_order,
            killed_server_has_all_records_after_restart,
            exhausted_retry_budget_is_reported_by_every_operation,
            late_batch_causes_at_most_two_requests_per_batch,
            fenced_producer_with_auto_claim_renumbers_batches,
            fenced_producer_without_auto_claim_reports_stale_epoch,
            fence_after_unanswered_attempt_is_outcome_unknown,
            duplicate_of_batch_never_sent_is_unexpected,
            append_to_closed_stream_fails_after_one_request,
            append_success_without_protocol_headers_is_error,
            append_after_idle_connection_reset_is_stored_once,
            unanswered_batch_is_resent_after_header_timeout,
        ]);
        $crate::scenarios::tests!($stack, producer_hostile: [
            refused_batch_error_has_url_status_and_server_message,
            hanging_header_provider_times_out_before_sending,
            failed_last_record_leaves_stream_open,
            append_conflict_reports_server_epoch_and_expected_seq,
            header_timeout_grows_with_request_body,
            panicking_callback_ends_only_its_producer,
            early_413_is_read_before_body_is_sent,
            acknowledgement_needs_no_complete_response_body,
            repeated_state_loss_ends_with_sequence_gap,
            concurrent_handles_settle_every_receipt,
            expired_token_is_renewed_without_loss,
            framing_header_from_application_is_refused,
        ]);
        $crate::scenarios::tests!($stack, producer_limits: [
            body_exceeds_batch_limit_only_for_single_large_record,
            batch_refused_with_413_is_split,
            invalid_json_fails_only_its_own_append,
            zero_linger_sends_within_ten_milliseconds,
            queue_stays_within_limit_on_slow_server,
            dropped_producer_delivers_queued_records,
            client_headers_are_on_every_producer_request,
            failing_header_provider_fails_append_unsent,
            idle_producer_sends_nothing,
            append_after_close_is_error,
        ]);
        $crate::scenarios::tests!($stack, producer_outages: [
            records_appended_during_outage_are_stored_after_it,
            outage_beyond_retry_budget_returns_unacked_records,
            append_after_idle_connection_close_is_stored_once,
            dropped_producer_task_ends_within_a_second_of_draining,
        ]);
        $crate::scenarios::tests!($stack, streams: [
            stream_is_created_appended_described_and_deleted,
            second_create_reports_existing_stream,
            create_options_reach_server,
            fork_contains_source_up_to_fork_offset,
            close_is_idempotent_and_stores_last_record_once,
            append_with_lower_stream_seq_is_refused,
            append_with_producer_identity_is_stored_once,
            each_json_value_is_one_message,
            json_value_on_byte_stream_is_one_line,
            refused_operations_return_typed_errors,
            content_type_mismatch_names_both_types,
            append_of_100_megabytes_is_stored_unchanged,
        ]);
        $crate::scenarios::tests!($stack, operation_faults: [
            plain_append_with_unknown_outcome_is_not_resent,
            append_with_identity_or_at_least_once_is_resent,
            idempotent_operations_are_retried_until_success,
            close_with_record_after_lost_response_is_outcome_unknown,
            retry_after_delays_retry_and_is_on_final_error,
            success_without_protocol_headers_is_error,
            unrequested_content_encoding_is_error,
            redirect_keeps_method_and_withholds_credentials,
            append_on_stale_connection_succeeds,
            header_timeout_fires_and_is_named_in_error,
            connection_refused_is_retried_then_reported,
            handle_headers_are_sent_and_failing_providers_are_errors,
            concurrent_appends_on_one_stream_all_succeed,
        ]);
        $crate::scenarios::tests!($stack, bad_input: [
            invalid_input_is_config_error_and_nothing_is_sent,
            configured_headers_and_query_are_on_every_request,
        ]);
        $crate::scenarios::tests!($stack, catch_up: [
            bytes_resume_from_every_checkpoint,
            json_resumes_from_every_checkpoint,
            empty_stream_yields_one_up_to_date_chunk,
            now_resolves_to_concrete_offset,
            closed_stream_ends_after_one_closed_chunk,
            body_cut_at_any_byte_is_read_once,
            pages_are_requested_until_up_to_date,
            all_pages_of_reference_server_are_read,
            invalid_response_is_typed_error,
            stream_shorter_than_checkpoint_is_recreated,
            refused_read_is_typed_error,
            matching_etag_returns_not_modified,
            invalid_reader_option_is_config_error,
        ]);
        $crate::scenarios::tests!($stack, reader_retries: [
            retry_after_is_minimum_delay,
            failed_request_is_retried_within_policy,
            page_that_breaks_at_same_byte_exhausts_retry_budget,
            silent_server_triggers_timeout_and_retry,
            unaccepted_connection_times_out,
            idle_event_stream_is_reconnected_without_failure,
            on_error_decides_whether_to_retry,
        ]);
        $crate::scenarios::tests!($stack, live_faults: [
            data_event_is_held_until_control_event,
            control_event_without_valid_offset_is_protocol_error,
            control_event_offset_must_advance,
            event_stream_follows_whatwg_rules,
            each_base64_event_is_decoded_separately,
            text_events_are_split_at_control_events_only,
            oversized_event_is_fetched_by_plain_get,
            event_streams_ending_at_once_cause_at_most_ten_requests,
            empty_responses_cause_at_most_ten_requests,
            auto_falls_back_to_long_poll_when_sse_is_refused,
            auto_falls_back_to_long_poll_when_sse_is_buffered,
            auto_reads_text_by_long_poll,
            offset_and_cursor_reach_server_unchanged,
        ]);
        $crate::scenarios::tests!($stack, live: [
            tail_delivers_appends_and_ends_at_close,
            closed_stream_ends_in_every_mode,
            append_right_after_now_is_delivered,
            pending_call_survives_server_kill,
            repeated_connection_cuts_lose_nothing,
            tail_resumes_from_every_checkpoint,
            deleted_stream_ends_tail_with_not_found,
            deleted_fork_source_ends_tail_with_gone,
            recreated_stream_ends_tail_with_recreated,
            dropped_reader_releases_its_connection,
            dropped_next_future_loses_nothing,
        ]);
        $crate::scenarios::tests!($stack, unusual_servers: [
            close_succeeds_on_stream_already_closed,
            failed_reader_yields_no_partial_value,
            unusual_http_responses_are_read,
            cut_head_loses_nothing,
            empty_chunked_page_is_read,
            unusual_event_streams_are_read,
            tail_works_without_head_support,
            conflicting_offsets_and_encodings_are_errors,
            panicking_handler_and_invalid_stored_checkpoint_are_errors,
            producer_handles_unusual_responses,
        ]);
        $crate::scenarios::tests!($stack, redirects: [
            cross_origin_redirect_carries_no_credentials,
            redirect_loop_is_error_within_ten_hops,
            error_after_redirect_names_redirect_target,
            redirect_without_usable_location_is_error,
        ]);
        $crate::scenarios::tests!($stack, views: [
            json_values_resume_from_every_checkpoint_in_every_mode,
            json_batches_resume_from_their_checkpoints,
            value_of_other_type_is_error_and_is_skipped,
            json_is_read_from_streams_of_other_types,
            characters_split_across_chunks_are_joined,
            four_megabytes_of_text_are_read_unchanged,
            invalid_utf8_is_error,
            read_all_returns_whole_stream,
            stream_request_returns_readable_response,
            prefetch_keeps_content_and_checkpoints,
            only_acknowledged_values_are_saved,
        ]);
    };
}
pub(crate) use on;

/// Makes the scenarios of one module tests on `$stack`.
macro_rules! tests {
    ($stack:ty, $module:ident: [$($name:ident),* $(,)?]) => {
        mod $module {
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
