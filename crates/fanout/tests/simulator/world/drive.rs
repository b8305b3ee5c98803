//! What the plan's actions do, and what a shell does for its connections: read, pull, block, drain.

use super::*;
use tally_fanout::Output;
use tally_protocol::Ledger;

impl World {
    pub(crate) fn act(&mut self, action: Action) {
        self.say(|| format!("{action:?}"));
        match action {
            Action::Publish { channel, publish } => self.publish(channel, publish),
            Action::FailOver { channel, lost } => {
                self.broker.fail_over(&name(channel), lost);
                self.lost(channel);
            }
            Action::Vanish { channel } => {
                self.broker.vanish(&name(channel));
                self.lost(channel);
            }
            Action::Link { up } => self.link(up),
            Action::Connect { client, hub } => self.connect(client, hub),
            Action::Disconnect { client } => self.disconnect(client),
            Action::Stall { client, ms } => {
                let read = self.clients[client].socket.read(self.now);
                self.clients[client].keep(read);
                self.clients[client].socket.stall(self.now, self.now + ms * 1_000);
                self.reschedule(client);
            }
            Action::Speed { client, bytes_per_second } => {
                let read = self.clients[client].socket.read(self.now);
                self.clients[client].keep(read);
                self.clients[client].socket.set_speed(self.now, bytes_per_second);
                self.reschedule(client);
            }
            Action::Subscribe { client, channels, wish } => {
                self.send(client, |id, client| {
                    let channels = channels.iter().map(|one| subscribe(*one, wish, client)).collect();
                    ClientFrame::Subscribe(SubscribeRequest { id, channels })
                });
            }
            Action::Unsubscribe { client, channel } => self.send(client, |id, _| {
                let channels = vec![name(channel).to_string()];
                ClientFrame::Unsubscribe(UnsubscribeRequest { id, channels })
            }),
            Action::Rung { client, channel, rung, max_rate, tick } => self.send(client, |_, _| {
                let channel = channel.map(name);
                ClientFrame::Rung(RungRequest { channel, rung, max_rate, tick_ms: tick })
            }),
            Action::BadName { client } => self.send(client, |id, _| {
                let bad =
                    SubscribeChannel { channel: "not a name".into(), ..SubscribeChannel::new(&name(0)) };
                ClientFrame::Subscribe(SubscribeRequest { id, channels: vec![bad] })
            }),
        }
    }

    /// A broker that lost something is noticed by the audit.
    fn lost(&mut self, channel: usize) {
        for shell in &mut self.shells {
            if let Some(watch) = shell.watches.get_mut(&name(channel)) {
                watch.has_lost = true;
            }
        }
    }

    fn link(&mut self, up: bool) {
        let status = if up { UpstreamStatus::Up } else { UpstreamStatus::Down };
        if status == self.upstream {
            return;
        }
        self.upstream = status;
        let now = self.time();
        for hub in 0..2 {
            self.shells[hub].hub.handle_upstream(now, status, UnixMs::new(self.now / 1_000));
            let names: Vec<_> = self.shells[hub].watches.keys().cloned().collect();
            for channel in names {
                if up {
                    self.subscribe_upstream(hub, channel);
                } else if let Some(watch) = self.shells[hub].watches.get_mut(&channel) {
                    (watch.is_subscribed, watch.has_lost) = (false, true);
                }
            }
        }
    }

    fn connect(&mut self, client: usize, hub: usize) {
        self.disconnect(client);
        if self.absent == Some(client) {
            return;
        }
        let now = self.time();
        let conn = self.shells[hub].hub.handle_connect(now);
        let rate = self.plan.limits.connection_max_rate;
        self.clients[client].connect(conn, hub, self.upstream, rate, self.now);
    }

    fn disconnect(&mut self, client: usize) {
        let held = &mut self.clients[client];
        let Some(conn) = held.conn.take() else { return };
        let read = held.socket.read(self.now);
        held.keep(read);
        held.listeners.clear();
        let hub = held.hub;
        let now = self.time();
        self.shells[hub].hub.handle_disconnect(now, conn);
    }

    fn send(&mut self, client: usize, frame: impl FnOnce(u64, &Client) -> ClientFrame) {
        let held = &mut self.clients[client];
        if held.conn.is_some() {
            let read = held.socket.read(self.now);
            held.keep(read);
            held.next_id += 1;
            let frame = frame(held.next_id, held);
            let kept = held.kept.clone();
            held.inbox.push_back((frame, kept));
        }
    }

