//! The conformance suite: what every backplane must do, as cases over the trait and a small fixture.
//!
//! Each case is one function; [`conformance_cases!`](crate::conformance_cases) and
//! [`timed_conformance_cases!`](crate::timed_conformance_cases) make a test of each. Cases wait for what they expect,
//! at most [`PATIENCE`], and prove that nothing came by what comes after it; none of them sleeps.

pub mod expiry;
pub mod kinds;
pub mod listening;
pub mod numbering;
pub mod retries;
mod stage;

use crate::{Backplane, BoxFuture, Stream};
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::ChannelName;

/// How long a case waits for what must come before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A broker under test.
pub trait Fixture: Send + Sync + 'static {
    /// A new node's link to the broker, up and running, and its stream.
    fn node(&self) -> BoxFuture<'_, (Arc<dyn Backplane>, Stream)>;

    /// A channel that does not exist and that no other case uses; the same name gives the same channel.
    fn channel(&self, name: &str) -> ChannelName;

    /// Loses what the broker remembers of a channel's producers, and nothing else.
    fn forget_producers<'a>(&'a self, channel: &'a ChannelName) -> BoxFuture<'a, ()>;
}

/// A broker whose clock a test can move.
pub trait TimedFixture: Fixture {
    /// Lets time pass for the broker.
    fn elapse(&self, by: Duration) -> BoxFuture<'_, ()>;
}

/// Makes a test of each case that needs no clock; takes an expression that makes a [`Fixture`].
#[macro_export]
macro_rules! conformance_cases {
    ($fixture:expr) => {
        $crate::conformance_cases! { @tests (flavor = "multi_thread", worker_threads = 4) $fixture;
            numbering: [
                numbering_is_gapless_under_eight_producers,
                totals_always_add_up,
                a_batch_is_several_records_numbered_in_one_step,
                every_node_gets_the_same_records_in_order,
                a_channel_keeps_the_epoch_it_was_started_with,
                data_is_kept_verbatim,
                the_newest_state_is_kept,
                a_batch_that_reaches_the_end_of_seq_changes_nothing,
            ]
            kinds: [
                the_65th_kind_from_two_producers_is_folded,
                a_folded_kind_stays_folded,
                kinds_are_folded_within_one_batch,
                a_folded_state_event_says_what_it_was_sent_as,
                counts_of_too_many_kinds_are_folded,
            ]
            retries: [
                a_repeated_batch_is_published_once,
                a_batch_repeated_at_the_same_moment_is_published_once,
                only_the_last_batch_can_be_repeated,
                a_refused_batch_leaves_its_number_to_the_next,
                a_skipped_number_is_refused_with_what_is_expected,
                after_a_lost_record_only_number_1_is_accepted,
                a_restarted_producer_begins_at_1,
                a_changed_retry_is_refused,
                a_retry_may_drop_payloads,
                numbers_count_per_channel,
                a_batch_without_a_producer_is_not_remembered,
                one_producer_too_many_is_refused,
            ]
            listening: [
                a_snapshot_meets_live_messages_without_hole_or_double,
                counts_only_carries_why_and_state,
                heard_follows_subscriptions,
                an_unsubscribed_node_gets_nothing,
                a_channel_subscribed_twice_arrives_once,
                a_channel_without_events_has_no_snapshot,
                an_audit_answers_in_the_order_asked,
            ]
        }
    };
    (@tests $flavor:tt $fixture:expr; $($module:ident: [$($case:ident,)*])*) => {
        $($(
            #[tokio::test $flavor]
            async fn $case() {
                $crate::conformance::$module::$case(&$fixture).await;
            }
        )*)*
    };
}

/// Makes a test of each case that moves the broker's clock; takes an expression that makes a [`TimedFixture`]. Tokio's
/// time is paused, except after `real time:`, for a broker that is another process.
#[macro_export]
macro_rules! timed_conformance_cases {
    (real time: $fixture:expr) => {
        $crate::timed_conformance_cases! { @tests (flavor = "multi_thread", worker_threads = 4) $fixture }
    };
    ($fixture:expr) => {
        $crate::timed_conformance_cases! { @tests (start_paused = true) $fixture }
    };
    (@tests $flavor:tt $fixture:expr) => {
        $crate::conformance_cases! { @tests $flavor $fixture;
            expiry: [
                a_quiet_channel_is_gone_after_a_day,
                a_publish_renews_a_channel,
                an_audit_renews_a_channel,
                a_read_does_not_renew_a_channel,
                a_producer_is_remembered_for_120_s,
                an_accepted_batch_renews_what_is_remembered,
                forgotten_producers_make_room,
            ]
        }
    };
}
