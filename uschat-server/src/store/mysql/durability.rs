//! Whether the server has flushed a commit to disk when it says that it is done.

use sqlx::mysql::MySqlRow;

use super::{MysqlStore, contacts::read};
use crate::store::StoreError;

/// By name, because not every server has every one of them.
pub(super) const SETTINGS: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN
    ('innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', 'innodb_doublewrite', 'innodb_flush_method')";

/// What the server's settings say about commits, at the moment they were read: an administrator can change them while the
/// server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Durability {
    /// One sentence for each setting that lets acknowledged texts be lost when the machine fails, with the remedy. Empty
    /// when every commit is on disk before it is acknowledged.
    pub faults: Vec<String>,
}

impl Durability {
    /// Whether a text is on disk before it is acknowledged.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.faults.is_empty()
    }

    fn of(settings: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let setting = settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            setting.map_or("", |(_, value)| value.as_str())
        };
        let mut faults = Vec::new();
        let flush = value("innodb_flush_log_at_trx_commit");
        // MariaDB's 3 flushes once more.
        if !["1", "3"].contains(&flush) {
            faults.push(format!(
                "innodb_flush_log_at_trx_commit is {flush}, so up to a second of acknowledged texts is lost in a crash: set it to 1"
            ));
        }
        let (log_bin, sync_binlog) = (value("log_bin"), value("sync_binlog"));
        if ["ON", "1"].contains(&log_bin) && sync_binlog != "1" {
            faults.push(format!(
                "sync_binlog is {sync_binlog} and the binary log decides what is kept after a power cut: set it to 1"
            ));
        }
        if ["OFF", "0"].contains(&value("innodb_doublewrite")) {
            faults.push(
                "innodb_doublewrite is off, so a page half written in a power cut is lost: set it to ON unless the file system writes pages whole"
                    .into(),
            );
        }
        let method = value("innodb_flush_method");
        if ["nosync", "littlesync"].iter().any(|bad| method.eq_ignore_ascii_case(bad)) {
            faults.push(format!("innodb_flush_method is {method}, which does not flush: set it to O_DIRECT or fsync"));
        }
        Self { faults }
    }

    /// Says so, where acknowledgements come before the flush.
    pub(super) fn warn(&self) {
        for fault in &self.faults {
            tracing::warn!("the database acknowledges before it has flushed: {fault}");
        }
    }
}

impl MysqlStore {
    /// Reads the settings now, for a readiness page: an administrator may have changed them since the start.
    ///
    /// # Errors
    /// The database could not be asked.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let rows = self.database.rows(SETTINGS, |query| query).await?;
        read_settings(&rows)
    }
}

fn read_settings(rows: &[MySqlRow]) -> Result<Durability, StoreError> {
    use sqlx::Row;

    let settings = read(rows, |row| Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?)))?;
    Ok(Durability::of(&settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_with_its_remedy() {
        let of = |settings: &[(&str, &str)]| {
            let settings: Vec<_> = settings.iter().map(|&(name, value)| (name.into(), value.into())).collect();
            Durability::of(&settings).faults
        };
        let good = ("innodb_flush_log_at_trx_commit", "1");
        assert!(of(&[good, ("log_bin", "OFF"), ("sync_binlog", "0"), ("innodb_doublewrite", "ON")]).is_empty());
        assert!(of(&[good, ("log_bin", "ON"), ("sync_binlog", "1")]).is_empty());
        assert!(of(&[])[0].contains("innodb_flush_log_at_trx_commit"));
        assert!(of(&[("innodb_flush_log_at_trx_commit", "2")])[0].ends_with("set it to 1"));
        assert!(of(&[good, ("log_bin", "ON"), ("sync_binlog", "0")])[0].starts_with("sync_binlog is 0"));
        assert!(of(&[good, ("innodb_doublewrite", "OFF")])[0].starts_with("innodb_doublewrite"));
        assert!(of(&[good, ("innodb_flush_method", "nosync")])[0].contains("does not flush"));
    }
}
