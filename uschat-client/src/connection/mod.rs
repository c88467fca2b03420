//! The task that owns the socket.
//!
//! One loop reads, writes, takes requests, beats and hands events over. Each of these is switched off while its bound is
//! reached, and none waits for another: a full event queue stops the reading but not the writing.

mod login;
mod pending;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use uschat_proto::chat::{ChatLoginResponse, HeartbeatRequest, UserId};
use uschat_proto::{Message, MessageId};
use uschat_wire::Frame;

use self::login::Received;
use self::pending::Pending;
pub(crate) use self::pending::Waiting;
use crate::config::ChatConfig;
use crate::error::{ConnectError, DisconnectReason};
use crate::event::{Ending, Event, Events, events_of};
use crate::ticket::Ticket;

/// Requests are gathered into one write up to this many bytes.
const WRITE_BATCH_BYTES: usize = 16 * 1024;
/// Room made for every read.
const READ_BYTES: usize = 8 * 1024;
/// Heartbeats sent into silence before the connection counts as lost.
const MAX_UNANSWERED_HEARTBEATS: u32 = 2;

/// A request on its way to the task.
#[derive(Debug)]
pub(crate) struct Command {
    /// Header and body, ready to be written.
    pub(crate) frame: Bytes,
    pub(crate) response: MessageId,
    pub(crate) waiting: Waiting,
}

/// How handles talk to the task.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Asks the task to finish what is in flight and to close.
    pub(crate) closing: CancellationToken,
    /// Asks it to close at once.
    pub(crate) abort: CancellationToken,
    /// Why the session ended, once it has.
    pub(crate) ended: watch::Receiver<Option<DisconnectReason>>,
}

/// Logs in over `stream` and starts the task.
pub(crate) async fn open<S>(
    mut stream: S,
    ticket: &Ticket,
    config: &ChatConfig,
) -> Result<(ChatLoginResponse, Link, Events), ConnectError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let after = config.login_deadline;
    let (response, received) = tokio::time::timeout(after, login::log_in(&mut stream, ticket, config))
        .await
        .map_err(|_| ConnectError::TimedOut { step: "the login", after })??;

    let (command_sender, commands) = mpsc::channel(config.command_capacity.max(1));
    let (event_sender, live_events) = mpsc::channel(config.event_capacity.max(1));
    let (ending_sender, ending) = oneshot::channel();
    let (ended_sender, ended) = watch::channel(None);
    let (closing, abort) = (CancellationToken::new(), CancellationToken::new());
    let (reader, writer) = tokio::io::split(stream);
    let connection = Connection {
        uid: ticket.uid,
        config: config.clone(),
        reader,
        writer,
        received,
        outgoing: BytesMut::new(),
        unflushed: false,
        commands,
        commands_open: true,
        pending: Pending::default(),
        events: event_sender,
        undelivered: VecDeque::new(),
        unanswered_heartbeats: 0,
        closing: closing.clone(),
        abort: abort.clone(),
        close_at: None,
    };
    tokio::spawn(connection.run(ended_sender, ending_sender));
    Ok((response, Link { commands: command_sender, closing, abort, ended }, Events::new(live_events, ending)))
}

struct Connection<S> {
    uid: UserId,
    config: ChatConfig,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    received: Received,
    outgoing: BytesMut,
    /// Bytes were written and not flushed yet.
    unflushed: bool,
    commands: mpsc::Receiver<Command>,
    /// Requests may still come.
    commands_open: bool,
    pending: Pending,
    events: mpsc::Sender<Event>,
    /// Events of the last frame that found no room; while there are any, nothing is read.
    undelivered: VecDeque<Event>,
    unanswered_heartbeats: u32,
    closing: CancellationToken,
    abort: CancellationToken,
    /// When to give up on what is in flight; set once the session is closing.
    close_at: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    async fn run(mut self, ended: watch::Sender<Option<DisconnectReason>>, ending: oneshot::Sender<Ending>) {
        let reason = match self.serve().await {
            Ok(()) => DisconnectReason::Closed,
            Err(reason) => reason,
        };
        // The application had no room for what came behind the last event: it gets that now, and calls their answers.
        while let Ok(Some(frame)) = self.received.next_frame() {
            if self.accept(frame).is_err() {
                break;
            }
        }
        // Before the calls in flight are dropped below, so that they find the reason.
        ended.send_replace(Some(reason.clone()));
        // Nobody may be listening any more.
        let _ = ending.send(Ending { undelivered: self.undelivered, reason });
    }

