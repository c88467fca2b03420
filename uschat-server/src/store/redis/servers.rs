use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uschat_pool::redis::redis::cmd;

use super::{
    RedisState,
    commands::{Script, millis},
};
use crate::store::{
    StoreError,
    state::{ServerRecord, Servers},
};

/// What original status servers read: server name → sessions. A server without a field takes no users.
const LOGIN_COUNT: &str = "logincount";

/// Writes the record ARGV[2] of the server ARGV[1], with its end by the clock of Redis put in front.
static ANNOUNCE: Script = Script::new(
    "local now = redis.call('TIME')
     local ends = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3]
     local record = string.format('{\"expires_at_ms\":%.0f,', ends) .. string.sub(ARGV[2], 2)
     redis.call('HSET', KEYS[1], ARGV[1], record)
     return 1",
);

/// Drops the records that are over or unreadable; answers with the others, and with the names of the dropped.
static LIST: Script = Script::new(
    "local now = redis.call('TIME')
     now = now[1] * 1000 + math.floor(now[2] / 1000)
     local all, alive, dropped = redis.call('HGETALL', KEYS[1]), {}, {}
     for i = 1, #all, 2 do
       local readable, record = pcall(cjson.decode, all[i + 1])
       if readable and type(record) == 'table' and (tonumber(record.expires_at_ms) or 0) > now then
         alive[#alive + 1] = all[i + 1]
       else
         redis.call('HDEL', KEYS[1], all[i])
         dropped[#dropped + 1] = all[i]
       end
     end
     return {alive, dropped}",
);

/// Removes the record of the server ARGV[1] if it is of the start ARGV[2].
static RETIRE: Script = Script::new(
    "local held = redis.call('HGET', KEYS[1], ARGV[1])
     if not held then return 0 end
     local readable, record = pcall(cjson.decode, held)
     if not readable or type(record) ~= 'table' or record.boot_id ~= ARGV[2] then return 0 end
     return redis.call('HDEL', KEYS[1], ARGV[1])",
);

/// The boot id is text: numbers in scripts are not exact to 64 bits.
#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    boot_id: String,
    client_host: String,
    client_port: u16,
    peer_address: String,
    sessions: u32,
    draining: bool,
}

#[async_trait]
impl Servers for RedisState {
    async fn announce_server(&self, server: &ServerRecord, time_to_live: Duration) -> Result<(), StoreError> {
        let json = serde_json::to_string(&Record::from(server)).map_err(StoreError::unavailable)?;
        let (key, time_to_live) = (self.servers_key(), millis(time_to_live));
        let arguments = [server.name.as_str(), &json, &time_to_live];
        let count = if server.draining {
            cmd("HDEL").arg(LOGIN_COUNT).arg(&server.name).take()
        } else {
            cmd("HSET").arg(LOGIN_COUNT).arg(&server.name).arg(server.sessions.to_string()).take()
        };
        tokio::try_join!(self.commands.script::<i64>(&ANNOUNCE, &key, &arguments), self.commands.run::<i64>(&count))?;
        Ok(())
    }

    async fn servers(&self) -> Result<Vec<ServerRecord>, StoreError> {
        let (alive, dropped): (Vec<String>, Vec<String>) =
            self.commands.script(&LIST, &self.servers_key(), &[]).await?;
        if !dropped.is_empty() {
            // A server that returns at this moment counts itself again with its next announcement.
            let _: i64 = self.commands.run(cmd("HDEL").arg(LOGIN_COUNT).arg(&dropped)).await?;
        }
        let mut servers: Vec<_> = alive.iter().filter_map(|json| record(json)).collect();
        servers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(servers)
    }

    async fn retire_server(&self, name: &str, boot_id: u64) -> Result<(), StoreError> {
        let removed: bool = self.commands.script(&RETIRE, &self.servers_key(), &[name, &boot_id.to_string()]).await?;
        if removed {
            let _: i64 = self.commands.run(cmd("HDEL").arg(LOGIN_COUNT).arg(name)).await?;
        }
        Ok(())
    }
}

impl RedisState {
    fn servers_key(&self) -> String {
        format!("{}servers", self.prefix)
    }
}

/// None for a record of another version of this program that this one cannot read.
fn record(json: &str) -> Option<ServerRecord> {
    let record: Record = serde_json::from_str(json).ok()?;
    Some(ServerRecord {
        name: record.name,
        boot_id: record.boot_id.parse().ok()?,
        client_host: record.client_host,
        client_port: record.client_port,
        peer_address: record.peer_address,
        sessions: record.sessions,
        draining: record.draining,
    })
}

impl From<&ServerRecord> for Record {
    fn from(server: &ServerRecord) -> Self {
        Self {
            name: server.name.clone(),
            boot_id: server.boot_id.to_string(),
            client_host: server.client_host.clone(),
            client_port: server.client_port,
            peer_address: server.peer_address.clone(),
            sessions: server.sessions,
            draining: server.draining,
        }
    }
}