    /// Everything that needs no time, until nothing is left to do.
    pub(super) fn settle(&mut self) -> Checked {
        loop {
            let mut is_idle = true;
            self.turns += 1;
            if self.turns > 3_000_000 {
                return Err("no end of what needs no time".into());
            }
            for hub in 0..2 {
                while let Some(request) = self.shells[hub].hub.poll_request() {
                    self.say(|| format!("hub {hub}: {request:?}"));
                    is_idle = false;
                    let is_watch = matches!(request, tally_fanout::Request::Watch(_));
                    if let Some(channel) = self.shells[hub].request(request, self.now) {
                        if is_watch {
                            self.subscribe_upstream(hub, channel);
                        } else {
                            self.read(hub, &channel);
                        }
                    }
                }
                let mut ready = vec![];
                while let Some(conn) = self.shells[hub].hub.poll_ready() {
                    ready.push(conn);
                }
                for conn in ready {
                    is_idle = false;
                    self.serve(hub, conn)?;
                }
            }
            for client in 0..self.clients.len() {
                is_idle &= !self.hear(client);
                self.see_pressure(client)?;
            }
            if is_idle {
                self.steps += 1;
                return if self.steps.is_multiple_of(8) || self.trace { self.audit_hubs() } else { Ok(()) };
            }
        }
    }

    fn audit_hubs(&mut self) -> Checked {
        let now = self.time();
        for shell in &mut self.shells {
            let audit = shell.hub.audit();
            laws::bounded(&audit, &self.plan.limits)?;
            laws::accounted(&shell.hub.look(now).account)?;
            if audit.replies > 0 {
                self.coverage.note("replies that wait");
            }
        }
        Ok(())
    }

    /// Pulls while the socket has room, a budget at a time.
    fn serve(&mut self, hub: usize, conn: ConnId) -> Checked {
        let now = self.time();
        let Some(client) = self.clients.iter().position(|one| one.hub == hub && one.conn == Some(conn))
        else {
            return Err("ready, and not connected".into());
        };
        let held = &mut self.clients[client];
        if held.socket.is_blocked {
            return Err("ready while blocked".into());
        }
        let read = held.socket.read(self.now);
        held.keep(read);
        let mut pulled = 0;
        while let Some(output) = self.shells[hub].hub.poll_output(now, conn) {
            self.take(client, output).map_err(|broken| format!("client {client}: {broken}"))?;
            pulled += 1;
            if self.clients[client].socket.is_over() {
                self.clients[client].socket.is_blocked = true;
                self.shells[hub].hub.handle_blocked(now, conn);
                self.reschedule(client);
                self.coverage.note("blocked");
                return Ok(());
            }
            if pulled % BUDGET == 0 {
                self.hear(client);
            }
        }
        Ok(())
    }

    fn take(&mut self, client: usize, output: Output) -> Checked {
        self.say(|| format!("    client {client} gets {output:?}"));
        let held = &mut self.clients[client];
        let shell = &self.shells[held.hub];
        let mut on = Context {
            now: self.now,
            broker: &self.broker,
            shell,
            upstream: self.upstream,
            coverage: &mut self.coverage,
        };
        held.take(output, &mut on)
    }

    /// Frames of the client are read while no answers wait. Says whether there were any.
    fn hear(&mut self, client: usize) -> bool {
        let now = self.time();
        let held = &mut self.clients[client];
        let Some(conn) = held.conn else { return false };
        let hub = &mut self.shells[held.hub].hub;
        if hub.is_answering(conn) {
            return false;
        }
        let Some((frame, kept)) = held.inbox.pop_front() else { return false };
        held.expect(&frame, &kept, &self.plan.limits, self.now, &mut self.coverage);
        hub.handle_frame(now, conn, frame);
        true
    }

    pub(super) fn drained(&mut self, client: usize, conn: ConnId) {
        let now = self.time();
        let held = &mut self.clients[client];
        if held.conn != Some(conn) || !held.socket.is_blocked {
            return;
        }
        let read = held.socket.read(self.now);
        held.keep(read);
        if held.socket.is_over() {
            return self.reschedule(client);
        }
        held.socket.is_blocked = false;
        held.unblocked_at = self.now;
        self.shells[held.hub].hub.handle_drained(now, conn);
    }

    fn reschedule(&mut self, client: usize) {
        let held = &self.clients[client];
        if let Some(conn) = held.conn.filter(|_| held.socket.is_blocked) {
            self.at(held.socket.drains_at(), Event::Drained { client, conn });
        }
    }

