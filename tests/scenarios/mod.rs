//! What must hold on every stack, against real servers. Each scenario is a function generic over the
//! stack; `on!` makes them the tests of one. A scenario that is not listed here does not compile clean.

pub mod bad_input;
pub mod streams;

macro_rules! on {
    ($stack:ty) => {
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
        $crate::scenarios::tests!($stack, bad_input: [
            nothing_is_sent_for_bad_input,
            headers_and_parameters_are_on_every_request,
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