    /// Serves until this side has closed (`Ok`) or the session has ended otherwise.
    async fn serve(&mut self) -> Result<(), DisconnectReason> {
        let mut heartbeat = self.heartbeat();
        loop {
            while self.undelivered.is_empty() {
                let Some(frame) = self.received.next_frame()? else { break };
                self.accept(frame)?;
            }
            if self.is_drained() {
                return self.shut_down().await;
            }
            self.received.bytes.reserve(READ_BYTES);
            let wants_commands = self.commands_open && self.has_room();
            let close_at = self.close_at.unwrap_or_else(Instant::now);
            tokio::select! {
                read = self.reader.read_buf(&mut self.received.bytes), if self.undelivered.is_empty() => {
                    if read? == 0 {
                        return Err(DisconnectReason::ClosedByServer);
                    }
                }
                written = write_out(&mut self.writer, &mut self.outgoing, &mut self.unflushed),
                    if !self.outgoing.is_empty() || self.unflushed => written?,
                command = self.commands.recv(), if wants_commands => self.take_commands(command),
                () = hand_over(&self.events, &mut self.undelivered), if !self.undelivered.is_empty() => {
                    self.unanswered_heartbeats = 0; // nothing was read meanwhile, so nothing was missed
                }
                _ = heartbeat.tick() => self.beat()?,
                () = self.closing.cancelled(), if self.close_at.is_none() => self.start_closing(),
                () = self.abort.cancelled() => return Ok(()),
                () = sleep_until(close_at), if self.close_at.is_some() => return Ok(()),
            }
        }
    }

    /// Gives a frame to the call it answers, or turns it into events. Anything unknown is ignored.
    fn accept(&mut self, frame: Frame) -> Result<(), DisconnectReason> {
        self.unanswered_heartbeats = 0;
        let id = MessageId(frame.id);
        let events =
            events_of(&frame).map_err(|source| DisconnectReason::InvalidNotice { id, source: Arc::new(source) })?;
        if events.is_empty() {
            let known = self.pending.answer(id, frame.body) || id == MessageId::HEARTBEAT_RESPONSE;
            if !known {
                tracing::debug!(%id, "a frame that answers nothing was ignored");
            }
        }
        for event in events {
            self.deliver(event);
        }
        match id {
            MessageId::KICK_NOTICE => Err(DisconnectReason::Replaced),
            MessageId::DRAIN_NOTICE => Err(DisconnectReason::ServerStopping),
            _ => Ok(()),
        }
    }

    fn deliver(&mut self, event: Event) {
        if !self.undelivered.is_empty() {
            self.undelivered.push_back(event);
        } else if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
            self.undelivered.push_back(event);
        }
    }

    /// Takes the request that woke the task and everything behind it that fits the same write.
    fn take_commands(&mut self, first: Option<Command>) {
        let Some(first) = first else {
            self.commands_open = false;
            return self.start_closing();
        };
        self.send(first);
        while self.has_room() {
            let Ok(next) = self.commands.try_recv() else { break };
            self.send(next);
        }
    }

    fn send(&mut self, command: Command) {
        // If its caller gave up while it waited in the queue, nobody wants it any more.
        if !command.waiting.answer.is_closed() {
            self.outgoing.extend_from_slice(&command.frame);
            self.pending.push(command.response, command.waiting);
        }
    }

    fn has_room(&self) -> bool {
        self.outgoing.len() < WRITE_BATCH_BYTES && self.pending.len() < self.config.max_in_flight.max(1)
    }

    fn heartbeat(&self) -> Interval {
        let period = self.config.heartbeat_interval.max(Duration::from_millis(1));
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat
    }

    fn beat(&mut self) -> Result<(), DisconnectReason> {
        // While the application holds the reading up, the server's silence means nothing.
        if self.undelivered.is_empty() {
            if self.unanswered_heartbeats >= MAX_UNANSWERED_HEARTBEATS {
                return Err(DisconnectReason::HeartbeatMissed);
            }
            self.unanswered_heartbeats += 1;
        }
        // What already waits to be written tells the server the same, and a stuck socket must not collect heartbeats.
        if self.outgoing.is_empty() {
            let request = HeartbeatRequest { from: Some(self.uid) };
            uschat_wire::encode_with(HeartbeatRequest::ID.0, &mut self.outgoing, |body| request.encode(body))
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(())
    }

    fn start_closing(&mut self) {
        self.commands.close();
        self.close_at.get_or_insert(Instant::now() + self.config.close_deadline);
    }

    /// Closing, and every request was written and answered.
    fn is_drained(&self) -> bool {
        self.close_at.is_some()
            && !self.commands_open
            && self.pending.is_empty()
            && self.outgoing.is_empty()
            && !self.unflushed
    }

    async fn shut_down(&mut self) -> Result<(), DisconnectReason> {
        let close_at = self.close_at.unwrap_or_else(Instant::now);
        // A peer that does not take the end of the stream in time, or is gone already, ends the session all the same.
        let _ = timeout_at(close_at, self.writer.shutdown()).await;
        Ok(())
    }
}

/// Waits for room and hands over the oldest waiting event. Cancel safe.
async fn hand_over(events: &mpsc::Sender<Event>, undelivered: &mut VecDeque<Event>) {
    match events.reserve().await {
        Ok(permit) => {
            if let Some(event) = undelivered.pop_front() {
                permit.send(event);
            }
        }
        // The application dropped its end: it wants none of them.
        Err(_) => undelivered.clear(),
    }
}

/// Writes `outgoing` and flushes. Cancel safe: `outgoing` and `unflushed` tell what is left to do.
async fn write_out<W: AsyncWrite + Unpin>(
    writer: &mut W,
    outgoing: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    while !outgoing.is_empty() {
        if writer.write_buf(outgoing).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        *unflushed = true;
    }
    writer.flush().await?;
    *unflushed = false;
    Ok(())
}