    fn see_pressure(&mut self, client: usize) -> Checked {
        let held = &mut self.clients[client];
        let Some(conn) = held.conn else { return Ok(()) };
        let pressed = self.shells[held.hub].hub.pressed(conn).ok_or("connected, and not known")?;
        if let Some(note) = held.pressure.see(pressed, held.socket.is_blocked, self.now)? {
            self.coverage.note(note);
        }
        Ok(())
    }
}

/// The entry of a `subscribe` for one channel.
fn subscribe(channel: usize, wish: Wish, client: &Client) -> SubscribeChannel {
    let channel = name(channel);
    let mut frame = SubscribeChannel::new(&channel);
    (frame.rung, frame.max_rate, frame.tick_ms) = (wish.rung, wish.max_rate, wish.tick);
    frame.tail = wish.tail;
    match wish.start {
        From::Head => {}
        From::Last(last) => frame.last = Some(last),
        From::Own => {
            let kept = client.kept.get(&channel);
            let epoch = kept.and_then(|kept| kept.epoch().cloned());
            frame.after = kept.zip(epoch).map(|(kept, epoch)| After { epoch, seq: kept.cursor() });
        }
        From::Invented => {
            let epoch = Epoch::new("invented").expect("a valid epoch");
            frame.after = Some(After { epoch, seq: Seq::ZERO.plus(5) });
        }
    }
    frame
}

impl Client {
    /// What a frame that the hub is about to get will have to bring.
    fn expect(
        &mut self,
        frame: &ClientFrame,
        kept: &BTreeMap<ChannelName, Ledger>,
        limits: &tally_fanout::HubLimits,
        now: u64,
        coverage: &mut Coverage,
    ) {
        match frame {
            ClientFrame::Subscribe(request) => {
                for channel in &request.channels {
                    if let Err(code) = self.expect_subscribed(request.id, channel, kept, limits) {
                        coverage.note(code.as_str());
                        self.errors.push_back((code.as_str(), request.id));
                    }
                }
            }
            ClientFrame::Unsubscribe(request) => {
                let channel = ChannelName::new(&request.channels[0]).expect("the plan has no bad one here");
                match self.listeners.remove(&channel) {
                    Some(held) => self.leaving.push((request.id, channel, held)),
                    None => {
                        coverage.note("not_subscribed");
                        self.errors.push_back(("not_subscribed", request.id));
                    }
                }
            }
            ClientFrame::Rung(request) => self.expect_rung(request, limits, now),
            ClientFrame::Auth(_) | ClientFrame::Violation(_) => {}
        }
    }

    fn expect_subscribed(
        &mut self,
        id: u64,
        asked: &SubscribeChannel,
        kept: &BTreeMap<ChannelName, Ledger>,
        limits: &tally_fanout::HubLimits,
    ) -> Result<(), ErrorCode> {
        let channel = ChannelName::new(&asked.channel).map_err(|_| ErrorCode::BadChannel)?;
        if self.listeners.contains_key(&channel) {
            return Err(ErrorCode::AlreadySubscribed);
        }
        if self.listeners.len() >= limits.subscriptions_max {
            return Err(ErrorCode::TooManySubscriptions);
        }
        let rate = asked.max_rate.unwrap_or(limits.max_rate_default).min(limits.connection_max_rate);
        let mut held = Listener::new(channel.clone(), id, asked.rung, asked.tick_ms, asked.tail, rate);
        held.last = asked.last;
        let is_own = |after: &After| after.epoch.as_str() != "invented";
        held.after = asked.after.clone().map(|after| {
            let kept = is_own(&after).then(|| kept[&channel].clone());
            (after, kept)
        });
        self.listeners.insert(channel, held);
        Ok(())
    }

    fn expect_rung(&mut self, request: &RungRequest, limits: &tally_fanout::HubLimits, now: u64) {
        let one = request.channel.as_ref();
        if let Some(channel) = one.filter(|channel| !self.listeners.contains_key(*channel)) {
            debug_assert!(!channel.as_str().is_empty());
            self.errors.push_back(("not_subscribed", 0));
            return;
        }
        if one.is_none() {
            self.asked = request.rung;
        }
        for (_, held) in
            self.listeners.iter_mut().filter(|(channel, _)| one.is_none_or(|one| one == *channel))
        {
            if one.is_some() {
                held.asked = request.rung;
            }
            if let Some(tick) = request.tick_ms.filter(|tick| *tick != held.tick) {
                (held.tick, held.ticked) = (tick, None);
            }
            if let Some(rate) = request.max_rate {
                held.bucket.change_rate(rate.min(limits.connection_max_rate), now);
            }
        }
    }
}
