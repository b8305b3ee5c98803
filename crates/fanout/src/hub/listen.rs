//! What clients ask for: subscribe, unsubscribe, another rung.

use super::Hub;
use super::unnumbered::Share;
use crate::channel::Channel;
use crate::output::{Output, Request};
use crate::session::ConnId;
use crate::subscription::{Phase, Place, ResetDue, Start, Subscription};
use crate::throttle::Bucket;
use crate::time::Time;
use tally_protocol::{
    ChannelName, ClientFrame, ErrorCode, ErrorFrame, FrameError, RungRequest, Seq, SubscribeChannel,
    SubscribeRequest, UnsubscribeRequest, Unsubscribed, UpstreamStatus, Why,
};

impl Hub {
    /// A frame from a client. `auth` and `violation` are the shell's, and do nothing here.
    pub fn handle_frame(&mut self, now: Time, conn: ConnId, frame: ClientFrame) {
        let Some(index) = self.index(conn) else { return };
        match frame {
            ClientFrame::Subscribe(request) => self.subscribe_all(now, index, request),
            ClientFrame::Unsubscribe(request) => self.unsubscribe_all(now, index, &request),
            ClientFrame::Rung(request) => self.change_rung(now, index, &request),
            ClientFrame::Auth(_) | ClientFrame::Violation(_) => {}
        }
    }

    fn subscribe_all(&mut self, now: Time, conn: u32, request: SubscribeRequest) {
        let id = request.id;
        for channel in request.channels {
            if let Err(error) = self.subscribe(now, conn, id, channel) {
                self.reply_error(conn, FrameError { id: Some(id), ..error });
            }
        }
    }

    fn subscribe(
        &mut self,
        now: Time,
        conn: u32,
        id: u64,
        asked: SubscribeChannel,
    ) -> Result<(), FrameError> {
        let name = ChannelName::new(&asked.channel)
            .map_err(|error| refusal(ErrorCode::BadChannel, None, error.to_string()))?;
        let held = self.names.get(&name).and_then(|channel| self.conns[conn].subscriptions.get(channel));
        if held.is_some() {
            let message =
                "this connection already listens to the channel; the first subscription stays".into();
            return Err(refusal(ErrorCode::AlreadySubscribed, Some(name), message));
        }
        let max = self.limits.subscriptions_max;
        if self.conns[conn].subscriptions.len() >= max {
            let message = format!("a connection may have {max} subscriptions; unsubscribe from others first");
            return Err(refusal(ErrorCode::TooManySubscriptions, Some(name), message));
        }
        let start = match (asked.after, asked.last) {
            (Some(after), _) => Start::After(after),
            (None, Some(last)) if last > 0 => Start::Last(last),
            (None, _) => Start::Head,
        };
        let channel = self.watch(&name, now);
        let rate =
            asked.max_rate.unwrap_or(self.limits.max_rate_default).min(self.limits.connection_max_rate);
        let ready = self.channels[channel].ready;
        let sub = self.subs.insert(Subscription {
            conn,
            channel,
            id,
            asked: asked.rung,
            tick: asked.tick_ms,
            tail: asked.tail,
            bucket: Bucket::new(rate, now),
            throttled: false,
            unnumbered: Share::new(rate, now),
            shadow_seq: Seq::ZERO,
            phase: if ready {
                Phase::Attaching { start, checked: false }
            } else {
                Phase::Waiting { start, read: 0 }
            },
            told_pending: false,
            cursor: Seq::ZERO,
            opened_at: Seq::ZERO,
            next: 0,
            free_until: Seq::ZERO,
            full_since: now,
            reduced_since: 0,
            owed: 0,
            replay: None,
            jump_why: Why::Backpressure,
            told: asked.rung,
            told_why: Why::Asked,
            reset: None,
            in_due: false,
            in_summary: false,
            place: Place::Nowhere,
            timer_at: None,
        });
        self.conns[conn].subscriptions.insert(channel, sub);
        self.channels[channel].tails += usize::from(asked.tail);
        self.place(sub, now);
        if ready || self.upstream == UpstreamStatus::Down {
            self.mark_due(sub);
        }
        Ok(())
    }

    /// The channel, made and asked for if this is its first listener.
    fn watch(&mut self, name: &ChannelName, now: Time) -> u32 {
        if let Some(channel) = self.names.get(name) {
            let channel = *channel;
            self.set_idle_timer(channel, None);
            return channel;
        }
        let channel = self.channels.insert(Channel::new(name.clone(), now));
        self.names.insert(name.clone(), channel);
        self.requests.push_back(Request::Watch(name.clone()));
        channel
    }

    fn unsubscribe_all(&mut self, now: Time, conn: u32, request: &UnsubscribeRequest) {
        for name in &request.channels {
            if let Err(error) = self.unsubscribe(now, conn, request.id, name) {
                self.reply_error(conn, FrameError { id: Some(request.id), ..error });
            }
        }
    }

