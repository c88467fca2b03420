//! URLs of services. They may hold passwords, so nothing here prints the URL itself, errors included.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// What `--sql` takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SqlUrl {
    /// `sqlite:PATH`; a relative path begins where the process was started.
    Sqlite(PathBuf),
    /// `memory:`, gone when the process ends.
    Memory,
    /// `mysql://user:pass@host:port/db`, of which the form was checked.
    Mysql(SecretUrl),
}

/// What `--redis` takes: a URL of which the form was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedisUrl(SecretUrl);

/// What `--smtp` takes: a URL of which the form was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SmtpUrl(SecretUrl);

/// A URL that may hold a password, and so is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The URL, for the driver that connects only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Host and port without the rest, for people.
    #[must_use]
    pub fn place(&self) -> String {
        Url::parse(&self.0).map_or_else(
            |_| String::new(),
            |url| {
                let host = url.host_str().unwrap_or_default();
                url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
            },
        )
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(..)")
    }
}

/// The form was wrong. Says what is expected, never what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL is not understood ({0})")]
pub struct UrlError(&'static str);

impl FromStr for SqlUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "memory:" || text == "sqlite::memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.ends_with('/') {
                return Err(UrlError("sqlite: wants the path of a file"));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        let url = server_url(text).ok_or(UrlError(SQL_FORMS))?;
        let database = url.path().trim_start_matches('/');
        match url.scheme() {
            "mysql" if database.is_empty() || database.contains('/') => Err(UrlError("the path names one database")),
            "mysql" => Ok(Self::Mysql(SecretUrl(text.to_owned()))),
            _ => Err(UrlError(SQL_FORMS)),
        }
    }
}

impl FromStr for RedisUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url =
            server_url(text).filter(|url| matches!(url.scheme(), "redis" | "rediss")).ok_or(UrlError(REDIS_FORM))?;
        let database = url.path().trim_start_matches('/');
        let is_number = database.is_empty() || database.parse::<u16>().is_ok();
        is_number
            .then(|| Self(SecretUrl(text.to_owned())))
            .ok_or(UrlError("the path is a database number, 0 if left out"))
    }
}

impl FromStr for SmtpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = server_url(text).filter(|url| matches!(url.scheme(), "smtp" | "smtps")).ok_or(UrlError(SMTP_FORM))?;
        let from = url.query_pairs().find(|(key, _)| key == "from");
        let is_address = from.is_some_and(|(_, address)| address.contains('@'));
        is_address.then(|| Self(SecretUrl(text.to_owned()))).ok_or(UrlError("?from= names the sender's e-mail address"))
    }
}

fn server_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

const SQL_FORMS: &str = "sqlite:PATH, memory: or mysql://user:pass@host:port/db";
const REDIS_FORM: &str = "redis[s]://[user:pass@]host:port/db[?cluster=true]";
const SMTP_FORM: &str = "smtp[s]://user:pass@host:port?from=ADDRESS";

macro_rules! one_secret {
    ($($url:ty),*) => {$(
        impl std::ops::Deref for $url {
            type Target = SecretUrl;

            fn deref(&self) -> &SecretUrl {
                &self.0
            }
        }

        impl From<$url> for String {
            fn from(url: $url) -> Self {
                url.0.0
            }
        }
    )*};
}
one_secret!(RedisUrl, SmtpUrl);

macro_rules! try_from_string {
    ($($url:ty),*) => {$(
        impl TryFrom<String> for $url {
            type Error = UrlError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )*};
}
try_from_string!(SqlUrl, RedisUrl, SmtpUrl);

#[cfg(test)]
mod tests {
    use super::{RedisUrl, SmtpUrl, SqlUrl, UrlError};

    #[test]
    fn sql_forms() {
        assert_eq!("memory:".parse(), Ok(SqlUrl::Memory));
        assert_eq!("sqlite:a/b.db".parse(), Ok(SqlUrl::Sqlite("a/b.db".into())));
        assert_eq!("sqlite:/a/b.db".parse(), Ok(SqlUrl::Sqlite("/a/b.db".into())));
        assert_eq!("sqlite:///a/b.db".parse(), Ok(SqlUrl::Sqlite("/a/b.db".into())));
        let Ok(SqlUrl::Mysql(url)) = "mysql://u:p@localhost:3306/uschat".parse() else { panic!("this is one") };
        assert_eq!((url.expose(), url.place().as_str()), ("mysql://u:p@localhost:3306/uschat", "localhost:3306"));
        for wrong in ["", "sqlite:", "sqlite:dir/", "mysql://localhost", "mysql:///db", "postgres://h/db", "uschat.db"]
        {
            assert!(wrong.parse::<SqlUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn redis_and_smtp_forms() {
        for right in [
            "redis://localhost",
            "redis://:secret@localhost:6379/3",
            "redis://[::1]:6379/0",
            "rediss://u:p@h:1/?cluster=true",
        ] {
            assert_eq!(right.parse::<RedisUrl>().unwrap().expose(), right);
        }
        for wrong in ["", "localhost:6379", "redis://", "redis://h/zero", "http://localhost"] {
            assert!(wrong.parse::<RedisUrl>().is_err(), "{wrong}");
        }
        for right in ["smtp://h?from=a@b", "smtps://u:p@mail.example:465?from=chat%40example.org"] {
            assert_eq!(right.parse::<SmtpUrl>().unwrap().expose(), right);
        }
        for wrong in ["smtp://h", "smtp://h?from=nobody", "mail://h?from=a@b", "smtp://?from=a@b"] {
            assert!(wrong.parse::<SmtpUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let right: SqlUrl = "mysql://root:hunter2@h/db".parse().unwrap();
        let wrong: UrlError = "mysql://root:hunter2@h:port/db".parse::<SqlUrl>().unwrap_err();
        let shown = format!("{right:?} {wrong:?} {wrong}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
