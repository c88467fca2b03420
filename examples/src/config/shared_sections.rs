//! The sections that several servers' files have, and what they mean.

use url::Url;

use super::{
    Named,
    sections::{Section, Sections},
    services::Original,
    urls::{RedisUrl, SmtpUrl, SqlUrl},
};
use crate::StartError;

/// `[Mysql]`: `Host`, `Port`, `User`, `Passwd`, `Schema` as the originals have it, or `Url`.
pub(super) fn sql(sections: &Sections) -> Result<Option<Named<SqlUrl>>, StartError> {
    let mysql = sections.section("Mysql", &["Host", "Port", "User", "Passwd", "Schema", "Url"])?;
    if let Some(url) = mysql.text("Url") {
        return parse(url).map(Some);
    }
    let Some(host) = mysql.text("Host") else { return Ok(None) };
    let mut url = server("mysql", &mysql, &host, 3306)?;
    let user = mysql.text("User").map_or_else(|| "root".to_owned(), |user| user.value);
    let schema = mysql.text("Schema").map_or_else(|| "llfc".to_owned(), |schema| schema.value);
    authorise(&mut url, &user, &mysql);
    url.set_path(&schema);
    parse(Named { key: mysql.place(), value: url.into() }).map(Some)
}

/// `[Redis]`: `Host`, `Port`, `Passwd` as the originals have it, or `Url`.
pub(super) fn redis(sections: &Sections) -> Result<Option<Named<RedisUrl>>, StartError> {
    let redis = sections.section("Redis", &["Host", "Port", "Passwd", "Url"])?;
    if let Some(url) = redis.text("Url") {
        return parse(url).map(Some);
    }
    let Some(host) = redis.text("Host") else { return Ok(None) };
    let mut url = server("redis", &redis, &host, 6379)?;
    authorise(&mut url, "", &redis);
    parse(Named { key: redis.place(), value: url.into() }).map(Some)
}

/// `[Smtp]` `Url`, or the `email` of an original `config.json`, whose mail server is a fixed one.
pub(super) fn smtp(sections: &Sections) -> Result<Option<Named<SmtpUrl>>, StartError> {
    if let Some(url) = sections.section("Smtp", &["Url"])?.text("Url") {
        return parse(url).map(Some);
    }
    let email = sections.section("email", &["user", "pass"])?;
    let Some(user) = email.text("user") else { return Ok(None) };
    let password = email.required("pass")?.value;
    let mut url =
        Url::parse("smtps://smtp.163.com:465").map_err(|error| StartError::new(&user.key, error, "report this"))?;
    // A URL with a host takes both.
    let _ = url.set_username(&user.value).and_then(|()| url.set_password(Some(&password)));
    url.query_pairs_mut().append_pair("from", &user.value);
    parse(Named { key: user.key, value: url.into() }).map(Some)
}

/// The names of the sections of peers.
pub(super) fn peer_sections(sections: &Sections) -> Result<Vec<String>, StartError> {
    Ok(sections.section("PeerServer", &["Servers"])?.list("Servers"))
}

/// `[PeerServer]` `Servers`, and a section for each of them, where `Port` is its gRPC port.
pub(super) fn peers(sections: &Sections) -> Result<Vec<Original>, StartError> {
    let peer = |section: &String| {
        let peer = sections.section(section, &["Name", "Host", "Port", "Later"])?;
        let host = peer.required("Host")?.value;
        let port = peer.parsed::<u16>("Port", "a port")?;
        let port =
            port.ok_or_else(|| StartError::new(peer.key("Port"), "it is missing", "add the peer's gRPC port"))?;
        let later = peer.parsed::<bool>("Later", "true or false")?.is_some_and(|later| later.value);
        let name = peer.text("Name").map_or_else(|| section.clone(), |name| name.value);
        let original = Original { name, address: format!("{}:{}", super::hosts::bracketed(&host), port.value), later };
        let checked = original.as_peer().validate();
        checked.map_err(|error| StartError::new(peer.place(), error, "correct Name, Host or Port"))?;
        Ok(original)
    };
    peer_sections(sections)?.iter().map(peer).collect()
}

fn server(scheme: &str, section: &Section<'_>, host: &Named<String>, port: u16) -> Result<Url, StartError> {
    let port = section.parsed::<u16>("Port", "a port")?.map_or(port, |port| port.value);
    Url::parse(&format!("{scheme}://{}:{port}", super::hosts::bracketed(&host.value)))
        .map_err(|_| StartError::new(&host.key, "this is not a host", "write a host name or an IP address"))
}

fn authorise(url: &mut Url, user: &str, section: &Section<'_>) {
    // A URL with a host takes both; what is special in them is escaped.
    let _ = url.set_username(user);
    if let Some(password) = section.text("Passwd") {
        let _ = url.set_password(Some(&password.value));
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(url: Named<String>) -> Result<Named<T>, StartError> {
    let Named { key, value } = url;
    match value.parse() {
        Ok(value) => Ok(Named { key, value }),
        Err(error) => Err(StartError::new(key, error, "correct it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(text: &str) -> Sections {
        Sections::parse(text, "f.ini").unwrap()
    }

    #[test]
    fn originals_sections_become_urls() {
        let sections = sections(
            "[Mysql]\nHost=81.68.86.146\nPort=3308\nUser=root\nPasswd=12@3/4 56.\nSchema=llfc\n[Redis]\nHost=h\nPort=6380\nPasswd=a:b#c\n",
        );
        let Some(Named { key, value: SqlUrl::Mysql(url) }) = sql(&sections).unwrap() else { panic!("this is MySQL") };
        assert_eq!(key, "[Mysql] in f.ini", "what is wrong may be any of its keys");
        let url = Url::parse(url.expose()).unwrap();
        assert_eq!(
            (url.host_str(), url.port(), url.username(), url.path()),
            (Some("81.68.86.146"), Some(3308), "root", "/llfc")
        );
        assert_eq!(url.password(), Some("12%403%2F4%2056."));
        let redis = redis(&sections).unwrap().unwrap().value;
        assert_eq!(redis.expose(), "redis://:a%3Ab%23c@h:6380");
        assert_eq!(smtp(&sections).unwrap(), None);
    }

    #[test]
    fn an_original_config_json_names_its_mail_account() {
        let sections =
            sections(r#"{"email":{"user":"me@163.com","pass":"p w"},"mysql":{"host":"h","port":3306,"passwd":"x"}}"#);
        let smtp = smtp(&sections).unwrap().unwrap().value;
        assert_eq!(smtp.expose(), "smtps://me%40163.com:p%20w@smtp.163.com:465?from=me%40163.com");
    }

    #[test]
    fn peers_are_named_and_located() {
        let found = peers(&sections(
            "[PeerServer]\nServers=a, b\n[a]\nName=chatserver1\nHost=10.0.0.1\nPort=50055\n[b]\nHost=::1\nPort=1\n",
        ));
        let found: Vec<_> = found.unwrap().into_iter().map(|peer| (peer.name, peer.address)).collect();
        assert_eq!(found, [("chatserver1".into(), "10.0.0.1:50055".into()), ("b".into(), "[::1]:1".into())]);
        let missing = peers(&sections("[PeerServer]\nServers=a\n")).unwrap_err().to_string();
        assert!(missing.starts_with("Host of [a] in f.ini: it is missing; "), "{missing}");
    }
}
