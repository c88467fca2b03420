//! The servers that are driven.

use std::{fs, path::Path};

use serde::Deserialize;
use uschat_client::Gate;

use super::{error::LoadError, options::TargetOptions};

/// A running topology.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) gate: Gate,
    /// Without a slash at its end.
    pub(super) gate_url: String,
    /// `host:port` of each chat server, as far as is known before somebody logs in.
    pub(super) chats: Vec<String>,
    /// The processes of the chat servers.
    pub(super) pids: Vec<u32>,
}

/// What is read of a ready file.
#[derive(Debug, Deserialize)]
struct Ready {
    gate: String,
    chats: Vec<ReadyChat>,
}

#[derive(Debug, Deserialize)]
struct ReadyChat {
    tcp: String,
    pid: u32,
}

impl Target {
    pub(super) fn find(options: &TargetOptions) -> Result<Self, LoadError> {
        let (key, ready) = match &options.ready_file {
            Some(path) => ("--ready-file", read(path)?),
            None => ("--gate", Ready { gate: options.gate.clone(), chats: Vec::new() }),
        };
        let gate =
            Gate::new(&ready.gate).map_err(|error| LoadError::option(key, error, "name the gate of a topology"))?;
        let (chats, pids) = ready.chats.into_iter().map(|chat| (chat.tcp, chat.pid)).unzip();
        Ok(Self { gate, gate_url: ready.gate.trim_end_matches('/').to_owned(), chats, pids })
    }
}

fn read(path: &Path) -> Result<Ready, LoadError> {
    let wrong = |problem: String| {
        LoadError::option("--ready-file", problem, "start `topology --ready-file FILE` and name its file")
    };
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| wrong(format!("{}: {error}", path.display())))
}