    fn unsubscribe(&mut self, now: Time, conn: u32, id: u64, name: &str) -> Result<(), FrameError> {
        let name = ChannelName::new(name)
            .map_err(|error| refusal(ErrorCode::BadChannel, None, error.to_string()))?;
        let sub = self.held(conn, &name)?;
        let reply = Output::Unsubscribed(Box::new(self.unsubscribed(sub, id)));
        self.remove_subscription(now, sub);
        self.conns[conn].replies.push_back(reply);
        self.wake(conn);
        Ok(())
    }

    /// The cursor as last told, with its totals where the log still reaches back to it.
    fn unsubscribed(&self, sub: u32, id: u64) -> Unsubscribed {
        let held = &self.subs[sub];
        let channel = &self.channels[held.channel];
        let mut reply = Unsubscribed {
            id: Some(id),
            channel: channel.name.clone(),
            code: "asked".into(),
            epoch: None,
            seq: None,
            totals: None,
        };
        // Before a reset is told, the cursor still is one of the old numbering, which the hub no longer has.
        if held.is_attached() && !matches!(held.reset, Some(ResetDue::Now)) {
            reply.epoch.clone_from(&channel.epoch);
            reply.seq = Some(held.cursor);
            reply.totals = self.totals_at_cursor(sub);
        }
        reply
    }

    fn totals_at_cursor(&self, sub: u32) -> Option<tally_protocol::Totals> {
        let held = &self.subs[sub];
        let channel = &self.channels[held.channel];
        let totals = channel.totals_before(held.next)?;
        (totals.sum() == held.cursor.get()).then_some(totals)
    }

    fn change_rung(&mut self, now: Time, conn: u32, request: &RungRequest) {
        let subs: Vec<u32> = match &request.channel {
            Some(name) => match self.held(conn, name) {
                Ok(sub) => vec![sub],
                Err(error) => return self.reply_error(conn, error),
            },
            None => {
                self.conns[conn].asked = request.rung;
                self.wake(conn);
                self.conns[conn].subscriptions.values().copied().collect()
            }
        };
        let rate = request.max_rate.map(|rate| rate.min(self.limits.connection_max_rate));
        for sub in subs {
            let held = &mut self.subs[sub];
            if request.channel.is_some() {
                held.asked = request.rung;
            }
            held.tick = request.tick_ms.unwrap_or(held.tick);
            if let Some(rate) = rate.filter(|rate| *rate != held.bucket.rate()) {
                self.change_rate(sub, rate, now);
            }
            self.place(sub, now);
            self.mark_due(sub);
        }
    }

    /// A throttled subscription looks at its bucket again when that could be full at the new rate.
    fn change_rate(&mut self, sub: u32, rate: u64, now: Time) {
        let held = &mut self.subs[sub];
        if held.throttled {
            let seq = self.channels[held.channel].seq;
            held.bucket.shadow(seq.since(held.shadow_seq), now);
            held.shadow_seq = seq;
        }
        held.bucket.change_rate(rate, now);
        held.unnumbered.change_rate(rate, now);
        if held.throttled {
            let at = now + held.bucket.full_in();
            self.set_recovery_timer(sub, Some(at));
        }
    }

    fn held(&self, conn: u32, name: &ChannelName) -> Result<u32, FrameError> {
        let channel = self.names.get(name);
        let sub = channel.and_then(|channel| self.conns[conn].subscriptions.get(channel));
        sub.copied().ok_or_else(|| {
            let message = "this connection does not listen to the channel; subscribe first".into();
            refusal(ErrorCode::NotSubscribed, Some(name.clone()), message)
        })
    }

    pub(super) fn reply_error(&mut self, conn: u32, error: FrameError) {
        self.conns[conn].replies.push_back(Output::Error(Box::new(ErrorFrame {
            id: error.id,
            channel: error.channel,
            code: error.code.as_str().into(),
            message: error.message,
        })));
        self.wake(conn);
    }

    /// Takes a subscription out of every list. The channel stays for the grace period after its last listener.
    pub(super) fn remove_subscription(&mut self, now: Time, sub: u32) {
        self.close_account(sub);
        self.unplace(sub);
        self.set_recovery_timer(sub, None);
        let held = self.subs.remove(sub).expect("the caller holds an index of a live subscription");
        let conn = &mut self.conns[held.conn];
        conn.subscriptions.remove(&held.channel);
        conn.owed -= held.owed;
        conn.unnumbered.forget(sub);
        if held.in_due {
            conn.due.retain(|due| *due != sub);
        }
        if held.in_summary {
            conn.summaries.retain(|due| *due != sub);
        }
        let channel = &mut self.channels[held.channel];
        channel.tails -= usize::from(held.tail);
        if !channel.has_listeners() {
            let at = now + self.limits.grace;
            self.set_idle_timer(held.channel, Some(at));
        }
    }
}

fn refusal(code: ErrorCode, channel: Option<ChannelName>, message: String) -> FrameError {
    FrameError { id: None, channel, code, message }
}
